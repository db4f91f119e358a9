//! Whose a row of telemetry is, as far as it can be said of a row by itself.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use loadgen_timeline::condition::TimeSpan;
use loadgen_timeline::{LedgerError, LedgerReader};

/// A span that begins so long after its request has ended, in nanoseconds, is not waited for.
const LATE_NS: i64 = 5_000_000_000;

/// Runs, and the traces that they began.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    runs: Vec<Owner>,
    traces: HashMap<u128, Trace>,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) run_id: String,
    pub(crate) time: TimeSpan,
    /// Trace and client span of the last request in its ledger.
    last: Option<(u128, u64)>,
    /// Requests in its ledger.
    pub(crate) requests: u64,
    /// When the first of them had ended, Unix nanoseconds.
    pub(crate) first_finished_ns: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Trace {
    run: u32,
    /// When its request had ended, Unix nanoseconds.
    finished_ns: i64,
}

/// What a span says of where it belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanPlace {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    pub(crate) start_ns: Option<i64>,
    /// It waits for a message, or belongs to several traces: it may begin at any time.
    pub(crate) is_deferred: bool,
}

/// What is said of a span of a run's own trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OfRun {
    /// Position of the run.
    pub(crate) run: usize,
    /// It is the client span of the ledger's last request.
    pub(crate) is_last: bool,
    /// It began long after its request had ended.
    pub(crate) is_late: bool,
}

impl Owners {
    /// Adds a run; one without a ledger owns what happened in its time.
    ///
    /// # Errors
    /// When the ledger can't be read. The run is there all the same, with what could be.
    pub(crate) fn add(&mut self, run_id: &str, time: TimeSpan, ledger: &Path) -> io::Result<()> {
        let run = self.runs.len();
        self.runs.push(Owner {
            run_id: run_id.to_owned(),
            time,
            last: None,
            requests: 0,
            first_finished_ns: None,
        });
        if !ledger.exists() {
            return Ok(());
        }
        let mut reader = match LedgerReader::open(ledger, Some(run_id)) {
            Ok(reader) => reader,
            // A run that was killed before its first request leaves an empty one.
            Err(LedgerError::Empty { .. }) => return Ok(()),
            Err(error) => return Err(io::Error::other(error)),
        };
        while let Some(batch) = reader.next_batch()? {
            for request in batch.rows() {
                let trace = u128::from_be_bytes(request.trace_id);
                let span = u64::from_be_bytes(request.span_id);
                self.request(run, (trace, span), request.finished_ns);
            }
        }
        Ok(())
    }

    fn request(&mut self, run: usize, span: (u128, u64), finished_ns: i64) {
        let of = Trace {
            run: run as u32,
            finished_ns,
        };
        self.traces.insert(span.0, of);
        let owner = &mut self.runs[run];
        owner.last = Some(span);
        owner.requests += 1;
        let first = owner.first_finished_ns.unwrap_or(finished_ns);
        owner.first_finished_ns = Some(first.min(finished_ns));
    }

    /// All runs.
    pub(crate) fn runs(&self) -> &[Owner] {
        &self.runs
    }

    /// What is said of a span by its trace; none if no run began that.
    pub(crate) fn of_span(&self, span: SpanPlace) -> Option<OfRun> {
        let trace = self.traces.get(&span.trace)?;
        let run = trace.run as usize;
        let begins_late = span
            .start_ns
            .is_some_and(|start| start - trace.finished_ns > LATE_NS);
        Some(OfRun {
            run,
            is_last: self.runs[run].last == Some((span.trace, span.span)),
            is_late: begins_late && !span.is_deferred,
        })
    }

    /// The run that began a trace, or else the first that went on at a moment.
    pub(crate) fn of(&self, trace: u128, moment_ns: Option<i64>) -> Option<usize> {
        if let Some(trace) = self.traces.get(&trace) {
            return Some(trace.run as usize);
        }
        let at = moment_ns?;
        let runs = self.runs.iter().enumerate();
        let went_on = runs.filter(|(_, run)| (run.time.0..=run.time.1).contains(&at));
        let first = went_on.min_by_key(|(_, run)| run.time.0);
        first.map(|(position, _)| position)
    }

    /// Runs by id and time, and traces with their run and the end of their request, for tests.
    #[cfg(test)]
    pub(crate) fn with(runs: &[(&str, TimeSpan)], traces: &[(u128, usize, i64)]) -> Self {
        let mut owners = Self::default();
        for (run_id, time) in runs {
            let added = owners.add(run_id, *time, Path::new("/nowhere/ledger.arrows"));
            added.expect("a run without a ledger");
        }
        for &(trace, run, finished_ns) in traces {
            owners.request(run, (trace, 1), finished_ns);
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn a_row_is_its_traces_run_or_else_the_first_that_went_on() {
        let runs = [("a", (10, 20)), ("b", (15, 30))];
        let owners = Owners::with(&runs, &[(7, 1, 18)]);
        assert_eq!(owners.of(7, Some(12)), Some(1));
        assert_eq!(owners.of(0, Some(12)), Some(0));
        assert_eq!(owners.of(8, Some(17)), Some(0));
        assert_eq!(owners.of(8, Some(25)), Some(1));
        assert_eq!(owners.of(8, Some(31)), None);
        assert_eq!(owners.of(8, None), None);
    }

    #[test]
    fn a_span_that_begins_long_after_its_request_is_late_unless_it_waited_for_a_message() {
        let owners = Owners::with(&[("a", (0, 9 * S))], &[(7, 0, 3 * S)]);
        let place = |start_ns, is_deferred| SpanPlace {
            trace: 7,
            span: 2,
            start_ns,
            is_deferred,
        };
        let is_late = |place| owners.of_span(place).map(|of| of.is_late);
        assert_eq!(is_late(place(Some(8 * S), false)), Some(false));
        assert_eq!(is_late(place(Some(8 * S + 1), false)), Some(true));
        assert_eq!(is_late(place(Some(8 * S + 1), true)), Some(false));
        assert_eq!(is_late(place(None, false)), Some(false));
        let other = SpanPlace {
            trace: 9,
            ..place(None, false)
        };
        assert_eq!(owners.of_span(other), None);
        let last = SpanPlace {
            span: 1,
            ..place(None, false)
        };
        assert!(owners.of_span(last).is_some_and(|of| of.is_last));
    }
}
