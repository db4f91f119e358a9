//! Takes orders from the queue and works through them: two steps of 42 to 84 ms each, and a row in
//! its ledger.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use opentelemetry::trace::SpanKind;
use rusqlite::Connection;
use serde_json::Value;

use crate::error::ShopError;
use crate::kit::Kit;
use crate::queue::{Delivery, Intake, Outlet, PUBLISH_PATH};
use crate::store::{Database, Statement};
use crate::telemetry::Telemetry;

/// Orders that are worked on at a time: enough for some sixty a second.
const CONSUMERS: usize = 8;
/// Milliseconds of a step.
const STEP_MS: std::ops::Range<u64> = 42..84;
/// The steps.
const STEPS: [&str; 2] = ["pick order", "hand to courier"];

const RECORD: Statement = Statement {
    operation: "INSERT",
    collection: "dispatched",
    text: "INSERT INTO dispatched (orderid, customer) VALUES (?1, ?2)",
};

pub(super) async fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let database = kit.database(schema).await?;
    let (intake, outlet) = Intake::new(&kit.telemetry);
    let outlet = Arc::new(outlet);
    for _ in 0..CONSUMERS {
        let (telemetry, database) = (Arc::clone(&kit.telemetry), database.clone());
        let outlet = Arc::clone(&outlet);
        kit.spawn(async move { consume(&telemetry, &database, &outlet).await });
    }
    Ok(Router::new().route(
        PUBLISH_PATH,
        post(async move |message| intake.accept(message)),
    ))
}

async fn consume(telemetry: &Telemetry, database: &Database, outlet: &Outlet) {
    while let Some(delivery) = outlet.next().await {
        let result = process(telemetry, database, &delivery).await;
        delivery.done(result);
    }
}

async fn process(
    telemetry: &Telemetry,
    database: &Database,
    delivery: &Delivery,
) -> Result<(), String> {
    let cx = delivery.span.context();
    let text = |field: &str| {
        let value = delivery.body.get(field).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .ok_or_else(|| format!("the order has no {field}"))
    };
    let (order, customer) = (text("orderid")?, text("user")?);
    for step in STEPS {
        let span = telemetry.start(cx, SpanKind::Internal, step, Vec::new());
        tokio::time::sleep(Duration::from_millis(rand::random_range(STEP_MS))).await;
        span.end();
    }
    let row = [order.clone(), customer];
    database
        .run(cx, move |s| s.execute(&RECORD, row))
        .await
        .map_err(|error| error.to_string())?;
    telemetry.event(cx, "order dispatched", vec![("order.id", order.into())]);
    Ok(())
}

fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE dispatched (id INTEGER PRIMARY KEY, orderid TEXT NOT NULL,
                                  customer TEXT NOT NULL)",
    )
}
