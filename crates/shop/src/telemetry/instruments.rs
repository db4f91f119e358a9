//! The instruments that services record to, with the names, units and bucket bounds of the
//! semantic conventions.

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use opentelemetry_semantic_conventions::metric as semconv;

/// Bounds of duration histograms in seconds, as the conventions advise for HTTP.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Bounds of database durations in seconds, as the conventions advise.
const DATABASE_SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// A service's instruments.
pub(crate) struct Instruments {
    pub(crate) meter: Meter,
    pub(crate) server_duration: Histogram<f64>,
    pub(crate) server_active: UpDownCounter<i64>,
    pub(crate) client_duration: Histogram<f64>,
    pub(crate) db_duration: Histogram<f64>,
    pub(crate) db_wait: Histogram<f64>,
    pub(crate) db_timeouts: Counter<u64>,
    pub(crate) cache_requests: Counter<u64>,
    pub(crate) queue_sent: Counter<u64>,
    pub(crate) queue_duration: Histogram<f64>,
}

impl Instruments {
    pub(crate) fn new(meter: Meter) -> Self {
        let seconds = |name: &'static str, bounds: &[f64], description: &'static str| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(description)
                .with_boundaries(bounds.to_vec())
                .build()
        };
        Instruments {
            server_duration: seconds(
                semconv::HTTP_SERVER_REQUEST_DURATION,
                &SECONDS,
                "Duration of HTTP server requests.",
            ),
            client_duration: seconds(
                semconv::HTTP_CLIENT_REQUEST_DURATION,
                &SECONDS,
                "Duration of HTTP client requests.",
            ),
            db_duration: seconds(
                semconv::DB_CLIENT_OPERATION_DURATION,
                &DATABASE_SECONDS,
                "Duration of database statements.",
            ),
            db_wait: seconds(
                semconv::DB_CLIENT_CONNECTION_WAIT_TIME,
                &DATABASE_SECONDS,
                "Time it took to get a connection from the pool.",
            ),
            queue_duration: seconds(
                semconv::MESSAGING_PROCESS_DURATION,
                &SECONDS,
                "Duration of processing a message.",
            ),
            server_active: meter
                .i64_up_down_counter(semconv::HTTP_SERVER_ACTIVE_REQUESTS)
                .with_unit("{request}")
                .with_description("HTTP server requests that are being answered.")
                .build(),
            db_timeouts: meter
                .u64_counter(semconv::DB_CLIENT_CONNECTION_TIMEOUTS)
                .with_unit("{timeout}")
                .with_description("Requests for a connection that were given up.")
                .build(),
            cache_requests: meter
                .u64_counter("cache.requests")
                .with_unit("{request}")
                .with_description("Lookups in the cache by result, hit or miss.")
                .build(),
            queue_sent: meter
                .u64_counter(semconv::MESSAGING_CLIENT_SENT_MESSAGES)
                .with_unit("{message}")
                .with_description("Messages sent to the queue.")
                .build(),
            meter,
        }
    }
}
