//! A target for the engine: an HTTP server on a free port of the loopback interface.

use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

/// Starts the server on the current runtime; it ends with it. Returns its base URL.
pub(crate) async fn start() -> String {
    let app = Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route(
            "/slow",
            get(|Query(slow): Query<Slow>| async move {
                tokio::time::sleep(Duration::from_millis(slow.ms)).await;
                "late"
            }),
        )
        .route(
            "/status",
            get(|Query(status): Query<Status>| async move {
                StatusCode::from_u16(status.code).unwrap_or(StatusCode::BAD_REQUEST)
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}
