//! Proxies by themselves: what passes, what ends, and what becomes of connections when a proxy is
//! changed.

use serde_json::{Value, json};

use super::{edge, ms};
use crate::common::{AGES_MS, Api, Server, Wire, is_refused, until};

pub(crate) async fn much_data_arrives_whole_in_both_directions(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    open.ask(&data).await;
    for stream in ["upstream", "downstream"] {
        api.toxic(json!({"type": "latency", "stream": stream, "attributes": {"latency": 5}}))
            .await;
        let attributes = json!({"rate": 10_000});
        api.toxic(json!({"type": "bandwidth", "stream": stream, "attributes": attributes}))
            .await;
    }
    open.ask(&data).await;
    Wire::open(address).await.ask(&data).await;
}

pub(crate) async fn the_server_sees_that_a_client_has_gone(api: &Api) {
    let (client, mut server) = api.both_ends().await;
    drop(client);
    assert_eq!(server.end().await.0, b"");
}

pub(crate) async fn without_a_server_connections_are_closed(api: &Api) {
    let (server, address, _wire) = edge(api).await;
    drop(server);
    let mut wire = Wire::open(address).await;
    assert_eq!(wire.end().await.0, b"");
}

pub(crate) async fn a_proxy_goes_down_and_up_again(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    api.toxic(json!({"type": "latency", "attributes": {"latency": 300}}))
        .await;
    for _ in 0..2 {
        let (status, answer) = api.post("/proxies/edge", json!({"enabled": false})).await;
        assert_eq!((status, &answer["enabled"]), (200, &json!(false)));
        assert!(is_refused(address).await);
        open.end().await;
        let (status, answer) = api.post("/proxies/edge", json!({"enabled": true})).await;
        assert_eq!((status, &answer["enabled"]), (200, &json!(true)));
        assert_eq!(answer["listen"], address.to_string());
        assert_eq!(answer["toxics"].as_array().unwrap().len(), 1);
        open = Wire::open(address).await;
        assert!(open.ask(b"a").await >= ms(300));
    }
    // What it is already it stays.
    let (status, _) = api.post("/proxies/edge", json!({"enabled": true})).await;
    assert_eq!(status, 200);
    open.ask(b"a").await;

    let body = json!({"name": "down", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0", "enabled": false});
    let (status, answer) = api.post("/proxies", body).await;
    assert_eq!((status, &answer["enabled"]), (201, &json!(false)));
}

pub(crate) async fn another_server_drops_the_connections(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    let other = Server::start().await;
    let change = json!({"upstream": other.address.to_string()});
    let (status, answer) = api.post("/proxies/edge", change).await;
    assert_eq!(status, 200);
    assert_eq!(answer["upstream"], other.address.to_string());
    assert_eq!(answer["listen"], address.to_string());
    open.end().await;
    Wire::open(address).await.ask(b"a").await;
}

pub(crate) async fn reset_takes_everything_away(api: &Api) {
    let (server, address, mut open) = edge(api).await;
    let body = json!({
        "name": "down", "listen": "127.0.0.1:0", "upstream": server.address.to_string(), "enabled": false,
    });
    api.post("/proxies", body).await;
    for stream in ["upstream", "downstream"] {
        let attributes = json!({"latency": AGES_MS});
        api.toxic(json!({"type": "latency", "stream": stream, "attributes": attributes}))
            .await;
    }
    open.send(b"a").await;
    open.is_silent().await;
    let (status, _) = api.post("/reset", Value::Null).await;
    assert_eq!(status, 204);
    let (_, answer) = api.get("/proxies").await;
    for name in ["edge", "down"] {
        assert_eq!(answer[name]["enabled"], true, "{answer}");
        assert_eq!(answer[name]["toxics"], json!([]), "{answer}");
    }
    open.comes(b"a").await;
    Wire::open(address).await.ask(b"a").await;
}

pub(crate) async fn populate_makes_proxies_and_keeps_those_that_are_right(api: &Api) {
    let (server, address, mut open) = edge(api).await;
    api.toxic(json!({"type": "latency", "attributes": {"latency": 300}}))
        .await;
    let upstream = server.address.to_string();
    let same = json!({"name": "edge", "listen": address.to_string(), "upstream": upstream});
    let new = json!({"name": "new", "listen": "127.0.0.1:0", "upstream": upstream});
    let (status, answer) = api.post("/populate", json!([same, new])).await;
    assert_eq!(status, 201, "{answer}");
    let names: Vec<_> = answer["proxies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["name"])
        .collect();
    assert_eq!(names, ["edge", "new"]);
    assert!(open.ask(b"a").await >= ms(300));
    let listen = answer["proxies"][1]["listen"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    Wire::open(listen).await.ask(b"a").await;

    let other = Server::start().await;
    let moved = json!({"name": "edge", "listen": address.to_string(), "upstream": other.address.to_string()});
    let (status, answer) = api.post("/populate", json!([moved])).await;
    assert_eq!(status, 201, "{answer}");
    open.end().await;
    until("the new server is reached", async || {
        let (_, answer) = api.get("/proxies/edge").await;
        answer["upstream"] == other.address.to_string()
    })
    .await;
    Wire::open(address).await.ask(b"a").await;
    assert_eq!(api.get("/proxies").await.1.as_object().unwrap().len(), 2);
}
