//! The admin listener of a single service: health and faults. Only the supervisor calls it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::error::ShopError;
use crate::fault::board::FaultBoard;
use loadgen_control::Access;
use loadgen_shop_api::{ClientCells, Intensity, Service, ShopFault};

/// Body of `PUT /faults/{fault}` at a service.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Strength {
    pub(crate) intensity: Intensity,
    /// None: all.
    #[serde(default)]
    pub(crate) clients: Option<ClientCells>,
}

/// `GET /health`, `PUT /faults/{fault}`, `DELETE /faults/{fault}`.
pub(crate) fn routes(faults: Arc<FaultBoard>) -> Router {
    Router::new()
        .route("/health", get(async || "OK"))
        .route("/faults/{fault}", put(inject).delete(clear))
        .with_state(faults)
}

/// The routes of a control port on a loopback address, for callers of this machine that are no web
/// page.
pub(crate) fn guarded(routes: Router) -> Result<Router, ShopError> {
    let access = Access::new(Ipv4Addr::LOCALHOST.into(), None);
    let access = access.map_err(|error| ShopError::NotReady {
        service: Service::Web,
        reason: error.to_string(),
    })?;
    Ok(access.protect(routes))
}

async fn inject(
    State(faults): State<Arc<FaultBoard>>,
    Path(fault): Path<ShopFault>,
    Json(strength): Json<Strength>,
) -> Response {
    let Strength { intensity, clients } = strength;
    info!(%fault, ?intensity, "injected");
    answer(faults.inject(fault, intensity, clients).await)
}

async fn clear(State(faults): State<Arc<FaultBoard>>, Path(fault): Path<ShopFault>) -> Response {
    info!(%fault, "cleared");
    answer(faults.clear(fault).await)
}

fn answer(changed: Result<(), String>) -> Response {
    match changed {
        Ok(()) => StatusCode::OK.into_response(),
        Err(reason) => (StatusCode::CONFLICT, reason).into_response(),
    }
}
