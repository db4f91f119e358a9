//! What an exporter sends in one call, with every field of it: to pass it on, or to send it again.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Exemplar;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use crate::json::{self, AnySignals};
use crate::problem::Problem;
use crate::read::read_json;
use crate::sink::{Counts, Signal, Sink};

/// An export request of one of the three signals.
pub trait ExportRequest {
    /// Spans, data points or log records in it.
    fn items(&self) -> u64;

    /// Calls `each` at every moment that it names, in Unix nanoseconds; 0 stands for none.
    fn each_time(&mut self, each: &mut dyn FnMut(&mut u64));
}

impl ExportRequest for ExportTraceServiceRequest {
    fn items(&self) -> u64 {
        let resources = self.resource_spans.iter();
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.map(|scope| scope.spans.len() as u64).sum()
    }

    fn each_time(&mut self, each: &mut dyn FnMut(&mut u64)) {
        let resources = self.resource_spans.iter_mut();
        let scopes = resources.flat_map(|resource| &mut resource.scope_spans);
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            each(&mut span.start_time_unix_nano);
            each(&mut span.end_time_unix_nano);
            for event in &mut span.events {
                each(&mut event.time_unix_nano);
            }
        }
    }
}

impl ExportRequest for ExportLogsServiceRequest {
    fn items(&self) -> u64 {
        let resources = self.resource_logs.iter();
        let scopes = resources.flat_map(|resource| &resource.scope_logs);
        scopes.map(|scope| scope.log_records.len() as u64).sum()
    }

    fn each_time(&mut self, each: &mut dyn FnMut(&mut u64)) {
        let resources = self.resource_logs.iter_mut();
        let scopes = resources.flat_map(|resource| &mut resource.scope_logs);
        for record in scopes.flat_map(|scope| &mut scope.log_records) {
            each(&mut record.time_unix_nano);
            each(&mut record.observed_time_unix_nano);
        }
    }
}

impl ExportRequest for ExportMetricsServiceRequest {
    fn items(&self) -> u64 {
        let resources = self.resource_metrics.iter();
        let scopes = resources.flat_map(|resource| &resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| &scope.metrics);
        metrics.map(|metric| points(metric.data.as_ref())).sum()
    }

    fn each_time(&mut self, each: &mut dyn FnMut(&mut u64)) {
        let resources = self.resource_metrics.iter_mut();
        let scopes = resources.flat_map(|resource| &mut resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| &mut scope.metrics);
        for data in metrics.filter_map(|metric| metric.data.as_mut()) {
            each_time_of_points(data, each);
        }
    }
}

fn points(data: Option<&Data>) -> u64 {
    let points = match data {
        None => 0,
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
    };
    points as u64
}

fn each_time_of_points(data: &mut Data, each: &mut dyn FnMut(&mut u64)) {
    let mut point = |start: &mut u64, time: &mut u64, exemplars: &mut [Exemplar]| {
        each(start);
        each(time);
        for exemplar in exemplars {
            each(&mut exemplar.time_unix_nano);
        }
    };
    macro_rules! of {
        ($points:expr) => {
            for p in $points {
                point(
                    &mut p.start_time_unix_nano,
                    &mut p.time_unix_nano,
                    &mut p.exemplars,
                );
            }
        };
    }
    match data {
        Data::Gauge(data) => of!(&mut data.data_points),
        Data::Sum(data) => of!(&mut data.data_points),
        Data::Histogram(data) => of!(&mut data.data_points),
        Data::ExponentialHistogram(data) => of!(&mut data.data_points),
        Data::Summary(data) => {
            for p in &mut data.data_points {
                point(&mut p.start_time_unix_nano, &mut p.time_unix_nano, &mut []);
            }
        }
    }
}

/// An export request of any signal.
#[derive(Debug, Clone, PartialEq)]
pub enum SignalRequest {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Data points.
    Metrics(ExportMetricsServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
}

/// Takes nothing; what is read is only counted.
struct Nobody;

impl Sink for Nobody {}

impl SignalRequest {
    /// What is in a message of OTLP/JSON, and whether there is something else in it that requests
    /// have no place for. Requests without items are left out.
    ///
    /// # Errors
    /// What is wrong, and where. Jaeger's JSON is no OTLP.
    pub(crate) fn from_json(message: &[u8]) -> Result<(Vec<Self>, bool), Problem> {
        let (signals, has_unread) = json::read_noting(message)?;
        let AnySignals {
            resource_spans,
            resource_metrics,
            resource_logs,
        } = signals;
        let mut requests = vec![
            Self::Traces(ExportTraceServiceRequest { resource_spans }),
            Self::Metrics(ExportMetricsServiceRequest { resource_metrics }),
            Self::Logs(ExportLogsServiceRequest { resource_logs }),
        ];
        requests.retain(|request| request.items() > 0);
        if requests.is_empty() && read_json(message, &mut Nobody)?.all_items() > 0 {
            let reason = "this is Jaeger's JSON and not what an exporter sends";
            return Err(Problem {
                byte: 0,
                reason: reason.to_owned(),
            });
        }
        Ok((requests, has_unread))
    }

    /// What is in a message of protobuf, whose signal its items tell.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn from_protobuf(message: &[u8], counts: Counts) -> Result<Option<Self>, Problem> {
        let has_items = |signal: &Signal| counts.items(*signal) > 0;
        let read = match Signal::ALL.into_iter().find(has_items) {
            None => return Ok(None),
            Some(Signal::Traces) => prost::Message::decode(message).map(Self::Traces),
            Some(Signal::Metrics) => prost::Message::decode(message).map(Self::Metrics),
            Some(Signal::Logs) => prost::Message::decode(message).map(Self::Logs),
        };
        read.map(Some).map_err(|error| Problem {
            byte: 0,
            reason: error.to_string(),
        })
    }

    /// What is in it.
    pub fn signal(&self) -> Signal {
        match self {
            Self::Traces(_) => Signal::Traces,
            Self::Metrics(_) => Signal::Metrics,
            Self::Logs(_) => Signal::Logs,
        }
    }

    /// Spans, data points or log records in it.
    pub fn items(&self) -> u64 {
        match self {
            Self::Traces(request) => request.items(),
            Self::Metrics(request) => request.items(),
            Self::Logs(request) => request.items(),
        }
    }

    /// Calls `each` at every moment that it names, in Unix nanoseconds; 0 stands for none.
    pub fn each_time(&mut self, each: &mut dyn FnMut(&mut u64)) {
        match self {
            Self::Traces(request) => request.each_time(each),
            Self::Metrics(request) => request.each_time(each),
            Self::Logs(request) => request.each_time(each),
        }
    }
}
