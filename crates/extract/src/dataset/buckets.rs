//! The tables of services over time, of buckets of one and of five seconds.

use super::said::{
    Labelled, Said, anomaly_columns, backing_columns, phase_columns, provenance_columns,
};
use super::table::{Column, Kind, NEVER, Table, Value};

/// Every service in every bucket of so many seconds.
#[derive(Debug)]
pub(crate) struct Buckets<const SECONDS: usize>;

/// Spans of one kind that began in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OfKind {
    pub(crate) count: u64,
    /// Of these with status error.
    pub(crate) errors: u64,
    /// Median, 95th and 99th percentile of their durations, in nanoseconds.
    pub(crate) quantiles_ns: [Option<i64>; 3],
}

/// What is known of a service in a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// Server, client, internal, producer, consumer.
    pub(crate) kinds: [OfKind; 5],
    pub(crate) in_flight: f64,
    pub(crate) cpu: Option<f64>,
    pub(crate) saturation: Option<f64>,
    pub(crate) queue: Option<f64>,
    /// Trace, debug, info, warn, error, fatal, not known.
    pub(crate) logs: [u64; 7],
    pub(crate) new_log_templates: u64,
}

/// One row; times in Unix nanoseconds.
#[derive(Debug)]
pub(crate) struct BucketRow<'a> {
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) service: &'a str,
    pub(crate) bucket: Bucket,
    pub(crate) said: Said<'a>,
}

impl Labelled for BucketRow<'_> {
    fn said(&self) -> &Said<'_> {
        &self.said
    }

    fn service(&self) -> &str {
        self.service
    }
}

/// The label columns of tables over time, in their order.
pub(crate) const LABELS: [&str; 8] = [
    "anomaly_type",
    "anomaly_label",
    "anomaly_root_cause",
    "root_cause_service",
    "scenario",
    "phase",
    "fault_state",
    "verdict",
];

/// Those of the shared columns that are named, in that order.
pub(super) fn shared<T: Table>(names: &[&str]) -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Labelled,
{
    let mut all: Vec<Column<T>> = anomaly_columns();
    all.extend(provenance_columns());
    all.extend(phase_columns());
    all.extend(backing_columns());
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let place = all.iter().position(|column| column.name == *name);
        found.extend(place.map(|place| all.swap_remove(place)));
    }
    found
}

macro_rules! kind_columns {
    ($($kind:literal, $spans:literal, $place:literal;)*) => {
        vec![$(
            Column::new(
                concat!($kind, "_count"), Kind::Int64,
                concat!($spans, " that began in it, each once"), NEVER,
                |r| Value::count(r.bucket.kinds[$place].count),
            ),
            Column::new(
                concat!($kind, "_errors"), Kind::Int64, "of these with status error", NEVER,
                |r| Value::count(r.bucket.kinds[$place].errors),
            ),
            Column::new(
                concat!($kind, "_p50_ms"), Kind::Milliseconds,
                "median of their durations, ms, exact (nearest rank)", NO_SPANS,
                |r| Value::opt_int(r.bucket.kinds[$place].quantiles_ns[0]),
            ),
            Column::new(
                concat!($kind, "_p95_ms"), Kind::Milliseconds,
                "95th percentile, likewise", NO_SPANS,
                |r| Value::opt_int(r.bucket.kinds[$place].quantiles_ns[1]),
            ),
            Column::new(
                concat!($kind, "_p99_ms"), Kind::Milliseconds,
                "99th percentile, likewise", NO_SPANS,
                |r| Value::opt_int(r.bucket.kinds[$place].quantiles_ns[2]),
            ),
        )*]
    };
}

macro_rules! log_columns {
    ($($name:literal, $meaning:literal, $place:literal;)*) => {
        [$(
            Column::new($name, Kind::Int64, $meaning, NEVER, |r| {
                Value::count(r.bucket.logs[$place])
            }),
        )*]
    };
}

/// When a quantile is null.
const NO_SPANS: &str = "no such spans with a duration";

impl<const SECONDS: usize> Table for Buckets<SECONDS> {
    type Row<'a> = BucketRow<'a>;

    const NAME: &'static str = match SECONDS {
        1 => "windows_features_1s",
        _ => "windows_features_5s",
    };

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let mut columns = vec![
            new(
                "timestamp",
                Kind::Timestamp,
                "start of the bucket, RFC 3339",
                NEVER,
                |r| Value::Int(r.start_ns),
            ),
            new(
                "start_time_ns",
                Kind::UnixNanos,
                "the same, Unix ns",
                NEVER,
                |r| Value::Int(r.start_ns),
            ),
            new(
                "end_time_ns",
                Kind::UnixNanos,
                "end of the bucket, which does not belong to it, Unix ns",
                NEVER,
                |r| Value::Int(r.end_ns),
            ),
            new("service_name", Kind::Text, "as for spans", NEVER, |r| {
                Value::text(r.service)
            }),
        ];
        let kinds: Vec<Column<Self>> = kind_columns! {
            "server", "server spans", 0;
            "client", "client spans", 1;
            "internal", "internal spans, and those whose kind is not said,", 2;
            "producer", "producer spans", 3;
            "consumer", "consumer spans", 4;
        };
        columns.extend(kinds);
        columns.extend(figure_columns());
        let logs: [Column<Self>; 7] = log_columns! {
            "log_trace", "log records of severity trace", 0;
            "log_debug", "of severity debug", 1;
            "log_info", "of severity info", 2;
            "log_warn", "of severity warn", 3;
            "log_error", "of severity error", 4;
            "log_fatal", "of severity fatal", 5;
            "log_unspecified", "of no known severity", 6;
        };
        columns.extend(logs);
        columns.push(Column::new(
            "new_log_templates",
            Kind::Int64,
            "templates of log records that this service used for the first time in the run",
            NEVER,
            |r| Value::count(r.bucket.new_log_templates),
        ));
        columns.extend(shared(&LABELS));
        columns.extend(shared(&["is_root_cause_service", "service_affected"]));
        columns
    }
}

fn figure_columns<const SECONDS: usize>() -> [Column<Buckets<SECONDS>>; 4] {
    let none = "no metric of the service says it";
    [
        Column::new(
            "in_flight",
            Kind::Double,
            "server and consumer spans that were open, on average over the bucket",
            NEVER,
            |r| Value::Double(r.bucket.in_flight),
        ),
        Column::new(
            "cpu",
            Kind::Double,
            "processors used, see below",
            none,
            |r| Value::opt_double(r.bucket.cpu),
        ),
        Column::new(
            "saturation",
            Kind::Double,
            "largest share used of a pool, a queue or the processors, 0 to 1 or more, see below",
            none,
            |r| Value::opt_double(r.bucket.saturation),
        ),
        Column::new(
            "queue",
            Kind::Double,
            "requests and messages that wait, see below",
            none,
            |r| Value::opt_double(r.bucket.queue),
        ),
    ]
}
