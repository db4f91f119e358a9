//! Metrics as a real OTLP receiver gets them.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::receiver::{Point, Receiver, find};
use crate::shop::Shop;

/// All that send telemetry.
const SERVICES: [&str; 8] = [
    "web",
    "catalogue",
    "user",
    "cart",
    "shipping",
    "ratings",
    "payment",
    "dispatch",
];

/// The last value of a metric of a service with an attribute.
fn last(points: &[Point], service: &str, metric: &str, attribute: Option<(&str, &str)>) -> f64 {
    let point = points.iter().rev().find(|p| {
        let fits = |(key, value)| find(&p.attributes, key).as_deref() == Some(value);
        p.service == service && p.metric == metric && attribute.is_none_or(fits)
    });
    point
        .unwrap_or_else(|| panic!("no {metric} of {service}"))
        .value
}

#[tokio::test]
async fn every_kind_of_metric_arrives_and_counts_right() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    for _ in 0..20 {
        assert_eq!(shop.get("/api/catalogue/product/RED").await.status, 200);
    }
    let cart = json!({ "total": 1, "items": [{ "sku": "SHIP" }] });
    for _ in 0..3 {
        let paid = shop
            .send(Method::POST, "/api/payment/pay/stan", Some(&cart))
            .await;
        assert_eq!(paid.status, 200);
    }
    assert_eq!(shop.stop().await, Some(0));
    let points = receiver.points();
    let value = |service, metric, attribute| last(&points, service, metric, attribute);

    let route = Some(("http.route", "/product/{sku}"));
    assert_eq!(
        value("catalogue", "http.server.request.duration", route),
        20.0
    );
    assert_eq!(value("catalogue", "http.server.active_requests", None), 0.0);
    let charge = Some(("url.template", "/charge"));
    assert_eq!(
        value("payment", "http.client.request.duration", charge),
        3.0
    );
    let result = |result| Some(("cache.result", result));
    assert_eq!(value("catalogue", "cache.requests", result("hit")), 19.0);
    assert_eq!(value("catalogue", "cache.requests", result("miss")), 1.0);
    assert_eq!(
        value("catalogue", "cache.size", Some(("cache.name", "products"))),
        1.0
    );
    let table = Some(("db.collection.name", "stock"));
    assert_eq!(
        value("catalogue", "db.client.operation.duration", table),
        20.0
    );
    assert_eq!(value("catalogue", "db.client.connection.max", None), 8.0);
    assert_eq!(
        value("catalogue", "db.client.connection.pending_requests", None),
        0.0
    );
    let state = |state| Some(("db.client.connection.state", state));
    assert_eq!(
        value("catalogue", "db.client.connection.count", state("idle")),
        8.0
    );
    assert_eq!(
        value("catalogue", "db.client.connection.count", state("used")),
        0.0
    );
    assert_eq!(
        value("catalogue", "db.client.connection.wait_time", None),
        21.0
    );
    assert_eq!(
        value("payment", "messaging.client.sent.messages", None),
        3.0
    );
    value("dispatch", "messaging.queue.depth", None);

    for metric in [
        "process.cpu.time",
        "process.cpu.utilization",
        "process.memory.usage",
    ] {
        let services: BTreeSet<_> = points
            .iter()
            .filter(|p| p.metric == metric)
            .map(|p| p.service.as_str())
            .collect();
        assert_eq!(services, BTreeSet::from(SERVICES), "{metric}");
    }
    assert!(value("catalogue", "process.memory.usage", None) > 1e6);
    // Counted in steps of 10 ms, so a single service may not have got to one.
    let cpu: f64 = SERVICES
        .iter()
        .map(|s| last(&points, s, "process.cpu.time", None))
        .sum();
    assert!(cpu > 0.0);
}
