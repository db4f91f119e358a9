//! A running collector: receivers and files from start to stop.

use crate::error::CollectError;
use crate::exporters::file::{FileExporter, FileReport};
use crate::exporters::rotation::LineFile;
use crate::notice::tell;
use crate::options::{CollectOptions, Rotation};
use crate::receivers::admission::Budget;
use crate::receivers::connections::{Incoming, MOST_OPEN};
use crate::receivers::{grpc, http};
use crate::topology::{Counters, Exporters, Topology};
use loadgen_control::Access;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// A collector that listens. Dropping it ends the receivers at once; [`Collector::stop`] ends it
/// in order.
pub struct Collector {
    grpc: SocketAddr,
    http: SocketAddr,
    output: PathBuf,
    drain: Duration,
    topology: Arc<Topology>,
    receivers: JoinSet<Result<(), CollectError>>,
    stop: watch::Sender<bool>,
    cut: Arc<Notify>,
    files: Vec<(PathBuf, JoinHandle<FileReport>)>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("grpc", &self.grpc)
            .field("http", &self.http)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// What a collector has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectReport {
    /// The output folder.
    pub output: PathBuf,
    /// Spans written.
    pub spans: u64,
    /// Metric data points written.
    pub data_points: u64,
    /// Log records written.
    pub log_records: u64,
    /// Requests refused: malformed, too large, at a time of overload, or not taken by the disk.
    pub refused: u64,
    /// Bytes written to the three files.
    pub bytes: u64,
}

impl fmt::Display for CollectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} spans, {} data points, {} log records in {} ({} bytes); {} requests refused",
            self.spans,
            self.data_points,
            self.log_records,
            self.output.display(),
            self.bytes,
            self.refused
        )
    }
}

impl Collector {
    /// Opens the files, listens, and serves in the background of the current tokio runtime.
    ///
    /// # Errors
    /// When the folder, a file, a thread or an address can't be had.
    pub async fn start(options: CollectOptions) -> Result<Self, CollectError> {
        loadgen_files::folder(&options.output).map_err(|source| CollectError::Folder {
            path: options.output.clone(),
            source,
        })?;
        // Addresses first: a second collector on the same ports must not touch the files.
        let grpc = listen("OTLP/gRPC", options.grpc).await?;
        let http = listen("OTLP/HTTP", options.http).await?;
        let (grpc_address, http_address) = (address(&grpc)?, address(&http)?);

        let mut files = Vec::new();
        let mut open = |stem| open(&options.output, stem, options.rotation, &mut files);
        let exporters = Exporters {
            traces: open("traces")?,
            metrics: open("metrics")?,
            logs: open("logs")?,
        };
        let topology = Arc::new(Topology {
            exporters,
            counters: Counters::default(),
            map_anomaly_headers: options.map_anomaly_headers,
        });
        let limit = options.max_request_bytes;
        let budget = Budget::new(options.max_bytes_in_flight, limit, options.admission_wait);
        let (stop, stopped) = watch::channel(false);

        let mut receivers = JoinSet::new();
        let serve = grpc::serve(
            Incoming::new(grpc, MOST_OPEN),
            topology.clone(),
            budget.clone(),
            limit,
            told_to_stop(stopped.clone()),
        );
        receivers.spawn(async move {
            serve.await.map_err(|error| CollectError::Receiver {
                protocol: "OTLP/gRPC",
                reason: error.to_string(),
            })
        });
        let serve = http::serve(
            Incoming::new(http, MOST_OPEN),
            Access::without_token(http_address.ip()),
            topology.clone(),
            budget,
            limit,
            told_to_stop(stopped),
        );
        receivers.spawn(async move {
            serve.await;
            Ok(())
        });
        Ok(Self {
            grpc: grpc_address,
            http: http_address,
            output: options.output,
            drain: options.drain,
            topology,
            receivers,
            stop,
            cut: Arc::new(Notify::new()),
            files,
        })
    }

    /// The address of the OTLP/gRPC receiver.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The address of the OTLP/HTTP receiver.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The output folder.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// What has been written and refused so far; `bytes` is known only at the end.
    pub fn so_far(&self) -> CollectReport {
        let counters = &self.topology.counters;
        CollectReport {
            output: self.output.clone(),
            spans: counters.spans.load(Ordering::Relaxed),
            data_points: counters.data_points.load(Ordering::Relaxed),
            log_records: counters.log_records.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            bytes: 0,
        }
    }

    /// Waits until a receiver ends by itself, which only a failure makes it do.
    pub(crate) async fn failed(&mut self) -> CollectError {
        match self.receivers.join_next().await {
            Some(Ok(Err(error))) => error,
            other => CollectError::Receiver {
                protocol: "OTLP",
                reason: format!("it returned without being asked to: {other:?}"),
            },
        }
    }

    /// A notice on this ends the wait for open requests in [`Collector::stop`].
    pub(crate) fn cut_handle(&self) -> Arc<Notify> {
        self.cut.clone()
    }

    /// Stops accepting, lets open requests finish (for [`CollectOptions::drain`] at most), writes
    /// what is queued and syncs it to the disk.
    ///
    /// # Errors
    /// When a receiver or the sync failed. The files are complete up to the failure.
    pub async fn stop(mut self) -> Result<CollectReport, CollectError> {
        // Without receivers there is nobody to tell.
        let _ = self.stop.send(true);
        let mut failure = None;
        let drain = async {
            while let Some(ended) = self.receivers.join_next().await {
                if let Ok(Err(error)) = ended {
                    failure = Some(error);
                }
            }
        };
        let drained = tokio::select! {
            () = drain => true,
            () = tokio::time::sleep(self.drain) => false,
            () = self.cut.notified() => false,
        };
        if !drained {
            tell(format_args!(
                "connections were still open at the stop and have been cut"
            ));
            self.receivers.abort_all();
        }
        let exporters = &self.topology.exporters;
        for exporter in [&exporters.traces, &exporters.metrics, &exporters.logs] {
            exporter.stop().await;
        }
        let mut bytes = 0;
        for (path, thread) in std::mem::take(&mut self.files) {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            match ended {
                Ok(Ok(report)) => {
                    bytes += report.bytes;
                    if let Err(source) = report.synced {
                        failure = Some(CollectError::Sync {
                            path: report.path,
                            source,
                        });
                    }
                }
                _ => failure = Some(CollectError::Panicked { path }),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(CollectReport {
                bytes,
                ..self.so_far()
            }),
        }
    }
}

async fn listen(protocol: &'static str, address: SocketAddr) -> Result<TcpListener, CollectError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| CollectError::Listen {
            protocol,
            address,
            source,
        })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, CollectError> {
    listener
        .local_addr()
        .map_err(|source| CollectError::System {
            what: "read a listener's address",
            source,
        })
}

fn open(
    output: &Path,
    stem: &'static str,
    rotation: Option<Rotation>,
    files: &mut Vec<(PathBuf, JoinHandle<FileReport>)>,
) -> Result<FileExporter, CollectError> {
    let path = output.join(format!("{stem}.jsonl"));
    let file = LineFile::open(output, stem, rotation).map_err(|source| CollectError::Open {
        path: path.clone(),
        source,
    })?;
    let (exporter, thread) = FileExporter::start(file).map_err(|source| CollectError::System {
        what: "start a thread for a file",
        source,
    })?;
    files.push((path, thread));
    Ok(exporter)
}

/// Done when the collector is told to stop or is dropped.
async fn told_to_stop(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
