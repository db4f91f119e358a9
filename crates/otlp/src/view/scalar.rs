//! Ids, times and enums.

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::trace::v1::{span, status};

use super::{Keep, Merge};
use crate::input::{Input, Named};
use crate::problem::Result;

/// A trace id; 0, which OpenTelemetry forbids, stands for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

/// A span id; 0, which OpenTelemetry forbids, stands for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub u64);

/// A time in Unix nanoseconds, or none.
///
/// A 0 is none, and so is a time after the year 2262, which no `i64` holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnixNanos(i64);

impl UnixNanos {
    /// From OTLP's number.
    pub fn new(ns: u64) -> Self {
        Self(i64::try_from(ns).unwrap_or(0))
    }

    /// The time, in Unix nanoseconds.
    pub fn get(self) -> Option<i64> {
        (self.0 != 0).then_some(self.0)
    }
}

impl<'a> Merge<'a> for TraceId {
    fn merge<I: Input<'a>>(&mut self, input: &mut I, _: &Keep<'_>) -> Result<()> {
        self.0 = u128::from_be_bytes(input.id()?);
        Ok(())
    }
}

impl<'a> Merge<'a> for SpanId {
    fn merge<I: Input<'a>>(&mut self, input: &mut I, _: &Keep<'_>) -> Result<()> {
        self.0 = u64::from_be_bytes(input.id()?);
        Ok(())
    }
}

impl<'a> Merge<'a> for UnixNanos {
    fn merge<I: Input<'a>>(&mut self, input: &mut I, _: &Keep<'_>) -> Result<()> {
        *self = Self::new(input.unsigned()?);
        Ok(())
    }
}

macro_rules! enums {
    ($($(#[$doc:meta])* $name:ident = $named:ty, $what:literal {
        $($constant:ident = $number:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name(
            /// OTLP's number, also one that is not known here; 0 is "unspecified".
            pub i32,
        );

        impl $name {
            $(
                #[doc = concat!("OTLP's ", stringify!($constant), ".")]
                pub const $constant: Self = Self($number);
            )*
        }

        impl Named for $name {
            const WHAT: &'static str = concat!($what, ", as its number or name");

            fn number(name: &str) -> Option<i32> {
                <$named>::from_str_name(name).map(|value| value as i32)
            }
        }

        impl<'a> Merge<'a> for $name {
            fn merge<I: Input<'a>>(&mut self, input: &mut I, _: &Keep<'_>) -> Result<()> {
                self.0 = input.enumeration::<Self>()?;
                Ok(())
            }
        }
    )*};
}

enums! {
    /// Which side of which exchange a span is.
    SpanKind = span::SpanKind, "a span's kind" {
        INTERNAL = 1,
        SERVER = 2,
        CLIENT = 3,
        PRODUCER = 4,
        CONSUMER = 5,
    }
    /// How a span ended.
    StatusCode = status::StatusCode, "a status code" {
        OK = 1,
        ERROR = 2,
    }
    /// How bad it is what a log record says, from 1 to 24.
    Severity = SeverityNumber, "a severity" {}
    /// Whether points count from the start or from the point before.
    Temporality = AggregationTemporality, "an aggregation temporality" {
        DELTA = 1,
        CUMULATIVE = 2,
    }
}
