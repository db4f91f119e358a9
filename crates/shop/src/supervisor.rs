//! The shop as a whole: starts a process for each service, tells when all are ready, and stops
//! them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use loadgen_program::{Stop, say_ready};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

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
}

impl Default for ShopOptions {
    /// `127.0.0.1:8080`, telemetry by the environment, temporary data, runs until a signal.
    fn default() -> Self {
        ShopOptions {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            otlp_endpoint: None,
            stop_with_stdin: false,
            data_dir: None,
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
    pid: u32,
    /// Closed to ask the process to end. The system closes it when this process is killed.
    input: ChildStdin,
    ended: Ended,
}

/// How a process ended, once it has.
type Ended = oneshot::Receiver<ExitStatus>;

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
    let stop = Stop::listen(options.stop_with_stdin);
    let mut stop = stop.map_err(system("cannot listen for signals and standard input"))?;
    let folder = DataFolder::new(options.data_dir)?;
    warn_of_silent_endpoint(options.otlp_endpoint.as_deref()).await;
    let (report_end, mut ends) = mpsc::unbounded_channel();
    let mut running: Vec<Running> = Vec::new();
    let outcome = tokio::select! {
        result = run(&options.listen, options.otlp_endpoint.as_deref(), folder.path(), report_end, &mut running) => result,
        Some((service, status)) = ends.recv() => Err(ShopError::Ended { service, status }),
        () = stop.asked() => Ok(()),
    };
    let failed = stop_all(running).await;
    outcome.and(match failed {
        Some((service, status)) => Err(ShopError::Ended { service, status }),
        None => Ok(()),
    })
}

/// Starts everything, says so, and serves the admin API for as long as it is polled.
async fn run(
    listen: &SocketAddr,
    otlp_endpoint: Option<&str>,
    data_dir: &Path,
    report_end: mpsc::UnboundedSender<(Service, ExitStatus)>,
    running: &mut Vec<Running>,
) -> Result<(), ShopError> {
    let mut urls: BTreeMap<Service, String> = BTreeMap::new();
    for service in Service::ALL {
        let options = ServiceOptions {
            service,
            listen: match service {
                Service::Web => *listen,
                _ => (Ipv4Addr::LOCALHOST, 0).into(),
            },
            peers: service
                .peers()
                .iter()
                .filter_map(|peer| Some((*peer, urls.get(peer)?.clone())))
                .collect(),
            data_dir: data_dir.to_owned(),
            otlp_endpoint: otlp_endpoint.map(str::to_owned),
        };
        let started = start(&options, report_end.clone()).await?;
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
                (r.service.as_str(), ServiceReady { url, pid: r.pid })
            })
            .collect(),
    };
    say_ready(&ready).map_err(|source| ShopError::System {
        what: "cannot print the readiness line",
        source,
    })?;
    axum::serve(listener, router).await.map_err(failed)
}

async fn start(
    options: &ServiceOptions,
    report_end: mpsc::UnboundedSender<(Service, ExitStatus)>,
) -> Result<Running, ShopError> {
    let service = options.service;
    let spawn_failed = |source| ShopError::Spawn { service, source };
    let not_ready = |reason: String| ShopError::NotReady { service, reason };
    let config = serde_json::to_string(options).map_err(|error| not_ready(error.to_string()))?;
    let mut child = Command::new(std::env::current_exe().map_err(spawn_failed)?)
        .args([SERVICE_COMMAND, SERVICE_CONFIG, &config])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A group of its own: ^C at a terminal is for the shop, which then ends its services in
        // order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(spawn_failed)?;
    let pid = child.id().unwrap_or_default();
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(not_ready("it has no pipes".to_owned()));
    };
    let mut lines = BufReader::new(output).lines();
    let line = tokio::time::timeout(READY_LIMIT, lines.next_line())
        .await
        .map_err(|_| {
            not_ready(format!(
                "nothing came from it for {} s",
                READY_LIMIT.as_secs()
            ))
        })?
        .map_err(|error| not_ready(error.to_string()))?;
    let Some(line) = line else {
        let status = child.wait().await.map_err(spawn_failed)?;
        return Err(not_ready(format!(
            "it ended ({status}); its own message is above"
        )));
    };
    let ready: Ready = serde_json::from_str(&line)
        .map_err(|_| not_ready(format!("it said {line:?} and not where it listens")))?;
    Ok(Running {
        service,
        ready,
        pid,
        input,
        ended: watch_end(service, child, report_end),
    })
}

/// Waits for a process in the background, so that it is noticed and reaped whenever it ends.
fn watch_end(
    service: Service,
    mut child: Child,
    report_end: mpsc::UnboundedSender<(Service, ExitStatus)>,
) -> Ended {
    let (ended, receiver) = oneshot::channel();
    tokio::spawn(async move {
        if let Ok(status) = child.wait().await {
            // Nobody listens any more when the end was asked for.
            let _ = report_end.send((service, status));
            let _ = ended.send(status);
        }
    });
    receiver
}

/// Ends the edge first, so that what is in flight finds its services, and then the rest. Returns
/// the first that ended badly.
async fn stop_all(running: Vec<Running>) -> Option<(Service, ExitStatus)> {
    let (edge, inner): (Vec<_>, Vec<_>) =
        running.into_iter().partition(|r| r.service == Service::Web);
    let mut failed = None;
    let late = wait_all(ask_all(edge), EDGE_LIMIT, &mut failed).await;
    let waiting = late.into_iter().chain(ask_all(inner)).collect();
    for (service, pid, _) in wait_all(waiting, END_LIMIT, &mut failed).await {
        let _ = writeln!(
            std::io::stderr(),
            "the {service} service (process {pid}) does not end; it is killed"
        );
    }
    failed
}

/// Asks processes to end.
fn ask_all(running: Vec<Running>) -> Vec<(Service, u32, Ended)> {
    running
        .into_iter()
        .map(
            |Running {
                 service,
                 pid,
                 input,
                 ended,
                 ..
             }| {
                drop(input);
                (service, pid, ended)
            },
        )
        .collect()
}

/// Waits for processes; returns those that had not ended in time.
async fn wait_all(
    waiting: Vec<(Service, u32, Ended)>,
    limit: Duration,
    failed: &mut Option<(Service, ExitStatus)>,
) -> Vec<(Service, u32, Ended)> {
    let deadline = Instant::now() + limit;
    let mut late = Vec::new();
    for (service, pid, mut ended) in waiting {
        match tokio::time::timeout_at(deadline, &mut ended).await {
            Ok(Ok(status)) if !status.success() => *failed = failed.or(Some((service, status))),
            Ok(_) => {}
            Err(_) => late.push((service, pid, ended)),
        }
    }
    late
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
    Temporary(tempfile::TempDir),
}

impl DataFolder {
    fn new(given: Option<PathBuf>) -> Result<Self, ShopError> {
        match given {
            Some(path) => match std::fs::create_dir_all(&path) {
                Ok(()) => Ok(DataFolder::Given(path)),
                Err(source) => Err(ShopError::DataDir { path, source }),
            },
            None => tempfile::Builder::new()
                .prefix("loadgen-shop-")
                .tempdir()
                .map(DataFolder::Temporary)
                .map_err(|source| ShopError::DataDir {
                    path: std::env::temp_dir(),
                    source,
                }),
        }
    }

    fn path(&self) -> &Path {
        match self {
            DataFolder::Given(path) => path,
            DataFolder::Temporary(folder) => folder.path(),
        }
    }
}
