//! What is normal for each operation: how long its spans took in the run's clean normal time, how
//! often they failed, which children they had. Why these rules: docs/design/0100.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use hdrhistogram::Histogram;
use loadgen_evidence::Interval;
use serde::{Deserialize, Serialize};

use crate::dataset::unusual::Unusual;
use crate::label::records::{SpanMarkBatch, TraceBatch};
use crate::label::shape::ShapeBatch;
use crate::scan::batch::{ALL_COLUMNS, Batch, PackedBatch, number, packed_batch};
use crate::scan::packed::PackedSlice;

/// Operations of which the normal is known: those with the smallest hashes, so that neither order nor
/// split of the input changes which. One takes up to some 20 KB.
const MAX_OPERATIONS: usize = 8192;

/// An operation whose spans have more shapes than these is not compared by its shape.
const MAX_SHAPES: usize = 256;

/// An operation, or a service, with fewer normal spans is not compared.
const LEAST_SPANS: u64 = 20;

/// The share of an operation's normal spans that may be slower, or of rarer shapes, than what still
/// counts as normal.
const SHARE: f64 = 0.005;

/// Errors are unusual where at most this share of the normal spans are errors.
const ERROR_SHARE: f64 = 0.01;

/// A span that is slow takes so much longer than the median, in microseconds.
const LEAST_EXCESS_US: u64 = 1000;

/// Where only a span that takes so many times the median, and so much longer, is slow, most delays are
/// not told from what is normal. Half a tenth of a second is what a fault adds at least where people
/// notice it.
const WIDE_TIMES: u64 = 5;
const WIDE_EXCESS_US: u64 = 50_000;

packed_batch! {
    /// Spans that may be normal: what is normal is gathered from those of them that turn out to have
    /// been sent in the run's clean normal time.
    CandidateBatch, CandidateBuilder, CandidateRow {
        /// The moment by which its trace is labelled, Unix nanoseconds.
        moment_ns: I64,
        /// The rest as of its shape.
        service: U64,
        operation: U64,
        took_ns: I64,
        own_ns: I64,
        wait_ns: I64,
        kinds: U64,
        shape: U64,
        children: U32,
        error: Bool,
    }
}

/// What was gathered of all operations, of one partition or of several.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Normals {
    operations: BTreeMap<u64, Normal>,
    services: BTreeMap<u64, Outcomes>,
}

/// Spans, and those of them that failed.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Outcomes {
    spans: u64,
    errors: u64,
}

/// What was gathered of one operation.
#[derive(Debug, Serialize, Deserialize)]
struct Normal {
    outcomes: Outcomes,
    #[serde(with = "crate::distributed::histogram")]
    took: Histogram<u32>,
    #[serde(with = "crate::distributed::histogram")]
    own: Histogram<u32>,
    #[serde(with = "crate::distributed::histogram")]
    wait: Histogram<u32>,
    #[serde(with = "crate::distributed::histogram")]
    children: Histogram<u32>,
    kinds: Shapes,
    shapes: Shapes,
}

/// How often each shape came; none: they were too many.
#[derive(Debug, Serialize, Deserialize)]
struct Shapes(Option<BTreeMap<u64, u32>>);

/// What of each operation is still normal.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    operations: HashMap<u64, Limit>,
    /// Services in which errors are rare.
    reliable: HashSet<u64>,
}

/// The normal durations of an operation, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Durations {
    pub(crate) median_us: u64,
    /// A longer one is slow.
    pub(crate) slow_from_us: u64,
}

#[derive(Debug)]
struct Limit {
    median: u64,
    took: Option<u64>,
    own: Option<u64>,
    wait: Option<u64>,
    children: u64,
    /// Errors are rare in it.
    rarely_fails: bool,
    kinds: Usual,
    shapes: Usual,
}

/// Which shapes are usual.
#[derive(Debug)]
struct Usual {
    /// Shapes that are, sorted.
    shapes: Vec<u64>,
    /// Whether one that never came is unusual.
    is_closed: bool,
}

/// Calls `each` with every span of a partition that counts and whose trace was sent in one of `times`.
pub(crate) fn candidates<'p>(
    times: &[Interval],
    traces: &'p TraceBatch,
    marks: &'p SpanMarkBatch,
    shapes: &'p ShapeBatch,
    mut each: impl FnMut(CandidateRow<'p>),
) {
    let sent = |trace: usize| {
        let moment = number(&traces.moment_ns, trace).filter(|_| traces.foreign.value(trace) == 0);
        moment.filter(|at| times.iter().any(|time| time.contains(*at)))
    };
    let mut at_hand = None;
    for row in 0..shapes.operation.len() {
        let trace = marks.trace.value(row) as usize;
        let moment_ns = match at_hand {
            Some((of, moment_ns)) if of == trace => moment_ns,
            _ => sent(trace),
        };
        at_hand = Some((trace, moment_ns));
        if moment_ns.is_some() && shapes.counts.value(row) {
            each(CandidateRow {
                moment_ns,
                service: Some(shapes.service.value(row)),
                operation: Some(shapes.operation.value(row)),
                took_ns: number(&shapes.took_ns, row),
                own_ns: number(&shapes.own_ns, row),
                wait_ns: number(&shapes.wait_ns, row),
                kinds: Some(shapes.kinds.value(row)),
                shape: Some(shapes.shape.value(row)),
                children: Some(shapes.children.value(row)),
                error: Some(shapes.error.value(row)),
            });
        }
    }
}

impl Normals {
    /// Of a partition: of spans whose trace was sent in `reference`.
    pub(crate) fn of(
        reference: &[Interval],
        traces: &TraceBatch,
        marks: &SpanMarkBatch,
        shapes: &ShapeBatch,
    ) -> Self {
        let mut normals = Self::default();
        candidates(reference, traces, marks, shapes, |span| normals.add(&span));
        normals
    }

    /// Adds those of some candidates whose trace was sent in `reference`.
    pub(crate) fn add_candidates(
        &mut self,
        reference: &[Interval],
        rows: PackedSlice<'_>,
    ) -> io::Result<()> {
        let batch = CandidateBatch::unpack(&[&rows.to_packed()], None, ALL_COLUMNS)?;
        let spans = CandidateBatch::view(&batch).map_err(io::Error::other)?;
        for row in 0..batch.num_rows() {
            let span = spans.row(row);
            let is_normal = |at| reference.iter().any(|interval| interval.contains(at));
            if span.moment_ns.is_some_and(is_normal) {
                self.add(&span);
            }
        }
        Ok(())
    }

    fn add(&mut self, span: &CandidateRow<'_>) {
        let failed = span.error.unwrap_or_default();
        let service = self.services.entry(span.service.unwrap_or_default());
        service.or_default().add(failed);
        let operation = self.operations.entry(span.operation.unwrap_or_default());
        let normal = operation.or_insert_with(Normal::new);
        normal.outcomes.add(failed);
        for (histogram, ns) in [
            (&mut normal.took, span.took_ns),
            (&mut normal.own, span.own_ns),
            (&mut normal.wait, span.wait_ns),
        ] {
            if let Some(ns) = ns {
                record(histogram, microseconds(ns));
            }
        }
        let children = span.children.unwrap_or_default();
        record(&mut normal.children, children.into());
        normal.kinds.add(span.kinds.unwrap_or_default(), 1);
        normal.shapes.add(span.shape.unwrap_or_default(), 1);
        self.bound();
    }

    fn bound(&mut self) {
        while self.operations.len() > MAX_OPERATIONS {
            self.operations.pop_last();
        }
    }

    /// Adds what was gathered of another partition.
    pub(crate) fn merge(&mut self, other: Self) {
        for (operation, of) in other.operations {
            match self.operations.get_mut(&operation) {
                Some(normal) => normal.merge(of),
                None => _ = self.operations.insert(operation, of),
            }
        }
        for (service, of) in other.services {
            self.services.entry(service).or_default().merge(of);
        }
        self.bound();
    }

    /// What is still normal.
    pub(crate) fn limits(&self) -> Limits {
        let of = self.operations.iter();
        let known = of.filter(|(_, normal)| normal.outcomes.are_enough());
        let services = self.services.iter();
        let reliable = services.filter(|(_, of)| of.are_enough() && of.rarely_fail());
        Limits {
            operations: known.map(|(id, normal)| (*id, normal.limit())).collect(),
            reliable: reliable.map(|(id, _)| *id).collect(),
        }
    }
}

impl Outcomes {
    fn add(&mut self, failed: bool) {
        self.spans += 1;
        self.errors += u64::from(failed);
    }

    fn merge(&mut self, other: Self) {
        self.spans += other.spans;
        self.errors += other.errors;
    }

    fn are_enough(&self) -> bool {
        self.spans >= LEAST_SPANS
    }

    fn rarely_fail(&self) -> bool {
        self.errors as f64 <= ERROR_SHARE * self.spans as f64
    }
}

impl Normal {
    fn new() -> Self {
        // Values are kept to a hundredth. The number of digits is one for which it does not fail.
        let histogram = || Histogram::new(2).unwrap_or_else(|_| unreachable!());
        Self {
            outcomes: Outcomes::default(),
            took: histogram(),
            own: histogram(),
            wait: histogram(),
            children: histogram(),
            kinds: Shapes::new(),
            shapes: Shapes::new(),
        }
    }

    fn merge(&mut self, other: Self) {
        self.outcomes.merge(other.outcomes);
        for (own, other) in [
            (&mut self.took, other.took),
            (&mut self.own, other.own),
            (&mut self.wait, other.wait),
            (&mut self.children, other.children),
        ] {
            // All grow as they need, for which adding does not fail.
            let _ = own.add(other);
        }
        self.kinds.merge(other.kinds);
        self.shapes.merge(other.shapes);
    }

    fn limit(&self) -> Limit {
        Limit {
            median: self.took.value_at_quantile(0.5),
            took: slowest(&self.took),
            own: slowest(&self.own),
            wait: slowest(&self.wait),
            children: self.children.value_at_quantile(1.0 - SHARE),
            rarely_fails: self.outcomes.rarely_fail(),
            kinds: self.kinds.usual(self.outcomes.spans),
            shapes: self.shapes.usual(self.outcomes.spans),
        }
    }
}

/// The longest time that is still normal, in microseconds; none where too few are known. Half of what
/// all but a few take is added: a quantile of few values is hardly known, and moods of a machine last
/// longer than its normal time.
fn slowest(times: &Histogram<u32>) -> Option<u64> {
    (times.len() >= LEAST_SPANS).then(|| {
        let longest = times.value_at_quantile(1.0 - SHARE);
        let median = times.value_at_quantile(0.5);
        (longest + longest / 2).max(median + LEAST_EXCESS_US)
    })
}

fn record(histogram: &mut Histogram<u32>, value: u64) {
    // It grows as it needs, for which recording does not fail.
    let _ = histogram.record(value);
}

fn microseconds(ns: i64) -> u64 {
    (ns / 1000).max(0) as u64
}

impl Shapes {
    fn new() -> Self {
        Self(Some(BTreeMap::new()))
    }

    fn add(&mut self, shape: u64, times: u32) {
        if let Some(counts) = &mut self.0 {
            let count = counts.entry(shape).or_default();
            *count = count.saturating_add(times);
            if counts.len() > MAX_SHAPES {
                self.0 = None;
            }
        }
    }

    fn merge(&mut self, other: Self) {
        match other.0 {
            Some(counts) => counts.into_iter().for_each(|(s, times)| self.add(s, times)),
            None => self.0 = None,
        }
    }

    /// A shape is unusual if it and all that are as rare have but a small share. Of one that never
    /// came the share is that of those that came once (Good 1953).
    fn usual(&self, spans: u64) -> Usual {
        let Some(counts) = &self.0 else {
            return Usual {
                shapes: Vec::new(),
                is_closed: false,
            };
        };
        let as_rare = |as_count: u32| -> u64 {
            let rare = counts.values().filter(|count| **count <= as_count);
            rare.map(|count| u64::from(*count)).sum()
        };
        let is_small = |of: u64| of as f64 <= SHARE * spans as f64;
        let usual = counts
            .iter()
            .filter(|(_, count)| !is_small(as_rare(**count)));
        Usual {
            shapes: usual.map(|(shape, _)| *shape).collect(),
            is_closed: is_small(as_rare(1)),
        }
    }
}

impl Usual {
    fn has(&self, shape: u64) -> bool {
        !self.is_closed || self.shapes.binary_search(&shape).is_ok()
    }
}

impl Limits {
    /// What is unusual about a span; none where its operation's normal is not known. Of a span that
    /// failed it is then told by its service's normal.
    pub(crate) fn unusual(&self, shapes: &ShapeBatch, row: usize) -> Option<Unusual> {
        let failed = shapes.error.value(row);
        if !shapes.counts.value(row) {
            return None;
        }
        let Some(limit) = self.of(shapes, row) else {
            let is_reliable = || self.reliable.contains(&shapes.service.value(row));
            return (failed && is_reliable()).then_some(Unusual {
                error: true,
                ..Unusual::default()
            });
        };
        let is_slow = |column, limit: Option<u64>| {
            let took = number(column, row).map(microseconds);
            took.zip(limit).is_some_and(|(took, limit)| took > limit)
        };
        let waited = is_slow(&shapes.wait_ns, limit.wait);
        let has_other_children = !limit.kinds.has(shapes.kinds.value(row))
            || !limit.shapes.has(shapes.shape.value(row))
            || u64::from(shapes.children.value(row)) > limit.children;
        Some(Unusual {
            latency: waited || is_slow(&shapes.took_ns, limit.took),
            own_latency: waited || is_slow(&shapes.own_ns, limit.own),
            error: failed && limit.rarely_fails,
            structure: has_other_children,
            is_rare: false,
        })
    }

    /// Whether a span has children of other operations than in normal time.
    pub(crate) fn has_other_kinds(&self, shapes: &ShapeBatch, row: usize) -> bool {
        let limit = self.of(shapes, row);
        limit.is_some_and(|limit| !limit.kinds.has(shapes.kinds.value(row)))
    }

    /// The normal durations of a span's operation, where their tail is so long that most delays are not
    /// told from it.
    pub(crate) fn wide(&self, shapes: &ShapeBatch, row: usize) -> Option<Durations> {
        let limit = self.of(shapes, row)?;
        let durations = Durations {
            median_us: limit.median,
            slow_from_us: limit.took?,
        };
        let Durations {
            median_us,
            slow_from_us,
        } = durations;
        let is_wide =
            slow_from_us >= WIDE_TIMES * median_us && slow_from_us >= median_us + WIDE_EXCESS_US;
        is_wide.then_some(durations)
    }

    /// Whether the normal of a span's operation is known.
    pub(crate) fn knows(&self, shapes: &ShapeBatch, row: usize) -> bool {
        self.of(shapes, row).is_some()
    }

    fn of(&self, shapes: &ShapeBatch, row: usize) -> Option<&Limit> {
        self.operations.get(&shapes.operation.value(row))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::label::shape::ShapeBuilder;

    /// A span: operation, milliseconds, children's shape and number, whether it failed.
    type Of = (u64, i64, u64, u32, bool);

    fn shapes(spans: &[Of]) -> ShapeBatch {
        let mut builder = ShapeBuilder::default();
        for &(operation, ms, shape, children, error) in spans {
            builder.service.append_value(operation / 10);
            builder.operation.append_value(operation);
            builder.parent.append_null();
            builder.took_ns.append_value(ms * 1_000_000);
            builder.own_ns.append_value(ms * 1_000_000);
            builder.wait_ns.append_null();
            builder.kinds.append_value(shape);
            builder.shape.append_value(shape);
            builder.children.append_value(children);
            builder.error.append_value(error);
            builder.counts.append_value(true);
        }
        ShapeBatch::view(&builder.finish().expect("a batch")).expect("its own schema")
    }

    fn normals(spans: &[Of]) -> Normals {
        let mut normals = Normals::default();
        for &(operation, ms, shape, children, error) in spans {
            normals.add(&CandidateRow {
                moment_ns: Some(0),
                service: Some(operation / 10),
                operation: Some(operation),
                took_ns: Some(ms * 1_000_000),
                own_ns: Some(ms * 1_000_000),
                wait_ns: None,
                kinds: Some(shape),
                shape: Some(shape),
                children: Some(children),
                error: Some(error),
            });
        }
        normals
    }

    fn unusual(limits: &Limits, span: Of) -> Option<Unusual> {
        limits.unusual(&shapes(&[span]), 0)
    }

    #[test]
    fn slow_is_what_takes_half_as_long_again_as_all_but_a_few() {
        let normal: Vec<Of> = (0..100).map(|n| (11, 10 + n % 10, 1, 2, false)).collect();
        let limits = normals(&normal).limits();
        let is_slow = |ms: i64| {
            unusual(&limits, (11, ms, 1, 2, false))
                .expect("known")
                .latency
        };
        assert!(!is_slow(19) && !is_slow(28));
        assert!(is_slow(29) && is_slow(1000));
        // Of what takes no time at all a millisecond more is needed.
        let limits = normals(&[(11, 0, 1, 2, false); 100]).limits();
        let is_slow = |ms: i64| {
            unusual(&limits, (11, ms, 1, 2, false))
                .expect("known")
                .latency
        };
        assert!(!is_slow(1) && is_slow(2));
    }

    #[test]
    fn a_normal_with_a_long_tail_is_known_as_such() {
        let wide = |slow: i64| {
            let ms = |n: i64| if n % 50 == 0 { slow } else { 10 };
            let spans: Vec<Of> = (0..200).map(|n| (11, ms(n), 1, 2, false)).collect();
            normals(&spans)
                .limits()
                .wide(&shapes(&[(11, 10, 1, 2, false)]), 0)
        };
        assert_eq!(wide(10), None);
        // Slow from 1.5 times 39 ms on: less than 50 ms above the median.
        assert_eq!(wide(39), None);
        let of = wide(200).expect("a long tail");
        // Values are kept to a hundredth.
        assert!((9_900..=10_100).contains(&of.median_us), "{of:?}");
        assert!((297_000..=303_000).contains(&of.slow_from_us), "{of:?}");
    }

    #[test]
    fn nothing_is_told_by_fewer_than_twenty_but_a_failure_by_those_of_the_service() {
        let ok = (11, 10, 1, 2, false);
        assert_eq!(unusual(&normals(&[ok; 19]).limits(), ok), None);
        let limits = normals(&[ok; 20]).limits();
        assert_eq!(unusual(&limits, ok), Some(Unusual::default()));
        // Another operation of the same service, and one of another service.
        assert_eq!(unusual(&limits, (12, 10, 1, 2, false)), None);
        let failed = unusual(&limits, (12, 10, 1, 2, true)).expect("told");
        assert!(failed.error && !failed.latency);
        assert_eq!(unusual(&limits, (21, 10, 1, 2, true)), None);
    }

    #[test]
    fn errors_are_unusual_where_they_are_rare() {
        let of = |failed: usize| -> Limits {
            let spans: Vec<Of> = (0..200).map(|n| (11, 10, 1, 2, n < failed)).collect();
            normals(&spans).limits()
        };
        let failed = (11, 10, 1, 2, true);
        assert!(unusual(&of(2), failed).expect("known").error);
        assert!(!unusual(&of(3), failed).expect("known").error);
    }

    #[test]
    fn children_are_unusual_that_hardly_ever_or_never_came() {
        let of = |rare: usize| -> Limits {
            let shape = |n: usize| if n < rare { 7 } else { 1 };
            let spans: Vec<Of> = (0..400).map(|n| (11, 10, shape(n), 2, false)).collect();
            normals(&spans).limits()
        };
        let is_other = |limits: &Limits, shape: u64, children: u32| {
            let unusual = unusual(limits, (11, 10, shape, children, false));
            unusual.expect("known").structure
        };
        let limits = of(2);
        assert!(!is_other(&limits, 1, 2));
        assert!(is_other(&limits, 7, 2) && is_other(&limits, 8, 2));
        assert!(!is_other(&of(3), 7, 2));
        // More than ever there were.
        assert!(is_other(&limits, 1, 3));
        // Each has a shape of its own: a new one says nothing.
        let spans: Vec<Of> = (0..400).map(|n| (11, 10, n, 2, false)).collect();
        assert!(!is_other(&normals(&spans).limits(), 1000, 2));
    }

    #[test]
    fn more_operations_than_are_kept_are_those_with_the_smallest_numbers() {
        let spans: Vec<Of> = (0..MAX_OPERATIONS as u64 + 9)
            .rev()
            .map(|operation| (operation, 1, 1, 0, false))
            .collect();
        let kept = normals(&spans).operations;
        assert_eq!(kept.len(), MAX_OPERATIONS);
        assert!(kept.contains_key(&0) && !kept.contains_key(&(MAX_OPERATIONS as u64)));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_limits(
            spans in prop::collection::vec(
                (0u64..3, 0i64..50, 0u64..4, 0u32..4, prop::bool::weighted(0.02)), 1..300),
            parts in 1usize..5,
        ) {
            let whole = normals(&spans).limits();
            let mut merged = Normals::default();
            for part in 0..parts {
                let of: Vec<Of> = spans.iter().copied().skip(part).step_by(parts).collect();
                merged.merge(normals(&of));
            }
            let merged = merged.limits();
            for &(operation, ms, shape, children, error) in &spans {
                let span = (operation, ms * 2, shape + 1, children, error);
                prop_assert_eq!(unusual(&whole, span), unusual(&merged, span));
            }
        }
    }
}
