//! What each toxic does, to connections that are open already and to new ones.

use std::time::Instant;

use serde_json::json;

use super::{edge, ms};
use crate::common::{AGES_MS, Api, Ended, Wire};

pub(crate) async fn latency_delays(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    for stream in ["downstream", "upstream"] {
        let attributes = json!({"latency": 300});
        let body = json!({"type": "latency", "stream": stream, "attributes": attributes});
        let name = api.toxic(body).await;
        assert!(open.ask(b"a").await >= ms(300));
        assert!(Wire::open(address).await.ask(b"a").await >= ms(300));

        api.update_toxic(&name, json!({"attributes": {"latency": 500}}))
            .await;
        assert!(open.ask(b"a").await >= ms(500));
        // What takes ages is over as soon as the toxic is.
        api.update_toxic(&name, json!({"attributes": {"latency": AGES_MS}}))
            .await;
        open.send(b"late").await;
        let mut new = Wire::open(address).await;
        new.is_silent().await;
        open.is_silent().await;
        api.remove_toxic(&name).await;
        open.comes(b"late").await;
        open.ask(b"a").await;
        new.ask(b"a").await;
        Wire::open(address).await.ask(b"a").await;
    }
}

pub(crate) async fn latency_with_jitter_delays_and_keeps_the_order(api: &Api) {
    let (_server, _, mut open) = edge(api).await;
    let attributes = json!({"latency": 60, "jitter": 40});
    api.toxic(json!({"type": "latency", "attributes": attributes}))
        .await;
    let mut sent = Vec::new();
    for n in 0..30_u8 {
        open.send(&[n]).await;
        sent.push(n);
        tokio::time::sleep(ms(2)).await;
    }
    open.comes(&sent).await;
    assert!(open.ask(b"a").await >= ms(20));
}

pub(crate) async fn latency_does_not_add_up(api: &Api) {
    let (_server, _, mut open) = edge(api).await;
    api.toxic(json!({"type": "latency", "attributes": {"latency": 3_000}}))
        .await;
    // 60 pieces, each 3 s late: in a row they would take three minutes, and nobody waits that long.
    let mut sent = Vec::new();
    for n in 100..160_u8 {
        open.send(&[n]).await;
        sent.push(n);
        tokio::time::sleep(ms(5)).await;
    }
    open.comes(&sent).await;
}

pub(crate) async fn several_latencies_add_up(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    for (name, stream) in [("a", "downstream"), ("b", "downstream"), ("c", "upstream")] {
        let attributes = json!({"latency": 100});
        api.toxic(
            json!({"name": name, "type": "latency", "stream": stream, "attributes": attributes}),
        )
        .await;
    }
    assert!(open.ask(b"a").await >= ms(300));
    assert!(Wire::open(address).await.ask(b"a").await >= ms(300));
    api.remove_toxic("a").await;
    assert!(open.ask(b"a").await >= ms(200));
}

pub(crate) async fn bandwidth_limits_the_rate(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    let data = vec![b'a'; 50_000];
    for stream in ["downstream", "upstream"] {
        let body = json!({"type": "bandwidth", "stream": stream, "attributes": {"rate": 100}});
        let name = api.toxic(body).await;
        assert!(open.ask(&data).await >= ms(450));
        assert!(Wire::open(address).await.ask(&data).await >= ms(450));
        // At 1 KB/s, the rest would take minutes.
        api.update_toxic(&name, json!({"attributes": {"rate": 1}}))
            .await;
        assert!(open.ask(&[b'a'; 500]).await >= ms(400));
        api.remove_toxic(&name).await;
        open.ask(&vec![b'a'; 500_000]).await;
    }
}

pub(crate) async fn slow_close_delays_the_end(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    api.toxic(json!({"type": "slow_close", "attributes": {"delay": 300}}))
        .await;
    open.ask(b"a").await;
    for mut wire in [open, Wire::through(address).await] {
        let begin = Instant::now();
        wire.send(b"!").await;
        assert_eq!(wire.end().await, (b"!".to_vec(), Ended::Closed));
        assert!(begin.elapsed() >= ms(300));
    }
}

pub(crate) async fn timeout_swallows_and_its_removal_closes(api: &Api) {
    for stream in ["downstream", "upstream"] {
        let (_server, address, mut open) = edge(api).await;
        let body = json!({"type": "timeout", "stream": stream, "attributes": {"timeout": 0}});
        let name = api.toxic(body).await;
        let mut new = Wire::open(address).await;
        for wire in [&mut open, &mut new] {
            wire.send(b"a").await;
            wire.is_silent().await;
        }
        api.remove_toxic(&name).await;
        assert_eq!(open.end().await.0, b"");
        assert_eq!(new.end().await.0, b"");
        Wire::open(address).await.ask(b"a").await;
        api.delete("/proxies/edge").await;
    }
}

pub(crate) async fn timeout_closes_after_its_time(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    let begin = Instant::now();
    api.toxic(json!({"type": "timeout", "attributes": {"timeout": 300}}))
        .await;
    let mut new = Wire::open(address).await;
    assert_eq!(open.end().await.0, b"");
    assert!(begin.elapsed() >= ms(300));
    assert_eq!(new.end().await.0, b"");
}

pub(crate) async fn reset_peer_ends_connections(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    let name = api
        .toxic(json!({"type": "reset_peer", "attributes": {"timeout": 200}}))
        .await;
    let mut idle = Wire::open(address).await;
    let mut new = Wire::open(address).await;
    let begin = Instant::now();
    open.send(b"a").await;
    new.send(b"a").await;
    assert_eq!(open.end().await.0, b"");
    assert!(begin.elapsed() >= ms(200));
    assert_eq!(new.end().await, (Vec::new(), Ended::Reset));
    // It waits for data.
    idle.is_silent().await;
    api.remove_toxic(&name).await;
    idle.ask(b"a").await;
    Wire::open(address).await.ask(b"a").await;
}

pub(crate) async fn slicer_cuts_data_into_pieces(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    let data: Vec<u8> = (0..1_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let attributes = json!({"average_size": 50, "size_variation": 10, "delay": 10_000});
    let name = api
        .toxic(json!({"type": "slicer", "attributes": attributes}))
        .await;
    // At most 60 bytes each are 17 pieces at least, with 16 pauses of 10 ms between them.
    assert!(open.ask(&data).await >= ms(160));
    assert!(Wire::open(address).await.ask(&data).await >= ms(160));
    api.remove_toxic(&name).await;
    open.ask(&data).await;
}

pub(crate) async fn limit_data_ends_a_connection_after_so_much(api: &Api) {
    let (_server, address, open) = edge(api).await;
    let name = api
        .toxic(json!({"type": "limit_data", "attributes": {"bytes": 10}}))
        .await;
    let mut untouched = Wire::open(address).await;
    for mut wire in [open, Wire::open(address).await] {
        wire.ask(b"abcd").await;
        wire.send(b"efghijklmnop").await;
        assert_eq!(wire.end().await.0, b"efghij");
    }
    untouched.ask(b"abcdefgh").await;
    api.remove_toxic(&name).await;
    untouched.ask(b"much more than ten bytes").await;
}

pub(crate) async fn toxicity_spares_connections(api: &Api) {
    let (_server, address, mut open) = edge(api).await;
    let attributes = json!({"latency": AGES_MS});
    let body = json!({"type": "latency", "toxicity": 0, "attributes": attributes});
    let name = api.toxic(body).await;
    open.ask(b"a").await;
    Wire::open(address).await.ask(b"a").await;
    let update = json!({"toxicity": 1, "attributes": {"latency": 300}});
    api.update_toxic(&name, update).await;
    assert!(open.ask(b"a").await >= ms(300));
    assert!(Wire::open(address).await.ask(b"a").await >= ms(300));
    let update = json!({"toxicity": 0, "attributes": {"latency": AGES_MS}});
    api.update_toxic(&name, update).await;
    open.ask(b"a").await;
}
