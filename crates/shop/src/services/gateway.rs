//! The outside payment gateway. It answers in some milliseconds; with the fault it becomes slow
//! and takes few requests at a time, so that a queue builds up in it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fault::board::FaultBoard;
use crate::kit::Kit;
use crate::record::While;
use crate::telemetry::Telemetry;
use loadgen_shop_api::ShopFault;

/// Milliseconds of an authorisation in good times.
const USUAL_MS: std::ops::Range<f64> = 8.0..20.0;
/// Milliseconds that are added at intensity 1.
const ADDED_MS: std::ops::Range<f64> = 280.0..420.0;
/// Authorisations at a time while the gateway is slow.
const SLOW_LANES: usize = 3;

#[derive(Clone)]
struct Gateway {
    telemetry: Arc<Telemetry>,
    faults: Arc<FaultBoard>,
    lanes: Arc<Semaphore>,
}

pub(super) fn routes(kit: &Kit) -> Router {
    Router::new()
        .route("/charge", post(charge))
        .with_state(Gateway {
            telemetry: Arc::clone(&kit.telemetry),
            faults: Arc::clone(&kit.faults),
            lanes: Arc::new(Semaphore::new(SLOW_LANES)),
        })
}

async fn charge(State(gateway): State<Gateway>, headers: HeaderMap) -> Json<Value> {
    let usual = Duration::from_secs_f64(rand::random_range(USUAL_MS) / 1e3);
    if gateway.faults.gateway.level() > 0.0 {
        let context = gateway.telemetry.extract(&headers);
        let _recorded = While::new(&gateway.telemetry.record, ShopFault::SlowGateway, &context);
        tokio::select! {
            () = slow_lane(&gateway) => {}
            // Those that queue when the fault is taken off go on at once.
            () = gateway.faults.gateway.off() => {}
        }
    }
    tokio::time::sleep(usual).await;
    Json(json!({
        "authorisation": uuid::Uuid::new_v4().to_string(),
        "status": "approved",
    }))
}

async fn slow_lane(gateway: &Gateway) {
    // The semaphore is never closed, so there is always a permit to wait for.
    let _lane = gateway.lanes.acquire().await;
    let added = rand::random_range(ADDED_MS) * gateway.faults.gateway.level();
    tokio::time::sleep(Duration::from_secs_f64(added / 1e3)).await;
}
