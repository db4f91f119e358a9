//! The services: routes, statements and seed data of each.

mod cart;
mod catalogue;
mod dispatch;
mod gateway;
mod geography;
mod payment;
mod ratings;
mod shipping;
mod user;
mod web;

use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::error::ShopError;
use crate::kit::Kit;
use loadgen_shop_api::Service;

/// How long a service waits for another one.
const INNER_TIMEOUT: Duration = Duration::from_secs(2);

/// The routes of a service, with its state behind them.
pub(crate) async fn routes(service: Service, kit: &Kit) -> Result<Router, ShopError> {
    let router = match service {
        // The edge has pages, not a health route.
        Service::Web => return web::routes(kit),
        Service::Catalogue => catalogue::routes(kit).await?,
        Service::User => user::routes(kit).await?,
        Service::Cart => cart::routes(kit).await?,
        Service::Shipping => shipping::routes(kit).await?,
        Service::Ratings => ratings::routes(kit).await?,
        Service::Payment => payment::routes(kit)?,
        Service::Dispatch => dispatch::routes(kit).await?,
        Service::Gateway => gateway::routes(kit),
    };
    Ok(router.route("/health", get(health)))
}

async fn health() -> Json<Value> {
    Json(json!({ "app": "OK" }))
}
