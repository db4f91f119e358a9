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
use crate::queue::{Delivery, Intake, PUBLISH_PATH};
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
    for number in 1..=CONSUMERS {
        let (telemetry, database) = (Arc::clone(&kit.telemetry), database.clone());
        let (outlet, faults) = (Arc::clone(&outlet), Arc::clone(&kit.faults));
        // With the fault, as many of the consumers stand still as its level says.
        let works = move |level: f64| level * (CONSUMERS as f64) < number as f64;
        kit.spawn(async move {
            loop {
                faults.consumers.until(works).await;
                let Some(delivery) = outlet.next().await else {
                    break;
                };
                let result = process(&telemetry, &database, &delivery).await;
                delivery.done(result);
            }
        });
    }
    Ok(Router::new().route(
        PUBLISH_PATH,
        post(async move |message| intake.accept(message)),
    ))
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
