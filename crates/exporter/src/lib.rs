//! Sends OTLP and says what became of every item: one export request after the other, over gRPC or
//! HTTP with protobuf, for replays and detectors.
//!
//! Whatever a receiver did not take is counted, with its words: what it refused in whole or in part
//! (`partial_success`), and what could not be delivered. A receiver that says "later" or is not there
//! is asked again after growing pauses, for a limited time ([`Patience`]). A request without an answer
//! is not sent again: the receiver may have taken it, and twice would be wrong, too.
//!
//! ```no_run
//! use loadgen_exporter::{Endpoint, Exporter, Patience};
//! use loadgen_otlp::{OtlpProtocol, SignalRequest};
//! use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::new("http://127.0.0.1:4317", OtlpProtocol::Grpc);
//! let mut exporter = Exporter::new(&endpoint, Patience::default())?;
//! let outcome = exporter.export(&SignalRequest::Logs(ExportLogsServiceRequest::default())).await;
//! assert_eq!(outcome.rejected, 0);
//! # Ok(())
//! # }
//! ```

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod answer;
mod grpc;
mod http;
mod patience;

use std::time::Duration;

use loadgen_otlp::{OtlpProtocol, SignalRequest};
use tokio::time::{sleep, timeout};

pub use patience::Patience;

use answer::{Answer, Refusal, Retry};

/// How long an answer may take: the default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to send to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Address with its scheme; over HTTP without the path, which each signal has its own of.
    pub url: String,
    /// Transport.
    pub protocol: OtlpProtocol,
    /// What goes with each request, by name: gRPC metadata or HTTP headers.
    pub headers: Vec<(String, String)>,
}

impl Endpoint {
    /// One that wants no headers.
    pub fn new(url: impl Into<String>, protocol: OtlpProtocol) -> Self {
        Self {
            url: url.into(),
            protocol,
            headers: Vec::new(),
        }
    }
}

/// Why an endpoint can't be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// The address is none.
    #[error("{url} is no address of an OTLP receiver: {reason}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header is none.
    #[error("the header {name} can't be sent: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The client can't be set up.
    #[error("can't set up the client: {0}")]
    Client(String),
}

/// What became of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Items that the receiver took.
    pub accepted: u64,
    /// Items that it did not take.
    pub rejected: u64,
    /// Why not, or what it had to say although it took all.
    pub reason: Option<String>,
    /// There was no answer as a receiver gives it: nobody is there, or somebody who speaks otherwise.
    pub is_unreachable: bool,
}

/// Sends requests to one receiver.
#[derive(Debug)]
pub struct Exporter {
    url: String,
    way: Way,
    patience: Patience,
    /// The last request was given up. Until one gets through none is waited for.
    has_given_up: bool,
}

#[derive(Debug)]
enum Way {
    Grpc(Box<grpc::Grpc>),
    Http(http::Http),
}

impl Exporter {
    /// Sets a client up; a connection is made when it is needed.
    ///
    /// # Errors
    /// When the address or a header can't be one.
    pub fn new(endpoint: &Endpoint, patience: Patience) -> Result<Self, ExporterError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let way = match endpoint.protocol {
            OtlpProtocol::Grpc => Way::Grpc(Box::new(grpc::Grpc::new(endpoint)?)),
            OtlpProtocol::HttpProtobuf => Way::Http(http::Http::new(endpoint)?),
        };
        Ok(Self {
            url: endpoint.url.clone(),
            way,
            patience,
            has_given_up: false,
        })
    }

    /// Where it sends to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request, again and again if the receiver asks for it, and says what became of it.
    pub async fn export(&mut self, request: &SignalRequest) -> Outcome {
        let items = request.items();
        let refusal = match self.deliver(request).await {
            Ok(answer) => {
                self.has_given_up = false;
                let rejected = answer.rejected.min(items);
                return Outcome {
                    accepted: items - rejected,
                    rejected,
                    reason: Some(answer.message).filter(|message| !message.is_empty()),
                    is_unreachable: false,
                };
            }
            Err(refusal) => refusal,
        };
        self.has_given_up = refusal.retry != Retry::Never;
        Outcome {
            accepted: 0,
            rejected: items,
            reason: Some(refusal.reason),
            is_unreachable: refusal.is_unreachable,
        }
    }

    async fn deliver(&mut self, request: &SignalRequest) -> Result<Answer, Refusal> {
        let mut pauses = self.patience.pauses();
        loop {
            let asked = timeout(ANSWER_TIMEOUT, async {
                match &mut self.way {
                    Way::Grpc(grpc) => grpc.send(request).await,
                    Way::Http(http) => http.send(request).await,
                }
            });
            let refusal = match asked.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(refusal)) => refusal,
                Err(_) => Refusal::never(format!(
                    "no answer within {} s, so it is not known whether it was taken",
                    ANSWER_TIMEOUT.as_secs()
                )),
            };
            let wish = match refusal.retry {
                Retry::Never => return Err(refusal),
                _ if self.has_given_up => return Err(refusal),
                Retry::Soon => None,
                Retry::After(wish) => Some(wish),
            };
            match pauses.next(wish) {
                Some(pause) => sleep(pause).await,
                None => return Err(refusal),
            }
        }
    }
}
