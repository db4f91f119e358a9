//! The shop's admin API: health of all services, and faults, which it passes on to the service
//! that is to have them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::control::Injection;
use crate::error::ShopError;
use crate::fault::{Fault, Intensity};
use crate::name::Service;

/// How long a service may take to put a fault on or take it off. Whoever asks for it should wait
/// for longer.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(5);
/// How long a service may take to say that it is well.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

/// A fault that is on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Active {
    fault: Fault,
    service: Service,
    intensity: f64,
}

struct Admin {
    http: reqwest::Client,
    controls: BTreeMap<Service, String>,
    active: Mutex<BTreeMap<(Fault, Service), f64>>,
}

/// `controls` are the base URLs of the services' own admin listeners.
pub(crate) fn routes(controls: BTreeMap<Service, String>) -> Result<Router, ShopError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(CHANGE_LIMIT)
        .build()
        .map_err(|error| ShopError::NotReady {
            service: Service::Web,
            reason: format!("no HTTP client for the admin API: {error}"),
        })?;
    let admin = Arc::new(Admin {
        http,
        controls,
        active: Mutex::default(),
    });
    Ok(Router::new()
        .route("/health", get(health))
        .route("/faults", get(list).delete(clear_all))
        .route("/faults/{fault}", put(inject).delete(clear))
        .fallback(async || {
            Refusal::new(StatusCode::NOT_FOUND, "no such route")
                .with("allowed", json!(["/health", "/faults", "/faults/{fault}"]))
        })
        .with_state(admin))
}

/// An error with a hint of what would have been right.
struct Refusal {
    status: StatusCode,
    body: serde_json::Map<String, Value>,
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let mut body = serde_json::Map::new();
        body.insert("error".to_owned(), Value::String(error.into()));
        Refusal { status, body }
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.body.insert(key.to_owned(), value);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Value::Object(self.body))).into_response()
    }
}

/// The names in a path and body, read and checked against each other.
fn target(fault: &str, service: Option<&str>) -> Result<(Fault, Service), Refusal> {
    let names = |list: &[Service]| json!(list.iter().map(|s| s.as_str()).collect::<Vec<_>>());
    let fault: Fault = fault.parse().map_err(|()| {
        let all: Vec<_> = Fault::ALL.iter().map(|f| f.as_str()).collect();
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no fault `{fault}`"),
        )
        .with("allowed", json!(all))
    })?;
    let service = service.ok_or_else(|| {
        Refusal::new(StatusCode::BAD_REQUEST, "`service` is missing")
            .with("allowed", names(fault.services()))
    })?;
    let service: Service = service.parse().map_err(|()| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no service `{service}`"),
        )
        .with("allowed", names(fault.services()))
    })?;
    if !fault.services().contains(&service) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("{fault} is not possible in {service}"),
        )
        .with("allowed", names(fault.services())));
    }
    Ok((fault, service))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InjectBody {
    service: Option<String>,
    intensity: f64,
}

async fn inject(
    State(admin): State<Arc<Admin>>,
    Path(fault): Path<String>,
    body: Bytes,
) -> Result<Json<Active>, Refusal> {
    let body: InjectBody = serde_json::from_slice(&body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body cannot be read: {error}"),
        )
        .with(
            "allowed",
            json!({ "service": "catalogue", "intensity": 0.8 }),
        )
    })?;
    let (fault, service) = target(&fault, body.service.as_deref())?;
    let intensity = Intensity::try_from(body.intensity).map_err(|reason| {
        Refusal::new(StatusCode::BAD_REQUEST, reason)
            .with("allowed", json!({ "above": 0, "at_most": 1 }))
    })?;
    let url = admin.control(fault, service)?;
    admin
        .change(
            service,
            admin.http.put(url).json_body(&Injection { intensity }),
        )
        .await?;
    admin.active().insert((fault, service), intensity.get());
    Ok(Json(Active {
        fault,
        service,
        intensity: intensity.get(),
    }))
}

#[derive(Debug, Deserialize)]
struct ClearQuery {
    service: Option<String>,
}

async fn clear(
    State(admin): State<Arc<Admin>>,
    Path(fault): Path<String>,
    Query(query): Query<ClearQuery>,
) -> Result<Json<Value>, Refusal> {
    let (fault, service) = target(&fault, query.service.as_deref())?;
    let url = admin.control(fault, service)?;
    admin.change(service, admin.http.delete(url)).await?;
    let was_active = admin.active().remove(&(fault, service)).is_some();
    Ok(Json(
        json!({ "fault": fault, "service": service, "was_active": was_active }),
    ))
}

/// Takes everything off everywhere, whatever is known to be on: a change that was not confirmed may
/// have come into force all the same.
async fn clear_all(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Refusal> {
    let mut changes = JoinSet::new();
    for (&process, base) in &admin.controls {
        let request = admin.http.delete(format!("{base}/faults"));
        let admin = Arc::clone(&admin);
        // At the same time, so that it takes no longer than one change.
        changes.spawn(async move {
            admin.change(process, request).await?;
            let mut cleared = Vec::new();
            admin.active().retain(|&(fault, service), &mut intensity| {
                let gone = fault.process(service) == process;
                if gone {
                    cleared.push(Active {
                        fault,
                        service,
                        intensity,
                    });
                }
                !gone
            });
            Ok::<_, Refusal>(cleared)
        });
    }
    let mut cleared = Vec::new();
    for change in changes.join_all().await {
        cleared.extend(change?);
    }
    cleared.sort_by_key(|active| (active.fault, active.service));
    Ok(Json(json!({ "cleared": cleared })))
}

async fn list(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let active: Vec<Active> = admin
        .active()
        .iter()
        .map(|(&(fault, service), &intensity)| Active {
            fault,
            service,
            intensity,
        })
        .collect();
    Json(json!({ "faults": active }))
}

async fn health(State(admin): State<Arc<Admin>>) -> Response {
    let mut services = BTreeMap::new();
    for (service, url) in &admin.controls {
        let answer = admin
            .http
            .get(format!("{url}/health"))
            .timeout(HEALTH_LIMIT)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        services.insert(service.as_str(), if answer.is_ok() { "ok" } else { "down" });
    }
    let well = services.values().all(|state| *state == "ok");
    let (status, text) = match well {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "down"),
    };
    (
        status,
        Json(json!({ "status": text, "services": services })),
    )
        .into_response()
}

impl Admin {
    fn active(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Fault, Service), f64>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self, fault: Fault, service: Service) -> Result<String, Refusal> {
        let process = fault.process(service);
        let base = self.controls.get(&process).ok_or_else(|| {
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                format!("the {process} service does not run"),
            )
        })?;
        Ok(format!("{base}/faults/{fault}"))
    }

    async fn change(
        &self,
        service: Service,
        request: reqwest::RequestBuilder,
    ) -> Result<(), Refusal> {
        let failed = |reason: String| {
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                format!("the {service} service did not confirm: {reason}"),
            )
        };
        let response = request.send().await.map_err(|e| failed(e.to_string()))?;
        if response.status().is_success() {
            return Ok(());
        }
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        Err(failed(format!("it answered {status}: {text}")))
    }
}

/// reqwest's own `json` is a feature that nothing else here needs.
trait JsonBody {
    fn json_body(self, body: &impl Serialize) -> Self;
}

impl JsonBody for reqwest::RequestBuilder {
    fn json_body(self, body: &impl Serialize) -> Self {
        // Plain structs of numbers always become JSON.
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        self.header("content-type", "application/json").body(bytes)
    }
}
