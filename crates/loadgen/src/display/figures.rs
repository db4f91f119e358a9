//! What a display shows of a scenario: how many requests, how fast, how many failed.

use std::collections::VecDeque;

use hdrhistogram::Histogram;
use loadgen_timeline::RequestRecord;

/// Length of the sliding window for the current rate.
const RATE_NS: i64 = 3_000_000_000;
/// A rate is told of at least so long: the first requests of a window say little of a second.
const LEAST_RATE_NS: i64 = 1_000_000_000;

/// Figures of one scenario while it runs.
#[derive(Debug)]
pub(super) struct LiveFigures {
    requests: u64,
    failed: u64,
    latency_us: Histogram<u64>,
    /// Ends of hand-overs with their numbers of requests.
    recent: VecDeque<(i64, u64)>,
    first_ns: Option<i64>,
}

impl LiveFigures {
    pub(super) fn new() -> Self {
        Self {
            requests: 0,
            failed: 0,
            // It grows with what it holds. The constructor does not fail for this number of digits.
            latency_us: Histogram::new(2).unwrap_or_else(|_| unreachable!()),
            recent: VecDeque::new(),
            first_ns: None,
        }
    }

    pub(super) fn add<'r>(&mut self, records: impl Iterator<Item = &'r RequestRecord>) {
        let mut count = 0;
        let mut last_ns = i64::MIN;
        for record in records {
            count += 1;
            last_ns = last_ns.max(record.finished_ns);
            self.first_ns.get_or_insert(record.sent_ns);
            self.failed += u64::from(record.failure.is_some());
            let us = (record.finished_ns - record.sent_ns) / 1000;
            let _ = self.latency_us.record(u64::try_from(us).unwrap_or(0));
        }
        if count > 0 {
            self.requests += count;
            self.recent.push_back((last_ns, count));
            while self
                .recent
                .front()
                .is_some_and(|(at, _)| *at < last_ns - RATE_NS)
            {
                self.recent.pop_front();
            }
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Requests per second over the last seconds.
    pub(super) fn rate(&self) -> f64 {
        let (Some((last, _)), Some(first_ns)) = (self.recent.back(), self.first_ns) else {
            return 0.0;
        };
        let span_ns = (last - first_ns).clamp(LEAST_RATE_NS, RATE_NS);
        let count: u64 = self.recent.iter().map(|(_, n)| n).sum();
        count as f64 * 1e9 / span_ns as f64
    }

    pub(super) fn error_percent(&self) -> f64 {
        if self.requests == 0 {
            0.0
        } else {
            100.0 * self.failed as f64 / self.requests as f64
        }
    }

    pub(super) fn p95_ms(&self) -> f64 {
        self.latency_us.value_at_quantile(0.95) as f64 / 1000.0
    }
}
