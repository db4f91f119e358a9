//! What our proxy and the genuine Toxiproxy have in common: each case runs against ours and,
//! where `LOADGEN_REAL_TOXIPROXY` names its binary (`toxiproxy/` builds it), against that one.

mod common;

use std::process::{Child, Command, Stdio};

use common::Api;
use loadgen_proxy::{ProxyOptions, ProxyServer};

/// A genuine Toxiproxy, ended when it is dropped.
struct Real {
    child: Child,
    api: Api,
}

impl Real {
    /// None where there is no binary of it.
    async fn start() -> Option<Self> {
        let Ok(binary) = std::env::var("LOADGEN_REAL_TOXIPROXY") else {
            eprintln!("LOADGEN_REAL_TOXIPROXY is not set: not compared with the genuine one");
            return None;
        };
        // It does not say which port it has chosen, so one is chosen for it that was free just now.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(binary)
            .args(["-host", "127.0.0.1", "-port", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let real = Self {
            child,
            api: Api { address },
        };
        common::until("Toxiproxy listens", async || {
            !common::is_refused(address).await
        })
        .await;
        Some(real)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ours() -> (ProxyServer, Api) {
    let mut options = ProxyOptions::default();
    options.listen.set_port(0);
    let server = ProxyServer::start(options).await.unwrap();
    let address = server.address();
    (server, Api { address })
}

macro_rules! compare {
    ($($case:ident)*) => {
        mod ours {
            $(
                #[tokio::test]
                async fn $case() {
                    let (server, api) = super::ours().await;
                    super::cases::$case(&api).await;
                    server.stop().await;
                }
            )*
        }

        mod genuine {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(real) = super::Real::start().await {
                        super::cases::$case(&real.api).await;
                    }
                }
            )*
        }
    };
}

compare! {
    the_version_is_told
    proxies_are_created_shown_and_deleted
    errors_are_told_alike
    browsers_are_turned_away
    toxics_are_shown_as_they_were_made
    an_update_leaves_the_other_attributes_as_they_are
    much_data_arrives_whole_in_both_directions
    the_server_sees_that_a_client_has_gone
    without_a_server_connections_are_closed
    latency_delays
    latency_with_jitter_delays_and_keeps_the_order
    latency_does_not_add_up
    several_latencies_add_up
    bandwidth_limits_the_rate
    slow_close_delays_the_end
    timeout_swallows_and_its_removal_closes
    timeout_closes_after_its_time
    reset_peer_ends_connections
    slicer_cuts_data_into_pieces
    limit_data_ends_a_connection_after_so_much
    toxicity_spares_connections
    a_proxy_goes_down_and_up_again
    another_server_drops_the_connections
    reset_takes_everything_away
    populate_makes_proxies_and_keeps_those_that_are_right
}

mod cases {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use crate::common::{AGES_MS, Api, Ended, Server, Wire, is_refused, soon, until};

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A server, a proxy before it, and a connection that is open already.
    async fn edge(api: &Api) -> (Server, SocketAddr, Wire) {
        let server = Server::start().await;
        let address = api.edge(&server).await;
        let wire = Wire::through(address).await;
        (server, address, wire)
    }

    pub(super) async fn the_version_is_told(api: &Api) {
        let host = format!("Host: {}\r\n", api.address);
        let (status, version) = api.raw("GET", "/version", &host, "").await;
        assert_eq!(status, 200);
        assert!(!version.is_empty());
    }

    pub(super) async fn proxies_are_created_shown_and_deleted(api: &Api) {
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

    pub(super) async fn errors_are_told_alike(api: &Api) {
        let (_server, address, _wire) = edge(api).await;
        let toxics = "/proxies/edge/toxics";
        api.toxic(json!({"name": "taken", "type": "latency"})).await;
        let taken =
            json!({"name": "other", "upstream": "127.0.0.1:1", "listen": address.to_string()});
        for (method, path, body, status, begin) in [
            ("POST", "/proxies", json!("x"), 400, "bad request body"),
            (
                "POST",
                "/proxies",
                json!({"name": 1}),
                400,
                "bad request body",
            ),
            (
                "POST",
                "/proxies",
                json!({}),
                400,
                "missing required field: name",
            ),
            (
                "POST",
                "/proxies",
                json!({"name": "x"}),
                400,
                "missing required field: upstream",
            ),
            (
                "POST",
                "/proxies",
                json!({"name": "edge", "upstream": "127.0.0.1:1"}),
                409,
                "proxy already exists",
            ),
            ("POST", "/proxies", taken.clone(), 500, ""),
            ("GET", "/proxies/none", Value::Null, 404, "proxy not found"),
            ("POST", "/proxies/none", json!({}), 404, "proxy not found"),
            (
                "DELETE",
                "/proxies/none",
                Value::Null,
                404,
                "proxy not found",
            ),
            (
                "POST",
                "/proxies/edge",
                Value::Null,
                400,
                "bad request body",
            ),
            (
                "POST",
                "/proxies/edge",
                json!({"enabled": 1}),
                400,
                "bad request body",
            ),
            (
                "GET",
                "/proxies/none/toxics",
                Value::Null,
                404,
                "proxy not found",
            ),
            (
                "POST",
                "/proxies/none/toxics",
                json!({}),
                404,
                "proxy not found",
            ),
            (
                "DELETE",
                "/proxies/none/toxics/x",
                Value::Null,
                404,
                "proxy not found",
            ),
            ("POST", toxics, Value::Null, 400, "bad request body"),
            ("POST", toxics, json!({}), 400, "invalid toxic type"),
            (
                "POST",
                toxics,
                json!({"type": "x"}),
                400,
                "invalid toxic type",
            ),
            (
                "POST",
                toxics,
                json!({"type": "latency", "stream": "x"}),
                400,
                "stream was invalid",
            ),
            (
                "POST",
                toxics,
                json!({"type": "latency", "name": "taken"}),
                409,
                "toxic already exists",
            ),
            (
                "POST",
                toxics,
                json!({"type": "latency", "attributes": {"latency": "1"}}),
                400,
                "bad request body",
            ),
            (
                "POST",
                toxics,
                json!({"type": "latency", "attributes": {"latency": 1.5}}),
                400,
                "bad request body",
            ),
            (
                "GET",
                "/proxies/edge/toxics/none",
                Value::Null,
                404,
                "toxic not found",
            ),
            (
                "POST",
                "/proxies/edge/toxics/none",
                json!({}),
                404,
                "toxic not found",
            ),
            (
                "DELETE",
                "/proxies/edge/toxics/none",
                Value::Null,
                404,
                "toxic not found",
            ),
            (
                "POST",
                "/proxies/edge/toxics/taken",
                json!({"toxicity": "1"}),
                400,
                "bad request body",
            ),
            ("POST", "/populate", json!({}), 400, "bad request body"),
            (
                "POST",
                "/populate",
                json!([{}]),
                400,
                "missing required field: name",
            ),
            (
                "POST",
                "/populate",
                json!([{"name": "x"}]),
                400,
                "missing required field: upstream",
            ),
            ("POST", "/populate", json!([taken]), 500, ""),
        ] {
            let (got, answer) = api.call(method, path, body.clone()).await;
            let what = format!("{method} {path} {body}: {got} {answer}");
            assert_eq!(got, status, "{what}");
            assert_eq!(answer["status"], status, "{what}");
            let error = answer["error"].as_str().unwrap();
            assert!(error.starts_with(begin), "{what}");
        }
        let (status, _) = api.get("/no/such/route").await;
        assert_eq!(status, 404);
        let (status, _) = api.call("PUT", "/proxies", json!({})).await;
        assert_eq!(status, 405);
        let (_, answer) = api.get("/proxies").await;
        assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    }

    pub(super) async fn browsers_are_turned_away(api: &Api) {
        let agent = |name| format!("Host: {}\r\nUser-Agent: {name}\r\n", api.address);
        for (name, status) in [("Mozilla/5.0 (X11)", 403), ("curl/8", 200)] {
            assert_eq!(api.raw("GET", "/proxies", &agent(name), "").await.0, status);
        }
    }

    pub(super) async fn toxics_are_shown_as_they_were_made(api: &Api) {
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

    pub(super) async fn an_update_leaves_the_other_attributes_as_they_are(api: &Api) {
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

    pub(super) async fn much_data_arrives_whole_in_both_directions(api: &Api) {
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

    pub(super) async fn the_server_sees_that_a_client_has_gone(api: &Api) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap().to_string();
        let body = json!({"name": "edge", "listen": "127.0.0.1:0", "upstream": upstream});
        let (_, answer) = api.post("/proxies", body).await;
        let address = answer["listen"].as_str().unwrap().parse().unwrap();
        let wire = Wire::open(address).await;
        let (stream, _) = soon("the proxy's connection", listener.accept())
            .await
            .unwrap();
        let mut server_side = Wire(stream);
        drop(wire);
        assert_eq!(server_side.end().await.0, b"");
    }

    pub(super) async fn without_a_server_connections_are_closed(api: &Api) {
        let (server, address, _wire) = edge(api).await;
        drop(server);
        let mut wire = Wire::open(address).await;
        assert_eq!(wire.end().await.0, b"");
    }

    pub(super) async fn latency_delays(api: &Api) {
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
            let mut late = [0; 4];
            soon(
                "what was late",
                tokio::io::AsyncReadExt::read_exact(&mut open.0, &mut late),
            )
            .await
            .unwrap();
            assert_eq!(&late, b"late");
            open.ask(b"a").await;
            new.ask(b"a").await;
            Wire::open(address).await.ask(b"a").await;
        }
    }

    pub(super) async fn latency_with_jitter_delays_and_keeps_the_order(api: &Api) {
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
        let mut got = vec![0; sent.len()];
        soon(
            "all bytes",
            tokio::io::AsyncReadExt::read_exact(&mut open.0, &mut got),
        )
        .await
        .unwrap();
        assert_eq!(got, sent);
        assert!(open.ask(b"a").await >= ms(20));
    }

    pub(super) async fn latency_does_not_add_up(api: &Api) {
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
        let mut got = vec![0; sent.len()];
        soon(
            "all bytes",
            tokio::io::AsyncReadExt::read_exact(&mut open.0, &mut got),
        )
        .await
        .unwrap();
        assert_eq!(got, sent);
    }

    pub(super) async fn several_latencies_add_up(api: &Api) {
        let (_server, address, mut open) = edge(api).await;
        for (name, stream) in [("a", "downstream"), ("b", "downstream"), ("c", "upstream")] {
            let attributes = json!({"latency": 100});
            api.toxic(json!({"name": name, "type": "latency", "stream": stream, "attributes": attributes}))
                .await;
        }
        assert!(open.ask(b"a").await >= ms(300));
        assert!(Wire::open(address).await.ask(b"a").await >= ms(300));
        api.remove_toxic("a").await;
        assert!(open.ask(b"a").await >= ms(200));
    }

    pub(super) async fn bandwidth_limits_the_rate(api: &Api) {
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

    pub(super) async fn slow_close_delays_the_end(api: &Api) {
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

    pub(super) async fn timeout_swallows_and_its_removal_closes(api: &Api) {
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

    pub(super) async fn timeout_closes_after_its_time(api: &Api) {
        let (_server, address, mut open) = edge(api).await;
        let begin = Instant::now();
        api.toxic(json!({"type": "timeout", "attributes": {"timeout": 300}}))
            .await;
        let mut new = Wire::open(address).await;
        assert_eq!(open.end().await.0, b"");
        assert!(begin.elapsed() >= ms(300));
        assert_eq!(new.end().await.0, b"");
    }

    pub(super) async fn reset_peer_ends_connections(api: &Api) {
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

    pub(super) async fn slicer_cuts_data_into_pieces(api: &Api) {
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

    pub(super) async fn limit_data_ends_a_connection_after_so_much(api: &Api) {
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

    pub(super) async fn toxicity_spares_connections(api: &Api) {
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

    pub(super) async fn a_proxy_goes_down_and_up_again(api: &Api) {
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

    pub(super) async fn another_server_drops_the_connections(api: &Api) {
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

    pub(super) async fn reset_takes_everything_away(api: &Api) {
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
        let mut byte = [0];
        soon(
            "what was late",
            tokio::io::AsyncReadExt::read_exact(&mut open.0, &mut byte),
        )
        .await
        .unwrap();
        Wire::open(address).await.ask(b"a").await;
    }

    pub(super) async fn populate_makes_proxies_and_keeps_those_that_are_right(api: &Api) {
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
}
