//! The shop's admin API: health of all services, and faults, which it passes on to the service
//! that is to have them. Each fault has an owner, and nobody else changes it or takes it away, but
//! for the shop itself when its lease is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use loadgen_shop_api::{ActiveFaults, ClearAnswer, HeldFault, InjectRequest, Renewed};
use loadgen_shop_api::{Intensity, Service, ShopFault};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinSet;

use crate::control::Strength;
use crate::error::ShopError;
use crate::lease::{self, Lease};

/// How long a service may take to put a fault on or take it off. Whoever asks for it should wait
/// for longer.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(5);
/// How long a service may take to say that it is well.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);
/// Milliseconds that a lease may have: up to a day.
const LEASE_MS: std::ops::RangeInclusive<u64> = 1..=86_400_000;

struct Admin {
    http: reqwest::Client,
    controls: BTreeMap<Service, String>,
    /// Faults that are on, or may be.
    held: Mutex<BTreeMap<(ShopFault, Service), Held>>,
    /// By process: its changes come one after the other.
    turns: BTreeMap<Service, Arc<tokio::sync::Mutex<()>>>,
}

/// A fault that is on, or may be.
struct Held {
    active: HeldFault,
    lease: Option<Lease>,
}

impl Held {
    /// Its lease begins now.
    fn new(active: HeldFault) -> Self {
        Held {
            lease: active
                .lease_ms
                .map(|ms| Lease::new(Duration::from_millis(ms))),
            active,
        }
    }
}

/// `controls` are the base URLs of the services' own admin listeners.
pub(crate) fn routes(controls: BTreeMap<Service, String>) -> Result<Router, ShopError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(CHANGE_LIMIT)
        // A service without file descriptors accepts no new connection: the one that put the fault
        // on must be there to take it off.
        .pool_idle_timeout(None)
        .build()
        .map_err(|error| ShopError::NotReady {
            service: Service::Web,
            reason: format!("no HTTP client for the admin API: {error}"),
        })?;
    let admin = Arc::new(Admin {
        http,
        turns: controls
            .keys()
            .map(|process| (*process, Arc::default()))
            .collect(),
        controls,
        held: Mutex::default(),
    });
    Ok(Router::new()
        .route("/health", get(health))
        .route("/faults", get(list).delete(clear_all))
        .route("/faults/{fault}", put(inject).delete(clear))
        .route("/leases/{owner}", post(renew))
        .fallback(async || {
            let routes = ["/health", "/faults", "/faults/{fault}", "/leases/{owner}"];
            Refusal::new(StatusCode::NOT_FOUND, "no such route").with("allowed", json!(routes))
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

fn is_held(other: &HeldFault) -> Refusal {
    let HeldFault {
        fault,
        service,
        owner,
        ..
    } = other;
    let whose = match owner.is_empty() {
        true => "it was made by hand".to_owned(),
        false => format!("it is of {owner}"),
    };
    Refusal::new(
        StatusCode::CONFLICT,
        format!("{service} has the fault {fault} already, and {whose}"),
    )
    .with("owner", json!(owner))
}

/// The names in a path and body, read and checked against each other.
fn target(fault: &str, service: Option<&str>) -> Result<(ShopFault, Service), Refusal> {
    let names = |list: &[Service]| json!(list.iter().map(|s| s.as_str()).collect::<Vec<_>>());
    let fault: ShopFault = fault.parse().map_err(|()| {
        let all: Vec<_> = ShopFault::ALL.iter().map(|f| f.as_str()).collect();
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

async fn inject(
    State(admin): State<Arc<Admin>>,
    Path(fault): Path<String>,
    body: Bytes,
) -> Result<Json<HeldFault>, Refusal> {
    let body: InjectRequest = serde_json::from_slice(&body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body cannot be read: {error}"),
        )
        .with(
            "allowed",
            json!({ "service": "catalogue", "intensity": 0.8, "owner": "" }),
        )
    })?;
    let (fault, service) = target(&fault, body.service.as_deref())?;
    let intensity = Intensity::try_from(body.intensity).map_err(|reason| {
        Refusal::new(StatusCode::BAD_REQUEST, reason)
            .with("allowed", json!({ "above": 0, "at_most": 1 }))
    })?;
    if let Some(ms) = body.lease_ms.filter(|ms| !LEASE_MS.contains(ms)) {
        let (least, most) = (LEASE_MS.start(), LEASE_MS.end());
        let reason = format!("lease_ms is {ms}, but must be from {least} to {most}");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason)
            .with("allowed", json!({ "at_least": least, "at_most": most })));
    }
    if body.clients.is_some() && !fault.is_by_client() {
        let by_client = ShopFault::ALL.iter().filter(|fault| fault.is_by_client());
        let all: Vec<_> = by_client.map(|fault| fault.as_str()).collect();
        let reason =
            format!("{fault} acts on no single requests: it can't be for some clients only");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason).with("allowed", json!(all)));
    }
    let asked = HeldFault {
        fault,
        service,
        intensity: intensity.get(),
        owner: body.owner,
        clients: body.clients,
        confirmed: false,
        lease_ms: body.lease_ms,
    };
    let change = async move { admin.inject(asked, intensity).await };
    to_its_end(change).await.map(Json)
}

/// Begins all leases of an owner anew, but for those that are over.
async fn renew(State(admin): State<Arc<Admin>>, Path(owner): Path<String>) -> Json<Renewed> {
    let mut held = admin.held();
    let of_owner = held.values_mut().filter(|held| held.active.owner == owner);
    let leases = of_owner.filter_map(|held| held.lease.as_mut());
    let renewed = leases.map(Lease::renew).filter(|renewed| *renewed).count();
    drop(held);
    Json(Renewed { owner, renewed })
}

/// Whose faults, and in a path also where.
#[derive(Debug, Deserialize)]
struct WhichFaults {
    service: Option<String>,
    #[serde(default)]
    owner: String,
}

async fn clear(
    State(admin): State<Arc<Admin>>,
    Path(fault): Path<String>,
    Query(which): Query<WhichFaults>,
) -> Result<Json<ClearAnswer>, Refusal> {
    let (fault, service) = target(&fault, which.service.as_deref())?;
    let change = async move { admin.clear(fault, service, &which.owner).await };
    to_its_end(change).await.map(Json)
}

/// Takes off everything that an owner has put on.
async fn clear_all(
    State(admin): State<Arc<Admin>>,
    Query(which): Query<WhichFaults>,
) -> Result<Json<Value>, Refusal> {
    let mut changes = JoinSet::new();
    let of_owner = admin.list();
    for active in of_owner.into_iter().filter(|a| a.owner == which.owner) {
        let admin = Arc::clone(&admin);
        // At the same time, so that it takes no longer than the changes of one service.
        changes.spawn(async move {
            let (fault, service) = (active.fault, active.service);
            let cleared = admin.clear(fault, service, &active.owner).await?;
            Ok::<_, Refusal>(cleared.was_active.then_some(active))
        });
    }
    let mut cleared = Vec::new();
    for change in changes.join_all().await {
        cleared.extend(change?);
    }
    cleared.sort_by_key(|active| (active.fault, active.service));
    Ok(Json(json!({ "cleared": cleared })))
}

async fn list(State(admin): State<Arc<Admin>>) -> Json<ActiveFaults> {
    Json(ActiveFaults {
        faults: admin.list(),
    })
}

/// Makes a change to its end, also when whoever asked for it hangs up meanwhile: half a change
/// would be in nobody's list.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        let reason = format!("the change broke down: {error}");
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason))
    })
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
    async fn inject(
        self: &Arc<Self>,
        asked: HeldFault,
        intensity: Intensity,
    ) -> Result<HeldFault, Refusal> {
        let (fault, service) = (asked.fault, asked.service);
        let url = self.control(fault, service)?;
        let _turn = self.turn(fault, service).await;
        {
            let mut held = self.held();
            let before = held.get(&(fault, service));
            if let Some(other) = before
                && other.active.owner != asked.owner
            {
                return Err(is_held(&other.active));
            }
            // One that has a lease is watched already.
            if asked.lease_ms.is_some() && before.is_none_or(|held| held.lease.is_none()) {
                tokio::spawn(Arc::clone(self).watch_lease(fault, service));
            }
            // Before the change: one that is not confirmed may have come into force all the same.
            held.insert((fault, service), Held::new(asked.clone()));
        }
        let clients = asked.clients;
        let request = self.http.put(url).json(&Strength { intensity, clients });
        self.change(service, request).await?;
        let active = HeldFault {
            confirmed: true,
            ..asked
        };
        let confirmed = Held::new(active.clone());
        self.held().insert((fault, service), confirmed);
        Ok(active)
    }

    async fn clear(
        &self,
        fault: ShopFault,
        service: Service,
        owner: &str,
    ) -> Result<ClearAnswer, Refusal> {
        let url = self.control(fault, service)?;
        let _turn = self.turn(fault, service).await;
        let held = self
            .held()
            .get(&(fault, service))
            .map(|held| held.active.clone());
        let mut cleared = ClearAnswer {
            fault,
            service,
            was_active: held.as_ref().is_some_and(|held| held.owner == owner),
            held_by: None,
        };
        if let Some(other) = held.filter(|held| held.owner != owner) {
            cleared.held_by = Some(other.owner);
            return Ok(cleared);
        }
        self.take_off(url, fault, service).await?;
        Ok(cleared)
    }

    /// In its turn.
    async fn take_off(
        &self,
        url: String,
        fault: ShopFault,
        service: Service,
    ) -> Result<(), Refusal> {
        self.change(service, self.http.delete(url)).await?;
        self.held().remove(&(fault, service));
        Ok(())
    }

    /// Takes a fault off when its lease is over. Ends when the fault is gone or has no lease.
    async fn watch_lease(self: Arc<Self>, fault: ShopFault, service: Service) {
        let lease = || self.lease(fault, service);
        let take_off = || Arc::clone(&self).end_lease(fault, service);
        lease::watch(lease, take_off).await;
    }

    fn lease(&self, fault: ShopFault, service: Service) -> Option<Lease> {
        self.held().get(&(fault, service))?.lease
    }

    /// Whether the fault is off, or need not be any more.
    async fn end_lease(self: Arc<Self>, fault: ShopFault, service: Service) -> bool {
        let Ok(url) = self.control(fault, service) else {
            return false;
        };
        let _turn = self.turn(fault, service).await;
        // While this waited for its turn, the fault may have been taken off or put on anew.
        match self.lease(fault, service) {
            Some(lease) if lease.is_over() => self.take_off(url, fault, service).await.is_ok(),
            _ => true,
        }
    }

    fn list(&self) -> Vec<HeldFault> {
        self.held()
            .values()
            .map(|held| held.active.clone())
            .collect()
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<(ShopFault, Service), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other change of the process is on its way.
    async fn turn(&self, fault: ShopFault, service: Service) -> OwnedMutexGuard<()> {
        let turns = self.turns.get(&fault.process(service)).cloned();
        turns.unwrap_or_default().lock_owned().await
    }

    fn control(&self, fault: ShopFault, service: Service) -> Result<String, Refusal> {
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
