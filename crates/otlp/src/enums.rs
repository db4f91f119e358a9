//! OTLP's enums, which come as numbers or as names.

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// An enum of OTLP.
pub(crate) trait Named {
    /// Completes "expected …".
    const WHAT: &'static str;

    /// The number of a name, such as `SPAN_KIND_SERVER`.
    fn number(name: &str) -> Option<i32>;
}

macro_rules! enums {
    ($($type:ty: $what:literal;)*) => {$(
        impl Named for $type {
            const WHAT: &'static str = concat!($what, ", as its number or name");

            fn number(name: &str) -> Option<i32> {
                Self::from_str_name(name).map(|value| value as i32)
            }
        }
    )*};
}

enums!(
    SpanKind: "a span's kind";
    StatusCode: "a status code";
    SeverityNumber: "a severity";
    AggregationTemporality: "an aggregation temporality";
);
