//! What the API answers.

use serde_json::{Value, json};

use super::edge;
use crate::common::{Api, is_refused};

pub(crate) async fn the_version_is_told(api: &Api) {
    let host = format!("Host: {}\r\n", api.address);
    let (status, version) = api.raw("GET", "/version", &host, "").await;
    assert_eq!(status, 200);
    assert!(!version.is_empty());
}

pub(crate) async fn proxies_are_created_shown_and_deleted(api: &Api) {
    assert_eq!(api.get("/proxies").await, (200, json!({})));
    let (_server, address, mut wire) = edge(api).await;
    assert_ne!(address.port(), 0);
    let (status, answer) = api.get("/proxies/edge").await;
    assert_eq!(status, 200);
    assert_eq!(answer["name"], "edge");
    assert_eq!(answer["listen"], address.to_string());
    assert_eq!(answer["enabled"], true);
    assert_eq!(answer["toxics"], json!([]));
    assert_eq!(api.get("/proxies").await.1["edge"], answer);

    let (status, _) = api.delete("/proxies/edge").await;
    assert_eq!(status, 204);
    assert_eq!(api.get("/proxies/edge").await.0, 404);
    wire.end().await;
    assert!(is_refused(address).await);
}

/// Requests (method, path, body) by the status of their answer and the beginning of its error.
/// ADDRESS is taken already.
const ERRORS: &[(u16, &str, &[&str])] = &[
    (
        400,
        "bad request body",
        &[
            r#"POST /proxies "x""#,
            r#"POST /proxies {"name": 1}"#,
            r#"POST /proxies/edge"#,
            r#"POST /proxies/edge {"enabled": 1}"#,
            r#"POST /proxies/edge/toxics"#,
            r#"POST /proxies/edge/toxics {"type": "latency", "attributes": {"latency": "1"}}"#,
            r#"POST /proxies/edge/toxics {"type": "latency", "attributes": {"latency": 1.5}}"#,
            r#"POST /proxies/edge/toxics/taken {"toxicity": "1"}"#,
            r#"POST /populate {}"#,
        ],
    ),
    (
        400,
        "missing required field: name",
        &[r#"POST /proxies {}"#, r#"POST /populate [{}]"#],
    ),
    (
        400,
        "missing required field: upstream",
        &[
            r#"POST /proxies {"name": "x"}"#,
            r#"POST /populate [{"name": "x"}]"#,
        ],
    ),
    (
        400,
        "invalid toxic type",
        &[
            r#"POST /proxies/edge/toxics {}"#,
            r#"POST /proxies/edge/toxics {"type": "x"}"#,
        ],
    ),
    (
        400,
        "stream was invalid",
        &[r#"POST /proxies/edge/toxics {"type": "latency", "stream": "x"}"#],
    ),
    (
        404,
        "proxy not found",
        &[
            r#"GET /proxies/none"#,
            r#"POST /proxies/none {}"#,
            r#"DELETE /proxies/none"#,
            r#"GET /proxies/none/toxics"#,
            r#"POST /proxies/none/toxics {}"#,
            r#"DELETE /proxies/none/toxics/x"#,
        ],
    ),
    (
        404,
        "toxic not found",
        &[
            r#"GET /proxies/edge/toxics/none"#,
            r#"POST /proxies/edge/toxics/none {}"#,
            r#"DELETE /proxies/edge/toxics/none"#,
        ],
    ),
    (
        409,
        "proxy already exists",
        &[r#"POST /proxies {"name": "edge", "upstream": "127.0.0.1:1"}"#],
    ),
    (
        409,
        "toxic already exists",
        &[r#"POST /proxies/edge/toxics {"type": "latency", "name": "taken"}"#],
    ),
    (
        500,
        "",
        &[
            r#"POST /proxies {"name": "other", "upstream": "127.0.0.1:1", "listen": "ADDRESS"}"#,
            r#"POST /populate [{"name": "other", "upstream": "127.0.0.1:1", "listen": "ADDRESS"}]"#,
        ],
    ),
];

pub(crate) async fn errors_are_told_alike(api: &Api) {
    let (_server, address, _wire) = edge(api).await;
    api.toxic(json!({"name": "taken", "type": "latency"})).await;
    for (status, begin, requests) in ERRORS {
        for request in *requests {
            let request = request.replace("ADDRESS", &address.to_string());
            let mut words = request.splitn(3, ' ');
            let mut word = || words.next().unwrap_or("null");
            let (method, path, body) = (word(), word(), word());
            let body = serde_json::from_str(body).unwrap();
            let (got, answer) = api.call(method, path, body).await;
            let what = format!("{request}: {got} {answer}");
            assert_eq!(got, *status, "{what}");
            assert_eq!(answer["status"], *status, "{what}");
            let error = answer["error"].as_str().unwrap();
            assert!(error.starts_with(begin), "{what}");
        }
    }
    let (status, _) = api.get("/no/such/route").await;
    assert_eq!(status, 404);
    let (status, _) = api.call("PUT", "/proxies", json!({})).await;
    assert_eq!(status, 405);
    let (_, answer) = api.get("/proxies").await;
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
}

pub(crate) async fn browsers_are_turned_away(api: &Api) {
    let agent = |name| format!("Host: {}\r\nUser-Agent: {name}\r\n", api.address);
    for (name, status) in [("Mozilla/5.0 (X11)", 403), ("curl/8", 200)] {
        assert_eq!(api.raw("GET", "/proxies", &agent(name), "").await.0, status);
    }
}

pub(crate) async fn toxics_are_shown_as_they_were_made(api: &Api) {
    let (_server, _, _wire) = edge(api).await;
    let body = json!({"type": "latency", "attributes": {"latency": 100}});
    let (status, first) = api.post("/proxies/edge/toxics", body).await;
    assert_eq!(status, 200);
    let expected = json!({
        "name": "latency_downstream", "type": "latency", "stream": "downstream", "toxicity": 1.0,
        "attributes": {"latency": 100, "jitter": 0},
    });
    assert!(is_same(&first, &expected), "{first}");

    let body = json!({
        "name": "mine", "type": "slicer", "stream": "upstream", "toxicity": 0.5,
        "attributes": {"average_size": 10, "size_variation": 2, "delay": 3},
    });
    let (_, second) = api.post("/proxies/edge/toxics", body.clone()).await;
    assert!(is_same(&second, &body), "{second}");
    assert_eq!(
        api.get("/proxies/edge/toxics/mine").await,
        (200, second.clone())
    );
    // Those towards the server come first.
    let both = json!([second, first]);
    assert_eq!(api.get("/proxies/edge/toxics").await, (200, both.clone()));
    assert_eq!(api.get("/proxies/edge").await.1["toxics"], both);

    let attributes = [
        ("bandwidth", json!({"rate": 1000})),
        ("slow_close", json!({"delay": 5})),
        ("timeout", json!({"timeout": 6})),
        ("reset_peer", json!({"timeout": 7})),
        ("limit_data", json!({"bytes": 8})),
    ];
    for (kind, attributes) in attributes {
        let body = json!({"type": kind, "attributes": attributes});
        let (_, answer) = api.post("/proxies/edge/toxics", body).await;
        assert_eq!(answer["attributes"], attributes, "{answer}");
        assert_eq!(answer["name"], format!("{kind}_downstream"));
    }
}

/// The same JSON, whether or not a whole number is written as one.
fn is_same(a: &Value, b: &Value) -> bool {
    let without = |value: &Value| {
        let mut value = value.clone();
        let toxicity = value["toxicity"].take().as_f64();
        (value, toxicity)
    };
    without(a) == without(b)
}

pub(crate) async fn an_update_leaves_the_other_attributes_as_they_are(api: &Api) {
    let (_server, _, _wire) = edge(api).await;
    let attributes = json!({"latency": 100, "jitter": 10});
    let name = api
        .toxic(json!({"type": "latency", "attributes": attributes}))
        .await;
    let answer = api
        .update_toxic(&name, json!({"attributes": {"latency": 7}}))
        .await;
    assert_eq!(answer["attributes"], json!({"latency": 7, "jitter": 10}));
    assert_eq!(answer["toxicity"].as_f64(), Some(1.0));
    let answer = api.update_toxic(&name, json!({"toxicity": 0.5})).await;
    assert_eq!(answer["attributes"], json!({"latency": 7, "jitter": 10}));
    assert_eq!(answer["toxicity"].as_f64(), Some(0.5));
}
