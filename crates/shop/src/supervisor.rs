//! The shop as a whole: starts a process for each service, tells when all are ready, and stops
//! them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use loadgen_files::WorkFolder;
use loadgen_program::{Child, Input, NotReady, Shutdown, say_ready};
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::info;

use crate::admin;
use crate::control::guarded;
use crate::error::ShopError;
use crate::options::ServiceOptions;
use crate::service::Ready;
use loadgen_shop_api::Service;

/// First argument of a service's process.
pub const SERVICE_COMMAND: &str = "shop-service";
/// Argument that precedes a service's [`ServiceOptions`] as JSON.
pub const SERVICE_CONFIG: &str = "--config";

/// How long a service may take to become ready.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long the rest waits for the edge to end.
const EDGE_LIMIT: Duration = Duration::from_millis(1_200);
/// How long a service may take to end; its own deadline is shorter.
const END_LIMIT: Duration = Duration::from_millis(4_500);

/// How to run the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopOptions {
    /// Where the edge listens; port 0 is a free one.
    pub listen: SocketAddr,
    /// Where telemetry goes by OTLP/gRPC, as an `http://host:port` URL. None: where the
    /// `OTEL_EXPORTER_OTLP_*` variables say, or nowhere.
    pub otlp_endpoint: Option<String>,
    /// Stop when standard input ends.
    pub stop_with_stdin: bool,
    /// Folder for the databases, made where it is missing. None: a temporary one, which is removed
    /// at the end.
    pub data_dir: Option<PathBuf>,
    /// File to which is appended what faults do to requests, as JSON lines. None: nowhere.
    pub record_faults: Option<PathBuf>,
}

impl Default for ShopOptions {
    /// `127.0.0.1:8080`, telemetry by the environment, temporary data, runs until a signal.
    fn default() -> Self {
        ShopOptions {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            otlp_endpoint: None,
            stop_with_stdin: false,
            data_dir: None,
            record_faults: None,
        }
    }
}

/// The line that the shop prints when it is ready.
#[derive(Debug, Serialize)]
struct ShopReady<'a> {
    ready: &'a str,
    base_url: String,
    admin_url: String,
    services: BTreeMap<&'static str, ServiceReady>,
}

#[derive(Debug, Serialize)]
struct ServiceReady {
    url: String,
    pid: u32,
}

/// A service that runs.
struct Running {
    service: Service,
    ready: Ready,
    child: Child,
}

/// Runs the shop until SIGINT, SIGTERM or, where that is asked for, the end of standard input.
///
/// Each service is a process of the current executable, started as
/// `<executable> shop-service --config <JSON>`: a program that calls this must hand such
/// arguments to [`run_service`](crate::run_service). When all services are ready, one JSON line
/// goes to standard output:
///
/// ```json
/// {"ready":"shop","base_url":"http://127.0.0.1:8080","admin_url":"http://127.0.0.1:40001",
///  "services":{"web":{"url":"http://127.0.0.1:8080","pid":4711}}}
/// ```
///
/// # Errors
///
/// When a service cannot be started, or ends although nobody asked it to. The others are stopped
/// then.
pub async fn supervise(options: ShopOptions) -> Result<(), ShopError> {
    let system = |what| move |source| ShopError::System { what, source };
    let stop = Shutdown::listen(options.stop_with_stdin);
    let mut stop = stop.map_err(system("cannot listen for signals and standard input"))?;
    let folder = DataFolder::new(options.data_dir.clone())?;
    warn_of_silent_endpoint(options.otlp_endpoint.as_deref()).await;
    let mut running: Vec<Running> = Vec::new();
    let outcome = tokio::select! {
        result = run(&options, folder.path(), &mut running) => result,
        () = stop.asked() => Ok(()),
    };
    let stopped = stop_all(running).await;
    outcome.and(stopped)
}

/// Starts everything, says so, and serves the admin API for as long as it is polled.
async fn run(
    of_shop: &ShopOptions,
    data_dir: &Path,
    running: &mut Vec<Running>,
) -> Result<(), ShopError> {
    let mut urls: BTreeMap<Service, String> = BTreeMap::new();
    for service in Service::ALL {
        let options = ServiceOptions {
            service,
            listen: match service {
                Service::Web => of_shop.listen,
                _ => (Ipv4Addr::LOCALHOST, 0).into(),
            },
            peers: service
                .peers()
                .iter()
                .filter_map(|peer| Some((*peer, urls.get(peer)?.clone())))
                .collect(),
            data_dir: data_dir.to_owned(),
            otlp_endpoint: of_shop.otlp_endpoint.clone(),
            record_faults: of_shop.record_faults.clone(),
        };
        let started = tokio::select! {
            started = start(&options) => started?,
            error = first_end(running) => return Err(error),
        };
        urls.insert(service, format!("http://{}", started.ready.address));
        running.push(started);
    }

    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let failed = |source| ShopError::Listen {
        what: "the shop's admin API".to_owned(),
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let admin_url = format!("http://{}", listener.local_addr().map_err(failed)?);
    let controls = running
        .iter()
        .map(|r| (r.service, format!("http://{}", r.ready.admin)))
        .collect();
    let router = guarded(admin::routes(controls)?)?;
    let ready = ShopReady {
        ready: "shop",
        base_url: urls.get(&Service::Web).cloned().unwrap_or_default(),
        admin_url,
        services: running
            .iter()
            .map(|r| {
                let url = format!("http://{}", r.ready.address);
                let pid = r.child.id().unwrap_or_default();
                (r.service.as_str(), ServiceReady { url, pid })
            })
            .collect(),
    };
    say_ready(&ready).map_err(|source| ShopError::System {
        what: "cannot print the readiness line",
        source,
    })?;
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served.map_err(failed),
        error = first_end(running) => Err(error),
    }
}

async fn start(options: &ServiceOptions) -> Result<Running, ShopError> {
    let service = options.service;
    let spawn_failed = |source| ShopError::Spawn { service, source };
    let not_ready = |reason: String| ShopError::NotReady { service, reason };
    let config = serde_json::to_string(options).map_err(|error| not_ready(error.to_string()))?;
    let mut command = loadgen_program::own().map_err(spawn_failed)?;
    command.args([SERVICE_COMMAND, SERVICE_CONFIG, &config]);
    command.kill_on_drop(true);
    let started = Child::start_ready(command, Input::Held, READY_LIMIT).await;
    let (child, ready) = started.map_err(|error| match error {
        NotReady::Io(source) => spawn_failed(source),
        NotReady::Ended(_) => not_ready(format!("{error}; its own message is above")),
        _ => not_ready(error.to_string()),
    })?;
    info!(%service, pid = child.id(), "started");
    Ok(Running {
        service,
        ready,
        child,
    })
}

/// Waits until one of them ends although nobody asked it to.
async fn first_end(running: &mut [Running]) -> ShopError {
    let ends = running.iter_mut().map(|Running { service, child, .. }| {
        let service = *service;
        async move {
            match child.wait().await {
                Ok(status) => ShopError::Ended { service, status },
                Err(source) => ShopError::Spawn { service, source },
            }
        }
    });
    let mut ends: FuturesUnordered<_> = ends.collect();
    match ends.next().await {
        Some(end) => end,
        None => std::future::pending().await,
    }
}

/// Ends the edge first, so that what is in flight finds its services, and then the rest. An error
/// is that of the first that ended badly.
async fn stop_all(mut running: Vec<Running>) -> Result<(), ShopError> {
    if let Some(edge) = running.iter_mut().find(|r| r.service == Service::Web) {
        edge.child.ask_to_end();
        let _ = tokio::time::timeout(EDGE_LIMIT, edge.child.wait()).await;
    }
    let stops = running
        .iter_mut()
        .map(async |Running { service, child, .. }| {
            let (service, pid) = (*service, child.id().unwrap_or_default());
            match child.stop(END_LIMIT).await {
                Ok(Some(status)) if !status.success() => Err(ShopError::Ended { service, status }),
                Ok(Some(_)) | Err(_) => Ok(()),
                Ok(None) => {
                    let _ = writeln!(
                        std::io::stderr(),
                        "the {service} service (process {pid}) does not end; it was killed"
                    );
                    Ok(())
                }
            }
        });
    let stopped = futures::future::join_all(stops).await;
    stopped.into_iter().collect()
}

/// Exporters retry in silence: somebody should say when nobody is there to hear them.
async fn warn_of_silent_endpoint(endpoint: Option<&str>) {
    let Some(url) = endpoint.and_then(|e| reqwest::Url::parse(e).ok()) else {
        return;
    };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return;
    };
    let connected = tokio::time::timeout(
        Duration::from_secs(1),
        tokio::net::TcpStream::connect((host, port)),
    );
    if !matches!(connected.await, Ok(Ok(_))) {
        let _ = writeln!(
            std::io::stderr(),
            "warning: nothing listens at the telemetry endpoint {url}; what the shop sends there \
             is lost until something does"
        );
    }
}

/// The folder of the databases, removed at the end where it is temporary.
enum DataFolder {
    Given(PathBuf),
    Temporary(WorkFolder),
}

impl DataFolder {
    fn new(given: Option<PathBuf>) -> Result<Self, ShopError> {
        match given {
            Some(path) => match std::fs::create_dir_all(&path) {
                Ok(()) => Ok(DataFolder::Given(path)),
                Err(source) => Err(ShopError::DataDir { path, source }),
            },
            None => {
                let path = std::env::temp_dir();
                WorkFolder::new(&path, "loadgen-shop-")
                    .map(DataFolder::Temporary)
                    .map_err(|source| ShopError::DataDir { path, source })
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            DataFolder::Given(path) => path,
            DataFolder::Temporary(folder) => folder.path(),
        }
    }
}
