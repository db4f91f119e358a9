//! A service's process: its runtimes, its two listeners, its readiness line and its end.
//!
//! Requests are answered on a runtime with a single worker thread, as most of the originals have a
//! single event loop. Telemetry and the admin listener have a thread of their own, so that a fault
//! can neither hide itself nor lock out who wants to end it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use axum::{Router, middleware};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tracing::info;

use crate::control;
use crate::error::ShopError;
use crate::fault::board::FaultBoard;
use crate::kit::Kit;
use crate::options::ServiceOptions;
use crate::record::Record;
use crate::services;
use crate::telemetry::server::{ServerLayer, answer_traced};
use crate::telemetry::{Telemetry, process};
use loadgen_program::{Shutdown, at_end_of_stdin, say_ready};
use loadgen_shop_api::Service;

/// How long requests in flight may take after the end was asked for.
const DRAIN: Duration = Duration::from_secs(1);
/// How long the last export may take.
const FLUSH: Duration = Duration::from_millis(1_500);
/// How long threads may take to end what cannot be interrupted.
const LAST_STATEMENTS: Duration = Duration::from_millis(200);
/// After this time the process ends, whatever is left.
const DEADLINE: Duration = Duration::from_secs(4);
/// Name of the threads that answer requests.
pub(crate) const REQUEST_THREADS: &str = "requests";
/// Threads for database statements: the pool's, and some for what faults do.
const BLOCKING_THREADS: usize = 16;

/// The line that a service prints when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) ready: Service,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Runs a service until its standard input ends or it gets SIGINT or SIGTERM. Blocks the calling
/// thread.
///
/// Prints one JSON line when it is ready: `{"ready":"cart","address":"…","admin":"…"}`.
///
/// # Errors
///
/// When an address cannot be listened on, the database cannot be made, or the exporters' endpoint
/// is wrong.
pub fn run_service(options: ServiceOptions) -> Result<(), ShopError> {
    // On a thread of its own, so that it may be called from inside a runtime too.
    std::thread::scope(|scope| {
        let service = options.service;
        match scope.spawn(|| run(options)).join() {
            Ok(result) => result,
            Err(_) => Err(ShopError::NotReady {
                service,
                reason: "it panicked".to_owned(),
            }),
        }
    })
}

fn run(options: ServiceOptions) -> Result<(), ShopError> {
    let service = options.service;
    let control = runtime("control")?;
    let requests = runtime(REQUEST_THREADS)?;
    // For the exporters' connections, and for the pool's, should the start fail half way.
    let handle = control.handle().clone();
    let _inside = handle.enter();
    let record = Record::open(service, options.record_faults.as_deref());
    let record = record.map_err(|source| ShopError::System {
        what: "cannot open the record of faults",
        source,
    })?;
    let telemetry = Telemetry::new(service, options.otlp_endpoint.as_deref(), record.clone())?;
    process::observe(&telemetry.instruments.meter);
    let faults = FaultBoard::new(Arc::clone(&telemetry), requests.handle().clone());
    let (stop, mut stopping) = watch::channel(false);
    let listen = options.listen;
    let kit = Kit::new(options, Arc::clone(&telemetry), Arc::clone(&faults))?;

    let (address, serving) = requests.block_on(async {
        let routes = services::routes(service, &kit).await?;
        let router = match service {
            Service::Gateway => routes,
            _ => routes.layer(middleware::from_fn_with_state(
                ServerLayer {
                    telemetry: Arc::clone(&telemetry),
                    faults: Arc::clone(&faults),
                },
                answer_traced,
            )),
        };
        let what = format!("the {service} service");
        serve(what, listen, router, stopping.clone()).await
    })?;
    let (admin, _administering) = control.block_on(serve(
        format!("the admin listener of the {service} service"),
        (Ipv4Addr::LOCALHOST, 0).into(),
        control::guarded(control::routes(faults))?,
        stopping.clone(),
    ))?;

    let ready = Ready {
        ready: service,
        address,
        admin,
    };
    info!(%service, %address, "listens");
    let system = |what| move |source| ShopError::System { what, source };
    let mut signals = Shutdown::listen(false).map_err(system("cannot listen for signals"))?;
    say_ready(&ready).map_err(system("cannot print the readiness line"))?;
    stop_with_input(stop.clone()).map_err(system("cannot listen to standard input"))?;
    control.block_on(async {
        tokio::select! {
            () = signals.asked() => { stop.send_replace(true); }
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
    // Not endless: a request that hangs would keep the process.
    let drained = async {
        let _ = serving.await;
        kit.take_background().join_all().await;
    };
    let _ = control.block_on(async { tokio::time::timeout(DRAIN, drained).await });
    record.finish(LAST_STATEMENTS);
    telemetry.shutdown(FLUSH);
    requests.shutdown_timeout(LAST_STATEMENTS);
    // The pool is left to the end of the process. Metric callbacks share it, on threads that may
    // still wait for the collector, and closing connections there would need a runtime.
    std::mem::forget(kit);
    control.shutdown_timeout(LAST_STATEMENTS);
    Ok(())
}

fn runtime(name: &'static str) -> Result<Runtime, ShopError> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|source| ShopError::System {
            what: "cannot start a service's threads",
            source,
        })
}

/// Binds and serves until `stopping` says so; returns the address and the task.
async fn serve(
    what: String,
    listen: SocketAddr,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) -> Result<(SocketAddr, tokio::task::JoinHandle<()>), ShopError> {
    let failed = |source| ShopError::Listen {
        what: what.clone(),
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let listener = listener.tap_io(|stream| {
        // An answer is one write: waiting for more would only delay it. Where it cannot be set,
        // the connection works all the same.
        let _ = stream.set_nodelay(true);
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move {
        let stopped = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        // Accept errors are retried inside; there is none to report.
        let _ = axum::serve(listener, service)
            .with_graceful_shutdown(stopped)
            .await;
    });
    Ok((address, task))
}

fn stop_with_input(stop: watch::Sender<bool>) -> std::io::Result<()> {
    at_end_of_stdin(move || {
        stop.send_replace(true);
        std::thread::sleep(DEADLINE);
        std::process::exit(1);
    })
}
