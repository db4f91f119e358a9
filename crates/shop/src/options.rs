//! What a service's process is told by the shop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use loadgen_shop_api::Service;
use serde::{Deserialize, Serialize};

/// What a service's process is told by the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOptions {
    /// Which service it is.
    pub service: Service,
    /// Where it listens; port 0 is a free one.
    pub listen: SocketAddr,
    /// Base URLs of the services that it calls.
    pub peers: BTreeMap<Service, String>,
    /// Existing folder for its database.
    pub data_dir: PathBuf,
    /// Where telemetry goes by OTLP/gRPC. None: where the `OTEL_EXPORTER_OTLP_*` variables say, or
    /// nowhere.
    pub otlp_endpoint: Option<String>,
    /// File to which is appended what faults do to requests. None: nowhere.
    #[serde(default)]
    pub record_faults: Option<PathBuf>,
}
