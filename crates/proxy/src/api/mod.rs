//! Toxiproxy's HTTP API, and leases.

pub(crate) mod body;
pub(crate) mod error;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::USER_AGENT;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::options::ProxySpec;
use crate::registry::Registry;
use body::{NewToxic, ProxyChange, ProxyView, ToxicChange, ToxicView};
use error::ApiError;

/// All proxies. Changes are made one after the other.
pub(crate) type Shared = Arc<Mutex<Registry>>;

type Answer<T> = Result<T, ApiError>;

pub(crate) fn routes(registry: Shared) -> Router {
    Router::new()
        .route("/version", get(version))
        .route("/proxies", get(list).post(create))
        .route("/populate", post(populate))
        .route("/reset", post(reset))
        .route(
            "/proxies/{proxy}",
            get(show).post(update).patch(update).delete(delete),
        )
        .route("/proxies/{proxy}/toxics", get(toxics).post(add_toxic))
        .route(
            "/proxies/{proxy}/toxics/{toxic}",
            get(toxic)
                .post(update_toxic)
                .patch(update_toxic)
                .delete(remove_toxic),
        )
        .route("/leases/{owner}", post(renew).delete(release))
        .fallback(async || ApiError::NoRoute)
        .layer(middleware::from_fn(no_browsers))
        .with_state(registry)
}

/// A web page in a browser of this machine must not be able to change anything.
async fn no_browsers(request: Request, next: Next) -> Response {
    let agent = request.headers().get(USER_AGENT);
    match agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/")) {
        true => ApiError::Browser.into_response(),
        false => next.run(request).await,
    }
}

/// Clients of Toxiproxy send no content type, or any.
fn read<T: DeserializeOwned>(body: &Bytes) -> Answer<T> {
    serde_json::from_slice(body).map_err(|error| ApiError::BadBody(error.to_string()))
}

/// Makes a change to its end, also when whoever asked for it hangs up meanwhile.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Answer<T>> + Send + 'static,
) -> Answer<T> {
    let change = tokio::spawn(change).await;
    change.unwrap_or_else(|error| Err(ApiError::Broken(error.to_string())))
}

async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION"), "name": "loadgen" }))
}

async fn list(State(registry): State<Shared>) -> Json<Value> {
    Json(json!(registry.lock().await.list()))
}

async fn create(
    State(registry): State<Shared>,
    body: Bytes,
) -> Answer<(StatusCode, Json<ProxyView>)> {
    let new: ProxySpec = read(&body)?;
    let change = async move { registry.lock().await.create(new).await };
    let created = to_its_end(change).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn populate(
    State(registry): State<Shared>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let all: Vec<ProxySpec> = read(&body)?;
    let change = async move { Ok(registry.lock().await.populate(all).await) };
    let (done, error) = to_its_end(change).await?;
    let mut answer = json!({ "proxies": done });
    let Some(error) = error else {
        return Ok((StatusCode::CREATED, Json(answer)));
    };
    let body = error.body();
    answer["error"] = json!(body.error);
    answer["status"] = json!(body.status);
    Ok((error.status(), Json(answer)))
}

async fn reset(State(registry): State<Shared>) -> Answer<StatusCode> {
    to_its_end(async move { registry.lock().await.reset().await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show(
    State(registry): State<Shared>,
    Path(proxy): Path<String>,
) -> Answer<Json<ProxyView>> {
    registry.lock().await.show(&proxy).map(Json)
}

async fn update(
    State(registry): State<Shared>,
    Path(proxy): Path<String>,
    body: Bytes,
) -> Answer<Json<ProxyView>> {
    // A proxy that is not there is told before a body that can't be read, as in Toxiproxy.
    registry.lock().await.show(&proxy)?;
    let wanted: ProxyChange = read(&body)?;
    let change = async move {
        let mut registry = registry.lock().await;
        registry.update(&proxy, wanted, Instant::now()).await
    };
    to_its_end(change).await.map(Json)
}

async fn delete(State(registry): State<Shared>, Path(proxy): Path<String>) -> Answer<StatusCode> {
    to_its_end(async move { registry.lock().await.delete(&proxy).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn toxics(
    State(registry): State<Shared>,
    Path(proxy): Path<String>,
) -> Answer<Json<Vec<ToxicView>>> {
    registry.lock().await.toxics(&proxy).map(Json)
}

async fn add_toxic(
    State(registry): State<Shared>,
    Path(proxy): Path<String>,
    body: Bytes,
) -> Answer<Json<ToxicView>> {
    let mut registry = registry.lock().await;
    registry.show(&proxy)?;
    let new: NewToxic = read(&body)?;
    registry.add_toxic(&proxy, new, Instant::now()).map(Json)
}

async fn toxic(
    State(registry): State<Shared>,
    Path((proxy, toxic)): Path<(String, String)>,
) -> Answer<Json<ToxicView>> {
    registry.lock().await.toxic(&proxy, &toxic).map(Json)
}

async fn update_toxic(
    State(registry): State<Shared>,
    Path((proxy, toxic)): Path<(String, String)>,
    body: Bytes,
) -> Answer<Json<ToxicView>> {
    let mut registry = registry.lock().await;
    registry.toxic(&proxy, &toxic)?;
    let change: ToxicChange = read(&body)?;
    let changed = registry.update_toxic(&proxy, &toxic, change, Instant::now());
    changed.map(Json)
}

async fn remove_toxic(
    State(registry): State<Shared>,
    Path((proxy, toxic)): Path<(String, String)>,
) -> Answer<StatusCode> {
    registry.lock().await.remove_toxic(&proxy, &toxic)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn renew(State(registry): State<Shared>, Path(owner): Path<String>) -> Json<Value> {
    let renewed = registry.lock().await.renew(&owner, Instant::now());
    Json(json!({ "owner": owner, "renewed": renewed }))
}

async fn release(State(registry): State<Shared>, Path(owner): Path<String>) -> Answer<Json<Value>> {
    let whose = owner.clone();
    let change = async move { registry.lock().await.release(&whose).await };
    let removed = to_its_end(change).await?;
    Ok(Json(json!({ "owner": owner, "removed": removed })))
}
