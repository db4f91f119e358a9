//! The admin listener of a single service: health and faults. Only the supervisor calls it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::fault::board::FaultBoard;
use crate::fault::{Fault, Intensity};

/// Body of `PUT /faults/{fault}` at a service.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Injection {
    pub(crate) intensity: Intensity,
}

/// `GET /health`, `DELETE /faults`, `PUT /faults/{fault}`, `DELETE /faults/{fault}`.
pub(crate) fn routes(faults: Arc<FaultBoard>) -> Router {
    Router::new()
        .route("/health", get(async || "OK"))
        .route("/faults", delete(clear_all))
        .route("/faults/{fault}", put(inject).delete(clear))
        .with_state(faults)
}

async fn inject(
    State(faults): State<Arc<FaultBoard>>,
    Path(fault): Path<Fault>,
    Json(injection): Json<Injection>,
) -> Response {
    match faults.inject(fault, injection.intensity).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(reason) => (StatusCode::CONFLICT, reason).into_response(),
    }
}

async fn clear(State(faults): State<Arc<FaultBoard>>, Path(fault): Path<Fault>) -> StatusCode {
    faults.clear(fault).await;
    StatusCode::OK
}

async fn clear_all(State(faults): State<Arc<FaultBoard>>) -> StatusCode {
    faults.clear_all().await;
    StatusCode::OK
}
