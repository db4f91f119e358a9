//! Traces as a real OTLP receiver gets them.

use std::collections::{BTreeSet, HashMap, HashSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::receiver::{Receiver, Seen};
use crate::shop::Shop;

/// Id of the span that the test pretends to have.
const ROOT: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Requests as the engine sends them, each with a trace id of its own.
struct Traced<'a> {
    shop: &'a Shop,
    sent: u32,
}

impl Traced<'_> {
    /// Returns the trace id and the answer's JSON.
    async fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> (String, Value) {
        self.sent += 1;
        let trace = format!("{:032x}", u128::from(self.sent) << 64 | 0xfeed);
        let mut request = self
            .shop
            .request(method, path)
            .header("traceparent", format!("00-{trace}-{ROOT}-01"))
            .header(
                "baggage",
                "anomaly.type=latency_spike,anomaly.root_cause=slow%20query",
            )
            .header("x-anomaly-type", "latency_spike")
            .header("x-anomaly-root-cause", "slow query");
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        let text = response.text().await.expect("a body");
        (
            trace,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }
}

/// A checkout; the trace ids by what they are of.
async fn check_out(shop: &Shop) -> HashMap<&'static str, String> {
    let mut traced = Traced { shop, sent: 0 };
    let (page, _) = traced.send(Method::GET, "/", None).await;
    let (add, _) = traced
        .send(Method::GET, "/api/cart/add/user/RED/1?from=test", None)
        .await;
    let (fetch, _) = traced
        .send(Method::GET, "/api/ratings/api/fetch/RED", None)
        .await;
    let (calc, mut shipping) = traced.send(Method::GET, "/api/shipping/calc/9", None).await;
    shipping["location"] = json!("Here");
    let (confirm, cart) = traced
        .send(Method::POST, "/api/shipping/confirm/user", Some(&shipping))
        .await;
    let (pay, _) = traced
        .send(Method::POST, "/api/payment/pay/user", Some(&cart))
        .await;
    HashMap::from([
        ("page", page),
        ("add", add),
        ("fetch", fetch),
        ("calc", calc),
        ("confirm", confirm),
        ("pay", pay),
    ])
}

fn of<'a>(spans: &'a [Seen], trace: &str) -> Vec<&'a Seen> {
    spans
        .iter()
        .filter(|s| hex(&s.span.trace_id) == trace)
        .collect()
}

fn named<'a>(spans: &[&'a Seen], service: &str, name: &str) -> &'a Seen {
    let found: Vec<_> = spans
        .iter()
        .filter(|s| s.service == service && s.span.name == name)
        .collect();
    assert!(
        !found.is_empty(),
        "no {name:?} of {service} among {:?}",
        spans
            .iter()
            .map(|s| (&s.service, &s.span.name))
            .collect::<Vec<_>>()
    );
    found[0]
}

async fn traced_checkout() -> (Receiver, Vec<Seen>, HashMap<&'static str, String>) {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    let traces = check_out(&shop).await;
    // Dispatch works for a while after the answer; its span ends before the shop does.
    for _ in 0..200 {
        let dispatched = |s: &Seen| s.service == "dispatch" && s.span.name == "process orders";
        if receiver.spans().iter().any(dispatched) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(shop.stop().await, Some(0));
    let spans = receiver.spans();
    (receiver, spans, traces)
}

#[tokio::test]
async fn every_span_has_its_parent_and_its_trace_its_one_root() {
    let (_, spans, traces) = traced_checkout().await;
    let known: HashSet<_> = traces.values().cloned().collect();
    let seen: HashSet<_> = spans.iter().map(|s| hex(&s.span.trace_id)).collect();
    assert_eq!(seen, known, "no trace but those that were asked for");
    for trace in traces.values() {
        let spans = of(&spans, trace);
        let ids: HashSet<_> = spans.iter().map(|s| s.span.span_id.clone()).collect();
        assert_eq!(ids.len(), spans.len(), "ids differ");
        let tops: Vec<_> = spans
            .iter()
            .filter(|s| hex(&s.span.parent_span_id) == ROOT)
            .collect();
        assert_eq!(tops.len(), 1);
        assert_eq!((tops[0].service.as_str(), tops[0].span.kind), ("web", 2));
        for span in &spans {
            let parent = &span.span.parent_span_id;
            assert!(
                ids.contains(parent) || hex(parent) == ROOT,
                "orphan: {span:?}"
            );
            assert!(span.span.end_time_unix_nano >= span.span.start_time_unix_nano);
            assert!(!span.failed(), "{span:?}");
        }
    }
}

#[tokio::test]
async fn a_payment_crosses_five_services_and_the_queue() {
    let (receiver, spans, traces) = traced_checkout().await;
    let pay = of(&spans, &traces["pay"]);
    let services: BTreeSet<_> = pay.iter().map(|s| s.service.as_str()).collect();
    assert_eq!(
        services,
        BTreeSet::from(["web", "payment", "user", "cart", "dispatch"])
    );
    let producer = named(&pay, "payment", "send orders");
    let consumer = named(&pay, "dispatch", "process orders");
    assert_eq!((producer.span.kind, consumer.span.kind), (4, 5));
    assert_eq!(consumer.span.parent_span_id, producer.span.span_id);
    for end in [producer, consumer] {
        assert_eq!(
            end.attribute("messaging.destination.name").as_deref(),
            Some("orders")
        );
    }
    assert_eq!(
        producer.attribute("messaging.message.id"),
        consumer.attribute("messaging.message.id")
    );
    named(&pay, "dispatch", "INSERT dispatched");
    named(&pay, "user", "INSERT orders");
    named(&pay, "cart", "DELETE cart");
    let charge = named(&pay, "payment", "POST /charge");
    assert_eq!(
        charge.attribute("service.peer.name").as_deref(),
        Some("gateway")
    );
    assert!(receiver.resource("gateway", "service.name").is_none());
}

#[tokio::test]
async fn attributes_follow_the_conventions() {
    let (receiver, spans, traces) = traced_checkout().await;
    let add = of(&spans, &traces["add"]);
    let is = |span: &Seen, key: &str, value: &str| {
        assert_eq!(
            span.attribute(key).as_deref(),
            Some(value),
            "{key} of {span:?}"
        );
    };
    let edge = named(&add, "web", "GET /api/cart/");
    is(edge, "http.route", "/api/cart/");
    let server = named(&add, "cart", "GET /add/{id}/{sku}/{qty}");
    assert_eq!(server.span.kind, 2);
    is(server, "http.request.method", "GET");
    is(server, "url.path", "/add/user/RED/1");
    is(server, "url.query", "from=test");
    is(server, "url.scheme", "http");
    is(server, "http.route", "/add/{id}/{sku}/{qty}");
    is(server, "http.response.status_code", "200");
    is(server, "server.address", "127.0.0.1");
    is(server, "client.address", "127.0.0.1");
    is(server, "network.protocol.version", "1.1");
    assert!(server.attribute("server.port").is_some());

    let client = named(&add, "cart", "GET /product/{sku}");
    assert_eq!(client.span.kind, 3);
    is(client, "http.response.status_code", "200");
    is(client, "server.address", "127.0.0.1");
    let called = named(&add, "catalogue", "GET /product/{sku}");
    assert_eq!(called.span.parent_span_id, client.span.span_id);
    let lookup = named(&add, "catalogue", "cache.get products");
    assert_eq!(lookup.span.kind, 1);
    is(lookup, "cache.hit", "false");
    let statement = named(&add, "catalogue", "SELECT stock");
    assert_eq!(statement.span.kind, 3);
    is(statement, "db.system.name", "sqlite");
    is(statement, "db.namespace", "catalogue");
    is(statement, "db.operation.name", "SELECT");
    is(statement, "db.collection.name", "stock");
    is(
        statement,
        "db.query.text",
        "SELECT instock FROM stock WHERE sku = ?1",
    );

    for service in [
        "web",
        "catalogue",
        "cart",
        "shipping",
        "ratings",
        "payment",
        "user",
        "dispatch",
    ] {
        let resource = |key| receiver.resource(service, key);
        assert_eq!(resource("service.name").as_deref(), Some(service));
        assert_eq!(resource("telemetry.sdk.language").as_deref(), Some("rust"));
        for key in [
            "service.instance.id",
            "service.version",
            "process.pid",
            "host.name",
        ] {
            assert!(
                resource(key).is_some_and(|value| !value.is_empty()),
                "{key} of {service}"
            );
        }
    }
}

#[tokio::test]
async fn headers_are_captured_as_each_language_does_and_baggage_is_passed_on() {
    let (_, spans, traces) = traced_checkout().await;
    let dashes = "http.request.header.x-anomaly-root-cause";
    let underscores = "http.request.header.x_anomaly_root_cause";
    let check = |trace: &str, service: &str, name: &str, key: &str, value: Option<&str>| {
        let spans = of(&spans, &traces[trace]);
        let span = named(&spans, service, name);
        assert_eq!(span.attribute(key).as_deref(), value, "{key} of {span:?}");
    };
    check("page", "web", "GET /", dashes, Some("slow query"));
    check("add", "web", "GET /api/cart/", dashes, Some("slow query"));
    check(
        "add",
        "cart",
        "GET /add/{id}/{sku}/{qty}",
        dashes,
        Some("[slow query]"),
    );
    check(
        "calc",
        "shipping",
        "GET /calc/{uuid}",
        dashes,
        Some("[slow query]"),
    );
    check(
        "pay",
        "payment",
        "POST /pay/{id}",
        underscores,
        Some("[slow query]"),
    );
    check("pay", "payment", "POST /pay/{id}", dashes, None);
    check("fetch", "ratings", "GET /api/fetch/{sku}", dashes, None);
    // Services pass on baggage, not headers.
    check("add", "catalogue", "GET /product/{sku}", dashes, None);
    check("pay", "user", "GET /check/{id}", dashes, None);
    // The cart turns it into attributes, of inner spans too, and two hops from the edge too.
    check(
        "confirm",
        "cart",
        "POST /shipping/{id}",
        "anomaly.root_cause",
        Some("slow query"),
    );
    check(
        "confirm",
        "cart",
        "SELECT cart",
        "anomaly.type",
        Some("latency_spike"),
    );
    check("calc", "shipping", "GET /calc/{uuid}", "anomaly.type", None);
}

#[tokio::test]
async fn logs_carry_their_trace() {
    let (receiver, spans, traces) = traced_checkout().await;
    let logs = receiver.logs();
    let ids: HashSet<_> = spans.iter().map(|s| s.span.span_id.clone()).collect();
    assert!(!logs.is_empty());
    for (service, log) in &logs {
        assert!(ids.contains(&log.span_id), "{service}: {log:?}");
    }
    let servers = spans.iter().filter(|s| s.span.kind == 2).count();
    assert!(logs.len() >= servers, "a line a request at least");
    let placed = logs
        .iter()
        .find(|(_, log)| format!("{:?}", log.body).contains("order placed"));
    let (service, log) = placed.expect("the order is logged");
    assert_eq!(
        (service.as_str(), hex(&log.trace_id)),
        ("payment", traces["pay"].clone())
    );
}

#[tokio::test]
async fn a_request_without_trace_context_begins_a_trace_and_a_health_check_does_not() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    shop.get("/api/catalogue/product/RED").await;
    let direct = shop.ready["services"]["catalogue"]["url"]
        .as_str()
        .expect("a URL");
    let health = shop
        .http
        .get(format!("{direct}/health"))
        .send()
        .await
        .expect("an answer");
    assert!(health.status().is_success());
    shop.admin(Method::GET, "/health", None).await;
    shop.stop().await;
    let spans = receiver.spans();
    let traces: HashSet<_> = spans.iter().map(|s| s.span.trace_id.clone()).collect();
    assert_eq!(traces.len(), 1);
    let roots: Vec<_> = spans
        .iter()
        .filter(|s| s.span.parent_span_id.is_empty())
        .collect();
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0].service, "web");
}
