//! What is unusual about the spans of a partition, and in which of them it begins.

use arrow_array::Array;
use loadgen_timeline::condition::Label;

use super::partition::{OfTrace, TracePartition};
use crate::dataset::said::LabelTexts;
use crate::dataset::unusual::{OfSpan, Unusual};
use crate::label::trace::CLIENT;
use crate::rules::RowRules;
use crate::scan::batch::text;

/// Of each mark of a span.
pub(super) fn unusual(
    rules: &RowRules<'_>,
    of: &TracePartition,
    said: &[OfTrace<'_>],
) -> Vec<OfSpan> {
    let unusual = of_each(rules, of, said);
    let below = Below::new(of, &unusual);
    let label = |at: usize| said[of.span_marks.trace.value(at) as usize].label();
    let begins: Vec<bool> = (0..unusual.len())
        .map(|at| begins(of, label(at), &below, unusual[at], at))
        .collect();
    let mut begins_below = vec![false; begins.len()];
    for (at, parent) in of.children() {
        begins_below[parent] |= begins[at];
    }
    let is_root_cause = |at: usize| {
        let unusual = unusual[at]?;
        let label = label(at);
        if label.anomaly_label == Label::Normal.name() {
            return Some(false);
        }
        if label.services.is_empty() {
            return None;
        }
        // Other children are what shows of something that begins in one of them.
        let other_children = unusual.structure
            && !begins_below[at]
            && place(of, label, &below, at).is_some_and(|place| place.is_suspect(&below, at));
        Some(begins[at] || other_children)
    };
    (0..unusual.len())
        .map(|at| OfSpan {
            unusual: unusual[at],
            is_root_cause: is_root_cause(at),
        })
        .collect()
}

/// What is unusual about each span; none where it can't be told.
fn of_each(
    rules: &RowRules<'_>,
    of: &TracePartition,
    said: &[OfTrace<'_>],
) -> Vec<Option<Unusual>> {
    let is_of_the_run = |at: usize| said[of.span_marks.trace.value(at) as usize].is_of_the_run();
    let mut unusual: Vec<Option<Unusual>> = (0..of.span_marks.row.len())
        .map(|at| is_of_the_run(at).then(|| rules.limits.unusual(&of.shapes, at))?)
        .collect();
    // A span of an operation that hardly ever came in normal time, where it is among the children
    // that its parent did not have then.
    for (at, parent) in of.children() {
        let limits = &rules.limits;
        if is_of_the_run(at)
            && !limits.knows(&of.shapes, at)
            && limits.has_other_kinds(&of.shapes, parent)
        {
            let rare = unusual[at].get_or_insert_default();
            rare.structure = true;
            rare.is_rare = true;
        }
    }
    unusual
}

/// What is seen below each span.
struct Below {
    /// A child failed.
    error: Vec<bool>,
    /// A child took long.
    latency: Vec<bool>,
    /// A child is unusual.
    unusual: Vec<bool>,
    /// The mark of a child of another service, which answers a call.
    answer: Vec<Option<u32>>,
}

impl Below {
    fn new(of: &TracePartition, unusual: &[Option<Unusual>]) -> Self {
        let mut below = Self {
            error: vec![false; unusual.len()],
            latency: vec![false; unusual.len()],
            unusual: vec![false; unusual.len()],
            answer: vec![None; unusual.len()],
        };
        for (at, parent) in of.children() {
            below.error[parent] |= of.shapes.error.value(at);
            below.latency[parent] |= unusual[at].is_some_and(|child| child.latency);
            below.unusual[parent] |= unusual[at].is_some_and(Unusual::any);
            if of.service(parent) != of.service(at) {
                below.answer[parent].get_or_insert(at as u32);
            }
        }
        below
    }
}

/// Where a span is that a fault may begin in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the service that the fault is in.
    Service,
    /// A call of that service by another one.
    Call,
}

impl Place {
    /// What an answer shows did not begin in its call.
    fn is_suspect(self, below: &Below, at: usize) -> bool {
        self == Place::Service || !below.unusual[at]
    }
}

fn place(of: &TracePartition, label: &LabelTexts, below: &Below, at: usize) -> Option<Place> {
    let is_faulty = |service: &str| label.services.iter().any(|s| s == service);
    if is_faulty(of.service(at)) {
        return Some(Place::Service);
    }
    let calls = of.kind(at) == CLIENT
        && match below.answer[at] {
            Some(answer) => is_faulty(of.service(answer as usize)),
            None => of.server_address(at).is_some_and(|a| is_faulty(host(a))),
        };
    calls.then_some(Place::Call)
}

/// Whether time is lost in a span itself, or it fails by itself, or it is one that should not be
/// there, in a place where the fault may begin.
fn begins(
    of: &TracePartition,
    label: &LabelTexts,
    below: &Below,
    unusual: Option<Unusual>,
    at: usize,
) -> bool {
    let Some((unusual, place)) = unusual.zip(place(of, label, below, at)) else {
        return false;
    };
    let fails = unusual.error && !below.error[at];
    // Where no child took long, many did a little, or one of which no normal is known.
    let waits = unusual.latency && !below.latency[at];
    unusual.latency && unusual.own_latency
        || (fails || waits || unusual.is_rare) && place.is_suspect(below, at)
}

/// The first label of a name: `catalogue` of `catalogue.shop.svc`.
fn host(address: &str) -> &str {
    address.split('.').next().unwrap_or(address)
}

impl TracePartition {
    fn row(&self, at: usize) -> usize {
        self.span_marks.row.value(at) as usize
    }

    /// Marks of children with those of their parents.
    fn children(&self) -> impl Iterator<Item = (usize, usize)> {
        let (parents, counts) = (&self.shapes.parent, &self.shapes.counts);
        (0..parents.len())
            .filter(|&at| counts.value(at) && !parents.is_null(at))
            .map(|at| (at, parents.value(at) as usize))
    }

    pub(super) fn service(&self, at: usize) -> &str {
        self.spans.service_name.value(self.row(at))
    }

    fn kind(&self, at: usize) -> u8 {
        self.spans.kind.value(self.row(at))
    }

    fn server_address(&self, at: usize) -> Option<&str> {
        text(&self.spans.server_address, self.row(at))
    }
}
