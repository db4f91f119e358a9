//! A Collector beside the program: the real one, or ours.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Place, kill, until};

/// A Collector that writes to a folder, killed when it is dropped.
pub(crate) struct Collector {
    child: Child,
    /// Of OTLP over gRPC and over HTTP.
    pub(crate) ports: [u16; 2],
}

impl Collector {
    /// The real one, where its binary is named, else `loadgen collect`. Files are rotated at 1 MiB.
    pub(crate) fn start(place: &Place, real: Option<&str>, ports: [u16; 2]) -> Self {
        Self::start_in(place, "telemetry", real, ports)
    }

    /// The same, in a folder of this name.
    pub(crate) fn start_in(
        place: &Place,
        folder: &str,
        real: Option<&str>,
        ports: [u16; 2],
    ) -> Self {
        let [grpc, http] = ports;
        let telemetry = place.path(folder);
        fs::create_dir_all(&telemetry).unwrap();
        let mut command = match real {
            Some(binary) => {
                let mut command = Command::new(binary);
                let config = place.write("collector.yaml", &config(&telemetry, grpc, http));
                command.arg("--config").arg(config);
                command.stdout(Stdio::null());
                command
            }
            None => {
                let mut command = place.command(["collect", "--max-megabytes", "1"]);
                command
                    .args(["--grpc", &format!("127.0.0.1:{grpc}")])
                    .args(["--http", &format!("127.0.0.1:{http}")])
                    .arg("--output")
                    .arg(telemetry)
                    .stdout(Stdio::null());
                command
            }
        };
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut collector = Self { child, ports };
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, grpc));
        until("the Collector listens", || {
            assert_eq!(collector.child.try_wait().unwrap(), None);
            TcpStream::connect(to).is_ok()
        });
        collector
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Ends it in good order: what it holds back is in its files then.
    pub(crate) fn stop(&mut self) {
        kill("-TERM", self.child.id());
        self.child.wait().unwrap();
    }

    pub(crate) fn kill(&mut self) {
        kill("-KILL", self.child.id());
        self.child.wait().unwrap();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(telemetry: &Path, grpc: u16, http: u16) -> String {
    let exporter = |signal: &str| {
        let path = telemetry.join(format!("{signal}.jsonl"));
        format!(
            "  file/{signal}:\n    path: {}\n    rotation: {{ max_megabytes: 1, max_backups: 1000 }}\n",
            path.display()
        )
    };
    let exporters: String = ["traces", "metrics", "logs"].map(exporter).concat();
    format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {{ endpoint: 127.0.0.1:{grpc} }}\n      http: {{ \
         endpoint: 127.0.0.1:{http} }}\nexporters:\n{exporters}service:\n  telemetry:\n    metrics: {{ level: none \
         }}\n  pipelines:\n    traces: {{ receivers: [otlp], exporters: [file/traces] }}\n    metrics: {{ receivers: \
         [otlp], exporters: [file/metrics] }}\n    logs: {{ receivers: [otlp], exporters: [file/logs] }}\n"
    )
}

/// Ports on which nobody listened a moment ago.
pub(crate) fn free_ports() -> [u16; 2] {
    let bound = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    bound.map(|listener| listener.local_addr().unwrap().port())
}
