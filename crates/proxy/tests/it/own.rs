//! What our proxy does otherwise than Toxiproxy, on purpose.

use std::time::{Duration, Instant};

use crate::common::{AGES_MS, Api, Ended, Server, Wire, is_refused, until};
use loadgen_proxy::{ProxyOptions, ProxyServer};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

async fn start(options: ProxyOptions) -> (ProxyServer, Api) {
    let mut options = options;
    options.listen.set_port(0);
    let server = ProxyServer::start(options).await.unwrap();
    let address = server.address();
    (server, Api { address })
}

async fn ours() -> (ProxyServer, Api) {
    start(ProxyOptions::default()).await
}

const TOXICS: &str = "/proxies/edge/toxics";

#[tokio::test]
async fn it_says_that_it_is_ours() {
    let (_proxy, api) = ours().await;
    let (_, answer) = api.get("/version").await;
    let expected = json!({"version": env!("CARGO_PKG_VERSION"), "name": "loadgen"});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn what_a_toxic_has_not_is_refused_and_changes_nothing() {
    let (_proxy, api) = ours().await;
    let server = Server::start().await;
    api.edge(server.address).await;
    for (body, told) in [
        (
            json!({"type": "latency", "attributes": {"latncy": 1}}),
            "latncy",
        ),
        (
            json!({"type": "latency", "attributes": {"latency": -1}}),
            "-1",
        ),
        (json!({"type": "slicer", "attributes": {}}), "average_size"),
        (json!({"type": "latency", "toxicity": 2}), "toxicity"),
        (json!({"type": "latency", "lease_ms": 0}), "nonzero"),
    ] {
        let (status, answer) = api.post(TOXICS, body).await;
        assert_eq!((status, &answer["status"]), (400, &json!(400)), "{answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(told), "{error}");
    }
    assert_eq!(api.get(TOXICS).await.1, json!([]));
    let name = api.toxic(json!({"type": "latency"})).await;
    let path = format!("{TOXICS}/{name}");
    let (status, _) = api.post(&path, json!({"attributes": {"rate": 1}})).await;
    assert_eq!(status, 400);
    let (_, answer) = api.get(&path).await;
    assert_eq!(answer["attributes"], json!({"latency": 0, "jitter": 0}));
}

/// Toxiproxy does so since 2.6.
#[tokio::test]
async fn changes_may_come_by_patch() {
    let (_proxy, api) = ours().await;
    let server = Server::start().await;
    api.edge(server.address).await;
    let name = api.toxic(json!({"type": "latency"})).await;
    let path = format!("{TOXICS}/{name}");
    let change = json!({"attributes": {"jitter": 3}});
    let (status, answer) = api.call("PATCH", &path, change).await;
    assert_eq!((status, &answer["attributes"]["jitter"]), (200, &json!(3)));
    let change = json!({"enabled": false});
    let (status, answer) = api.call("PATCH", "/proxies/edge", change).await;
    assert_eq!((status, &answer["enabled"]), (200, &json!(false)));
}

#[tokio::test]
async fn one_direction_may_end_before_the_other() {
    let (_proxy, api) = ours().await;
    let (mut client, mut server) = api.both_ends().await;
    client.send(b"all that I have to say").await;
    client.0.shutdown().await.unwrap();
    assert_eq!(
        server.end().await,
        (b"all that I have to say".to_vec(), Ended::Closed)
    );
    server.send(b"the answer").await;
    server.0.shutdown().await.unwrap();
    assert_eq!(client.end().await, (b"the answer".to_vec(), Ended::Closed));
}

#[tokio::test]
async fn a_reset_is_one_also_on_open_connections_and_for_both_sides() {
    let (_proxy, api) = ours().await;
    let (mut client, mut server) = api.both_ends().await;
    let body = json!({"type": "reset_peer", "stream": "upstream"});
    api.toxic(body).await;
    client.send(b"a").await;
    assert_eq!(client.end().await, (Vec::new(), Ended::Reset));
    assert_eq!(server.end().await, (Vec::new(), Ended::Reset));
}

#[tokio::test]
async fn a_side_that_is_reset_resets_the_other() {
    let (_proxy, api) = ours().await;
    let (mut client, mut server) = api.both_ends().await;
    // Only a connection that the proxy knows to be open can be reset.
    server.send(b"hello").await;
    client.comes(b"hello").await;
    server.0.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(client.end().await, (Vec::new(), Ended::Reset));
}

#[tokio::test]
async fn a_lease_ends_by_itself() {
    let (_proxy, api) = ours().await;
    let server = Server::start().await;
    let address = api.edge(server.address).await;
    let mut open = Wire::through(address).await;
    let begin = Instant::now();
    let body = json!({
        "type": "latency", "attributes": {"latency": AGES_MS}, "owner": "run-1", "lease_ms": 400,
    });
    let (_, answer) = api.post(TOXICS, body).await;
    assert_eq!(
        (&answer["owner"], &answer["lease_ms"]),
        (&json!("run-1"), &json!(400))
    );
    let name = answer["name"].as_str().unwrap();
    assert_eq!(api.get(&format!("{TOXICS}/{name}")).await.1, answer);
    open.ask(b"a").await;
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert_eq!(api.get(TOXICS).await.1, json!([]));

    let begin = Instant::now();
    let body = json!({"enabled": false, "owner": "run-1", "lease_ms": 400});
    let (_, answer) = api.post("/proxies/edge", body).await;
    assert_eq!(
        (&answer["owner"], &answer["lease_ms"]),
        (&json!("run-1"), &json!(400))
    );
    assert!(is_refused(address).await);
    until("the proxy is up again", async || !is_refused(address).await).await;
    assert!(begin.elapsed() >= Duration::from_millis(400));
    let (_, answer) = api.get("/proxies/edge").await;
    assert_eq!(
        (&answer["owner"], &answer["enabled"]),
        (&Value::Null, &json!(true))
    );
    Wire::open(address).await.ask(b"a").await;
}

#[tokio::test]
async fn all_of_an_owner_is_renewed_and_taken_away_at_once() {
    let (_proxy, api) = ours().await;
    let server = Server::start().await;
    let address = api.edge(server.address).await;
    let lease = |name: &str, owner: &str| json!({"name": name, "type": "latency", "owner": owner, "lease_ms": AGES_MS});
    api.toxic(lease("a", "run 1")).await;
    api.toxic(lease("b", "run 1")).await;
    api.toxic(lease("c", "run-2")).await;
    api.toxic(json!({"name": "d", "type": "latency"})).await;
    api.post("/proxies/edge", json!({"enabled": false, "owner": "run 1"}))
        .await;
    assert!(is_refused(address).await);

    let renewed = |owner: &str, n: u64| (200, json!({"owner": owner, "renewed": n}));
    assert_eq!(
        api.post("/leases/run%201", Value::Null).await,
        renewed("run 1", 3)
    );
    assert_eq!(
        api.post("/leases/nobody", Value::Null).await,
        renewed("nobody", 0)
    );
    let removed = |n: u64| (200, json!({"owner": "run 1", "removed": n}));
    assert_eq!(api.delete("/leases/run%201").await, removed(3));
    assert_eq!(api.delete("/leases/run%201").await, removed(0));
    assert!(!is_refused(address).await);
    let (_, left) = api.get(TOXICS).await;
    let names: Vec<_> = left
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert_eq!(names, ["c", "d"]);
}

#[tokio::test]
async fn what_somebody_else_has_made_stays_as_it_is() {
    let (_proxy, api) = ours().await;
    let server = Server::start().await;
    api.edge(server.address).await;
    let body = json!({"name": "t", "type": "latency", "owner": "run-1", "lease_ms": AGES_MS});
    api.toxic(body).await;
    let path = format!("{TOXICS}/t");
    let change = |owner: &str| json!({"attributes": {"latency": 5}, "owner": owner});
    let (status, answer) = api.post(&path, change("run-2")).await;
    assert_eq!(status, 409);
    assert!(
        answer["error"].as_str().unwrap().contains("run-1"),
        "{answer}"
    );
    assert_eq!(api.get(&path).await.1["attributes"]["latency"], 0);
    // The owner may, and so may who names none, as clients of Toxiproxy do. The lease stays.
    for body in [change("run-1"), json!({"attributes": {"latency": 6}})] {
        let (status, answer) = api.post(&path, body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["owner"], &answer["lease_ms"]),
            (&json!("run-1"), &json!(AGES_MS))
        );
    }
    let (status, answer) = api.post(&path, json!({"lease_ms": 60_000})).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&answer["owner"], &answer["lease_ms"]),
        (&json!("run-1"), &json!(60_000))
    );

    let down = |owner: &str| json!({"enabled": false, "owner": owner});
    assert_eq!(api.post("/proxies/edge", down("run-1")).await.0, 200);
    assert_eq!(api.post("/proxies/edge", down("run-2")).await.0, 409);
    let up = json!({"enabled": true, "owner": "run-2"});
    assert_eq!(api.post("/proxies/edge", up).await.0, 409);
    assert_eq!(api.get("/proxies/edge").await.1["enabled"], false);
    let (status, answer) = api
        .post("/proxies/edge", json!({"enabled": true, "owner": "run-1"}))
        .await;
    assert_eq!((status, &answer["owner"]), (200, &Value::Null));

    // Without an owner a fault may end by itself, but is nobody's.
    api.toxic(json!({"name": "short", "type": "latency", "lease_ms": AGES_MS}))
        .await;
    let (status, answer) = api.post(&format!("{TOXICS}/short"), change("run-1")).await;
    assert_eq!(status, 409, "{answer}");

    // What was made by hand gets no owner, who would take it away at the end.
    api.toxic(json!({"name": "by hand", "type": "latency"}))
        .await;
    let (status, answer) = api
        .post(&format!("{TOXICS}/by%20hand"), change("run-1"))
        .await;
    assert_eq!(status, 409, "{answer}");
    api.post("/proxies/edge", json!({"enabled": false})).await;
    let (status, answer) = api.post("/proxies/edge", down("run-1")).await;
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = api
        .post("/proxies/edge", json!({"lease_ms": 5, "enabled": true}))
        .await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn only_this_machine_by_its_own_name_may_call() {
    let (_proxy, api) = ours().await;
    for (host, status) in [
        ("127.0.0.1", 200),
        ("localhost:8474", 200),
        ("shop.example", 403),
    ] {
        let got = api
            .raw("GET", "/proxies", &format!("Host: {host}\r\n"), "")
            .await;
        assert_eq!(got.0, status, "{host}: {}", got.1);
    }
    let page = "Host: localhost\r\nOrigin: http://shop.example\r\n";
    assert_eq!(api.raw("POST", "/reset", page, "").await.0, 403);
}

#[tokio::test]
async fn other_addresses_need_a_token() {
    let options = |token: Option<&str>| ProxyOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        token: token.map(str::to_owned),
        ..ProxyOptions::default()
    };
    for token in [None, Some("")] {
        let error = ProxyServer::start(options(token))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("0.0.0.0") && error.contains("--token"),
            "{error}"
        );
    }
    let (_proxy, api) = start(options(Some("secret"))).await;
    let port = api.address.port();
    let api = Api {
        address: ([127, 0, 0, 1], port).into(),
    };
    let host = "Host: proxy:8474\r\n";
    assert_eq!(api.raw("GET", "/proxies", host, "").await.0, 401);
    let with = format!("{host}Authorization: Bearer secret\r\n");
    assert_eq!(api.raw("GET", "/proxies", &with, "").await.0, 200);
}

#[tokio::test]
async fn without_an_address_a_proxy_listens_on_loopback() {
    let mut options = ProxyOptions::default();
    let server = Server::start().await;
    let edge = format!("edge=:0->{}", server.address);
    options.proxies.push(edge.parse().unwrap());
    let (_proxy, api) = start(options).await;
    let (_, answer) = api.get("/proxies/edge").await;
    let listen = answer["listen"].as_str().unwrap();
    assert!(listen.starts_with("[::]:"), "{listen}");
    let body = json!({"name": "other", "upstream": server.address.to_string()});
    let (_, answer) = api.post("/proxies", body).await;
    let listen = answer["listen"].as_str().unwrap();
    assert!(listen.starts_with("127.0.0.1:"), "{listen}");
    Wire::open(listen.parse().unwrap()).await.ask(b"a").await;
}

#[tokio::test]
async fn a_stop_closes_everything() {
    let (proxy, api) = ours().await;
    let server = Server::start().await;
    let address = api.edge(server.address).await;
    let mut open = Wire::through(address).await;
    proxy.stop().await;
    open.end().await;
    assert!(is_refused(address).await);
    assert!(is_refused(api.address).await);
}
