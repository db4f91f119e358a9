//! What happens to a request between receiver and file: check, map, encode, append, count.

use crate::exporters::file::{ExportError, FileExporter};
use crate::processors::anomaly;
use loadgen_otlp::{ExportRequest, json};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::debug;

/// Spans, data points or log records in one request. Of the largest request that is 64 bytes for
/// each; items that are smaller hold next to nothing, and take far more memory than their bytes.
const MAX_ITEMS: u64 = 1 << 16;

/// Why a request was refused, in terms that each protocol has a code for.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The bytes don't hold a valid message; sending them again is no use.
    Invalid(String),
    /// Larger than the limit in bytes; sending it again is no use.
    TooLarge(usize),
    /// More items than this in one request; sending it again is no use.
    TooMany(u64),
    /// Too much is under way; send again later.
    Overloaded,
    /// The disk doesn't take it; send again later.
    Disk(Arc<str>),
    /// The collector is about to end; send again later.
    Stopping,
}

impl Refusal {
    /// The refusal as OTLP/gRPC has it. Only what may be sent again carries a retry delay, by
    /// which clients tell the two cases of `RESOURCE_EXHAUSTED` apart.
    pub(crate) fn status(&self) -> Status {
        let retry = |code, message: String, seconds| {
            let delay = Some(Duration::from_secs(seconds));
            Status::with_error_details(code, message, ErrorDetails::with_retry_info(delay))
        };
        match self {
            Self::Invalid(message) => Status::invalid_argument(message.clone()),
            Self::TooLarge(limit) => Status::resource_exhausted(format!(
                "request is larger than {limit} bytes; export smaller batches"
            )),
            Self::TooMany(limit) => Status::resource_exhausted(format!(
                "request has more than {limit} spans, data points or log records; export smaller \
                 batches"
            )),
            Self::Overloaded => retry(
                Code::ResourceExhausted,
                "too many requests are under way; send this one again later".to_owned(),
                1,
            ),
            Self::Disk(message) => retry(Code::Unavailable, message.to_string(), 5),
            Self::Stopping => retry(Code::Unavailable, "the collector is stopping".to_owned(), 1),
        }
    }
}

impl From<ExportError> for Refusal {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Disk(text) => Self::Disk(text),
            ExportError::Stopped => Self::Stopping,
        }
    }
}

/// One of the three kinds of telemetry, by its export request.
pub(crate) trait Signal:
    prost::Message + Default + json::Message + ExportRequest + 'static
{
    /// Which file it goes to.
    fn exporter(exporters: &Exporters) -> &FileExporter;
    /// What counts its items.
    fn counter(counters: &Counters) -> &AtomicU64;
    /// Whether every id has a length that ids can have.
    fn ids_are_valid(&self) -> bool;
    /// Changes the request as the processors do.
    fn process(&mut self, _map_anomaly_headers: bool) {}
}

/// The three files.
pub(crate) struct Exporters {
    pub(crate) traces: FileExporter,
    pub(crate) metrics: FileExporter,
    pub(crate) logs: FileExporter,
}

/// What has been written and refused so far.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) spans: AtomicU64,
    pub(crate) data_points: AtomicU64,
    pub(crate) log_records: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// The way from a receiver to a file.
pub(crate) struct Topology {
    pub(crate) exporters: Exporters,
    pub(crate) counters: Counters,
    pub(crate) map_anomaly_headers: bool,
}

impl Topology {
    /// Takes a decoded request, which had so many `bytes`; when this returns `Ok` its line is in the file. A request without
    /// items leaves no line, as in the Collector.
    ///
    /// # Errors
    /// Why the request was refused. Nothing of it has been written then.
    pub(crate) async fn consume<S: Signal>(
        &self,
        mut request: S,
        bytes: usize,
    ) -> Result<(), Refusal> {
        if !request.ids_are_valid() {
            return Err(Refusal::Invalid(
                "a trace id must have 16 bytes or none and a span id 8 or none".to_owned(),
            ));
        }
        let items = request.items();
        if items == 0 {
            return Ok(());
        }
        if items > MAX_ITEMS {
            return Err(Refusal::TooMany(MAX_ITEMS));
        }
        request.process(self.map_anomaly_headers);
        // The text is about two and a half times as long as the protobuf form.
        let mut line = Vec::with_capacity(5 * bytes / 2 + 64);
        json::write(&request, &mut line);
        line.push(b'\n');
        drop(request);
        S::exporter(&self.exporters).append(line).await?;
        S::counter(&self.counters).fetch_add(items, Ordering::Relaxed);
        debug!(items, bytes, "stored");
        Ok(())
    }

    /// Counts a refusal, wherever it came from.
    pub(crate) fn count_refusal(&self) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// An id of the right length, or none.
fn ids(trace_id: &[u8], span_ids: &[&[u8]]) -> bool {
    matches!(trace_id.len(), 0 | 16) && span_ids.iter().all(|id| matches!(id.len(), 0 | 8))
}

impl Signal for ExportTraceServiceRequest {
    fn exporter(exporters: &Exporters) -> &FileExporter {
        &exporters.traces
    }

    fn counter(counters: &Counters) -> &AtomicU64 {
        &counters.spans
    }

    fn ids_are_valid(&self) -> bool {
        let scopes = self
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| &scope.spans).all(|span| {
            ids(&span.trace_id, &[&span.span_id, &span.parent_span_id])
                && span
                    .links
                    .iter()
                    .all(|link| ids(&link.trace_id, &[&link.span_id]))
        })
    }

    fn process(&mut self, map_anomaly_headers: bool) {
        if map_anomaly_headers {
            anomaly::map_request(self);
        }
    }
}

impl Signal for ExportMetricsServiceRequest {
    fn exporter(exporters: &Exporters) -> &FileExporter {
        &exporters.metrics
    }

    fn counter(counters: &Counters) -> &AtomicU64 {
        &counters.data_points
    }

    fn ids_are_valid(&self) -> bool {
        let scopes = self
            .resource_metrics
            .iter()
            .flat_map(|resource| &resource.scope_metrics);
        scopes
            .flat_map(|scope| &scope.metrics)
            .all(exemplar_ids_are_valid)
    }
}

fn exemplar_ids_are_valid(metric: &Metric) -> bool {
    let valid = |exemplars: &[Exemplar]| {
        exemplars
            .iter()
            .all(|exemplar| ids(&exemplar.trace_id, &[&exemplar.span_id]))
    };
    match &metric.data {
        None | Some(Data::Summary(_)) => true,
        Some(Data::Gauge(data)) => data.data_points.iter().all(|point| valid(&point.exemplars)),
        Some(Data::Sum(data)) => data.data_points.iter().all(|point| valid(&point.exemplars)),
        Some(Data::Histogram(data)) => data.data_points.iter().all(|point| valid(&point.exemplars)),
        Some(Data::ExponentialHistogram(data)) => {
            data.data_points.iter().all(|point| valid(&point.exemplars))
        }
    }
}

impl Signal for ExportLogsServiceRequest {
    fn exporter(exporters: &Exporters) -> &FileExporter {
        &exporters.logs
    }

    fn counter(counters: &Counters) -> &AtomicU64 {
        &counters.log_records
    }

    fn ids_are_valid(&self) -> bool {
        let scopes = self
            .resource_logs
            .iter()
            .flat_map(|resource| &resource.scope_logs);
        scopes
            .flat_map(|scope| &scope.log_records)
            .all(|record| ids(&record.trace_id, &[&record.span_id]))
    }
}
