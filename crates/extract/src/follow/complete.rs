//! Whether all telemetry of a run has come: pure, from the end of the run, what was read so far,
//! and the time.
//!
//! An end by silence of the files can't be waited for: metrics never stop, and others send, too. So
//! each kind of data has a mark of its own that it is complete
//! ([design/0097](../../../docs/design/0097-when-a-run-is-complete.md)).

use std::collections::BTreeMap;
use std::fmt;

use loadgen_timeline::condition::TimeSpan;
use serde::{Deserialize, Serialize};

const SECOND_NS: i64 = 1_000_000_000;

/// How long data may be on its way from a service to a file: SDKs hand spans on each 5 s, a
/// Collector's batches wait 1 s, its file exporter flushes each second; and 3 s for all of them to
/// be slow.
pub const FLUSH_NS: i64 = 10 * SECOND_NS;

/// Time between two data points of a source of which only one was seen: the SDKs' default.
const USUAL_GAP_NS: i64 = 60 * SECOND_NS;

/// A longer gap is an outage, or the source was switched off for a while.
const LONGEST_GAP_NS: i64 = 300 * SECOND_NS;

/// What is known of a run without any telemetry. Times are Unix nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// When it began.
    pub begin_ns: i64,
    /// When it ended; none: it goes on.
    pub end_ns: Option<i64>,
    /// Requests in its ledger.
    pub requests: u64,
}

/// What was read of a run so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunMarks {
    /// Spans of its traces; those of a file that was read again count again.
    pub spans: u64,
    /// Those of them that are the generator's own.
    pub client_spans: u64,
    /// The generator's own span of the last request in the ledger is among them. They are exported
    /// in the order of the ledger, so no other is still to come.
    pub last_client_span: bool,
    /// By service: when spans of the run's traces that are not late were read, or written, for the
    /// last time. Unix nanoseconds by the reader's clock.
    pub services: BTreeMap<String, i64>,
}

/// Who sends metrics: one scope of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSource {
    /// Its service, or else its scope.
    pub name: String,
    /// Time of its latest data point, Unix nanoseconds.
    pub last_ns: i64,
    /// The longest time between two of its points; 0: only one was seen.
    pub gap_ns: i64,
}

impl MetricSource {
    /// Takes the time of a point into account, in whatever order they come.
    pub(crate) fn take(&mut self, time_ns: i64) {
        if self.last_ns != 0 {
            let gap = (time_ns - self.last_ns).min(LONGEST_GAP_NS);
            self.gap_ns = self.gap_ns.max(gap);
        }
        self.last_ns = self.last_ns.max(time_ns);
    }

    /// When its next point should have been read at the latest.
    fn due_ns(&self) -> i64 {
        let gap = match self.gap_ns {
            0 => USUAL_GAP_NS,
            gap => gap,
        };
        self.last_ns.saturating_add(2 * gap)
    }
}

/// What is still to come of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The telemetry can't be read yet.
    Telemetry(String),
    /// The timeline has no end.
    End,
    /// It ended so recently that services may still hold something.
    Flush,
    /// No span of its traces.
    AnySpan,
    /// The generator's own last span.
    LastClientSpan,
    /// These services have just sent spans of its traces.
    Spans(Vec<String>),
    /// These have sent metrics up to its end, and no point of after it.
    Metrics(Vec<String>),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Telemetry(reason) => write!(f, "{reason}"),
            Missing::End => write!(f, "the run has not ended"),
            Missing::Flush => write!(f, "it ended less than {} s ago", FLUSH_NS / SECOND_NS),
            Missing::AnySpan => write!(f, "no span of it has come"),
            Missing::LastClientSpan => write!(f, "its last client span has not come"),
            Missing::Spans(services) => {
                write!(f, "spans still come from {}", names(services))
            }
            Missing::Metrics(sources) => write!(
                f,
                "metrics up to its end have not come from {}",
                names(sources)
            ),
        }
    }
}

fn names(all: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = all.iter().take(SHOWN).map(String::as_str);
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = all.len().checked_sub(SHOWN) {
        text += &format!(" and {more} more");
    }
    text
}

/// What is still to come of a run at `now_ns`; empty: its data is complete.
///
/// - The run has ended, [`FLUSH_NS`] ago at least.
/// - If the generator's own spans come at all, that of the ledger's last request has come.
/// - No service has sent a span of the run's traces for [`FLUSH_NS`]. Late spans, which begin long
///   after their request, don't count: drivers send heartbeats in the context of a request for ever.
/// - Who sent metrics up to the end has sent a point of after it, which covers the end; or none for
///   twice its usual time, so that it has stopped. If nobody has sent one, it is the Collector that
///   holds them, and all who sent metrics in the run are waited for.
pub fn missing<'s>(
    run: &RunEnd,
    marks: &RunMarks,
    sources: impl IntoIterator<Item = &'s MetricSource>,
    now_ns: i64,
) -> Vec<Missing> {
    let Some(end_ns) = run.end_ns else {
        return vec![Missing::End];
    };
    let mut missing = Vec::new();
    if now_ns < end_ns.saturating_add(FLUSH_NS) {
        missing.push(Missing::Flush);
    }
    if run.requests > 0 && marks.spans == 0 {
        missing.push(Missing::AnySpan);
    }
    if marks.client_spans > 0 && !marks.last_client_span {
        missing.push(Missing::LastClientSpan);
    }
    let is_recent = |read_ns: &i64| now_ns < read_ns.saturating_add(FLUSH_NS);
    let recent = marks.services.iter().filter(|(_, read)| is_recent(read));
    let recent: Vec<String> = recent.map(|(service, _)| service.clone()).collect();
    if !recent.is_empty() {
        missing.push(Missing::Spans(recent));
    }
    let late = metrics_missing(sources, (run.begin_ns, end_ns), now_ns);
    if !late.is_empty() {
        missing.push(Missing::Metrics(late));
    }
    missing
}

fn metrics_missing<'s>(
    sources: impl IntoIterator<Item = &'s MetricSource>,
    (begin_ns, end_ns): TimeSpan,
    now_ns: i64,
) -> Vec<String> {
    let (passed, mut open): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|s| s.last_ns >= end_ns);
    open.retain(|source| source.last_ns >= begin_ns);
    if !passed.is_empty() {
        // Whose next point was due before the end had stopped by then, and what is due takes its
        // time to be flushed.
        let is_awaited = |due: i64| due >= end_ns && now_ns < due.saturating_add(FLUSH_NS);
        open.retain(|source| is_awaited(source.due_ns()));
    }
    let mut names: Vec<String> = open.into_iter().map(|source| source.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = SECOND_NS;
    const END: i64 = 1000 * S;

    fn run() -> RunEnd {
        RunEnd {
            begin_ns: END - 60 * S,
            end_ns: Some(END),
            requests: 9,
        }
    }

    fn marks(services: &[(&str, i64)]) -> RunMarks {
        RunMarks {
            spans: 9,
            client_spans: 3,
            last_client_span: true,
            services: services
                .iter()
                .map(|(n, at)| ((*n).to_owned(), *at))
                .collect(),
        }
    }

    fn source(name: &str, last_ns: i64, gap_ns: i64) -> MetricSource {
        MetricSource {
            name: name.to_owned(),
            last_ns,
            gap_ns,
        }
    }

    fn of(marks: &RunMarks, sources: &[MetricSource], now_ns: i64) -> Vec<Missing> {
        missing(&run(), marks, sources, now_ns)
    }

    #[test]
    fn a_run_that_goes_on_is_not_complete_whatever_has_come() {
        let goes_on = RunEnd {
            end_ns: None,
            ..run()
        };
        let all = missing(&goes_on, &marks(&[]), [], END + 999 * S);
        assert_eq!(all, [Missing::End]);
    }

    #[test]
    fn services_may_hold_spans_for_a_while_after_the_end() {
        let silent = marks(&[("cart", END)]);
        assert_eq!(
            of(&silent, &[], END + 9 * S),
            [Missing::Flush, Missing::Spans(vec!["cart".to_owned()])]
        );
        assert_eq!(of(&silent, &[], END + 10 * S), []);
    }

    #[test]
    fn a_service_that_has_just_spoken_may_go_on() {
        let marks = marks(&[("cart", END + 20 * S), ("user", END + 25 * S)]);
        let of = |now| of(&marks, &[], END + now * S);
        let spans = |names: &[&str]| {
            [Missing::Spans(
                names.iter().map(|n| (*n).to_owned()).collect(),
            )]
        };
        assert_eq!(of(29), spans(&["cart", "user"]));
        assert_eq!(of(30), spans(&["user"]));
        assert_eq!(of(35), []);
    }

    #[test]
    fn the_generators_last_span_is_waited_for_only_where_its_spans_come_at_all() {
        let mut marks = marks(&[]);
        marks.last_client_span = false;
        assert_eq!(of(&marks, &[], END + 60 * S), [Missing::LastClientSpan]);
        marks.client_spans = 0;
        assert_eq!(of(&marks, &[], END + 60 * S), []);
    }

    #[test]
    fn a_run_of_which_nothing_has_come_is_not_complete_unless_it_sent_nothing() {
        let none = RunMarks::default();
        assert_eq!(of(&none, &[], END + 60 * S), [Missing::AnySpan]);
        let sent_nothing = RunEnd {
            requests: 0,
            ..run()
        };
        assert_eq!(missing(&sent_nothing, &none, [], END + 60 * S), []);
    }

    #[test]
    fn metrics_are_complete_when_a_point_of_after_the_end_has_come() {
        let waits = [source("a", END, 10 * S), source("b", END - 5 * S, 10 * S)];
        let b = [Missing::Metrics(vec!["b".to_owned()])];
        assert_eq!(of(&marks(&[]), &waits, END + 20 * S), b);
        let come = [source("a", END, 10 * S), source("b", END + 5 * S, 10 * S)];
        assert_eq!(of(&marks(&[]), &come, END + 20 * S), []);
    }

    #[test]
    fn a_source_that_has_stopped_is_not_waited_for() {
        // Its next point was due before the end: it had stopped in the run.
        let stopped = [
            source("a", END + S, 10 * S),
            source("b", END - 21 * S, 10 * S),
        ];
        assert_eq!(of(&marks(&[]), &stopped, END + 11 * S), []);
        // It was due 15 s after the end, and has 10 s to be flushed.
        let stops = [
            source("a", END + S, 10 * S),
            source("b", END - 5 * S, 10 * S),
        ];
        assert_ne!(of(&marks(&[]), &stops, END + 24 * S), []);
        assert_eq!(of(&marks(&[]), &stops, END + 25 * S), []);
        // Of a single point nothing is known but the SDKs' default.
        let one = [source("a", END + S, 10 * S), source("b", END - 5 * S, 0)];
        assert_ne!(of(&marks(&[]), &one, END + 124 * S), []);
        assert_eq!(of(&marks(&[]), &one, END + 125 * S), []);
    }

    #[test]
    fn when_all_metrics_stop_before_the_end_it_is_the_collector_that_holds_them() {
        let held = [
            source("a", END - S, 10 * S),
            source("b", END - 50 * S, 10 * S),
            // It had stopped before the run.
            source("c", END - 61 * S, 10 * S),
        ];
        let both = [Missing::Metrics(vec!["a".to_owned(), "b".to_owned()])];
        assert_eq!(of(&marks(&[]), &held, END + 3600 * S), both);
    }

    #[test]
    fn the_gap_of_a_source_is_its_longest_unless_that_was_an_outage() {
        let mut source = MetricSource::default();
        for at in [100, 110, 125, 115, 130] {
            source.take(at * S);
        }
        assert_eq!((source.last_ns, source.gap_ns), (130 * S, 15 * S));
        source.take(9_000 * S);
        assert_eq!(source.gap_ns, 300 * S);
    }

    #[test]
    fn many_names_are_cut_short() {
        let names: Vec<String> = (0..7).map(|n| format!("s{n}")).collect();
        let said = Missing::Spans(names).to_string();
        assert_eq!(said, "spans still come from s0, s1, s2, s3, s4 and 2 more");
    }
}
