//! From a partition of what was scanned to what is said of each thing in it: pure, and the same
//! whichever process does it. Nothing of the whole run is in here but the timeline; what has to be
//! known of the whole run is gathered in a [`Survey`], which merges.

pub(crate) mod clocks;
pub(crate) mod decide;
pub(crate) mod groups;
pub(crate) mod interval;
pub(crate) mod names;
mod points;
pub(crate) mod records;
pub(crate) mod shape;
pub(crate) mod survey;
pub(crate) mod trace;
pub(crate) mod truth;

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use loadgen_timeline::condition::Placed;

use crate::scan::batch::{number, text};
use clocks::Offset;
use decide::{Decided, decide};
use groups::{Group, Partition, Sorted};
use names::ResourceId;
pub(crate) use points::{POINT_COLUMNS, label_points};
use records::{LogMarkBuilder, SpanMarkBuilder, TraceBuilder};
use shape::{ShapeBuilder, push_shapes};
use survey::Survey;
use trace::{TraceFacts, root};
use truth::Truth;

/// How far clocks are ahead of the generator's.
pub(crate) type Offsets = HashMap<ResourceId, Offset>;

/// What is said of a partition of traces.
#[derive(Debug)]
pub(crate) struct LabelledTraces {
    pub(crate) traces: RecordBatch,
    pub(crate) spans: RecordBatch,
    pub(crate) shapes: RecordBatch,
    pub(crate) logs: RecordBatch,
    pub(crate) survey: Survey,
}

/// Labels a partition of traces. `offsets` corrects the times of those that the ledger does not
/// have; empty: times are taken as they came. What is not the run's is counted, and has marks only
/// with `keep_foreign`.
pub(crate) fn label_traces(
    partition: &Partition,
    truth: &Truth,
    offsets: &Offsets,
    keep_foreign: bool,
    mut survey: Survey,
) -> Result<LabelledTraces, ArrowError> {
    let sorted = Sorted::new(partition);
    let ahead_ns = ahead_ns(&sorted, offsets);
    survey.begin(&sorted, truth.is_k6());
    let mut traces = TraceBuilder::default();
    let mut spans = SpanMarkBuilder::default();
    let mut shapes = ShapeBuilder::default();
    let mut logs = LogMarkBuilder::default();
    let loose = LooseLogs {
        partition,
        truth,
        keep_foreign,
    };
    let (mut row, mut marked) = (0u32, 0u32);
    sorted.for_each(|group| {
        if group.spans.is_empty() && group.request.is_none() && !group.of_other_run {
            // Where its trace would stand: rows are in the order of traces.
            loose.push(&mut logs, &mut survey, group.logs);
            return;
        }
        let root = root(group.spans, group.request);
        let decided = decide(partition, truth, &group, root, &ahead_ns);
        let is_left_out = decided.foreign.is_some() && !keep_foreign;
        let facts =
            (root.is_some() && !is_left_out).then(|| TraceFacts::new(group.spans, group.request));
        survey.trace(partition, &sorted, truth, &group, facts.as_ref(), &decided);
        if is_left_out {
            return;
        }
        push_trace(
            &mut traces,
            partition,
            truth,
            &sorted,
            &group,
            facts.as_ref(),
            &decided,
        );
        push_shapes(
            &mut shapes,
            partition,
            &sorted,
            &group,
            facts.as_ref(),
            marked,
        );
        marked += group.spans.len() as u32;
        for (index, span) in group.spans.iter().enumerate() {
            spans.row.append_value(span.row);
            spans.trace.append_value(row);
            spans
                .late
                .append_value(facts.as_ref().is_some_and(|f| f.late[index]));
        }
        for &log in group.logs {
            logs.row.append_value(log);
            logs.trace.append_value(row);
        }
        row += 1;
    });
    loose.push(&mut logs, &mut survey, &sorted.loose_logs);
    Ok(LabelledTraces {
        traces: traces.finish()?,
        spans: spans.finish()?,
        shapes: shapes.finish()?,
        logs: logs.finish()?,
        survey,
    })
}

/// By resource: how far its clock is ahead.
fn ahead_ns(sorted: &Sorted<'_>, offsets: &Offsets) -> Vec<i64> {
    let ahead = |(service, instance): &(&str, &str)| {
        let id = ResourceId {
            service: (*service).to_owned(),
            instance: (*instance).to_owned(),
        };
        offsets.get(&id).map_or(0, |offset| offset.ahead_ns)
    };
    sorted.resources.things.iter().map(ahead).collect()
}

/// Log records of traces that nothing else is known of, and those without a trace: they are labelled
/// by their own times.
struct LooseLogs<'p> {
    partition: &'p Partition,
    truth: &'p Truth,
    keep_foreign: bool,
}

impl LooseLogs<'_> {
    fn push(&self, logs: &mut LogMarkBuilder, survey: &mut Survey, rows: &[u32]) {
        for &log in rows {
            let time_ns = number(&self.partition.logs.time_ns, log as usize);
            let foreign = self.truth.foreign_at(time_ns);
            survey.loose_log(foreign);
            if foreign.is_none() || self.keep_foreign {
                logs.row.append_value(log);
                logs.trace.append_null();
            }
        }
    }
}

fn push_trace(
    traces: &mut TraceBuilder,
    partition: &Partition,
    truth: &Truth,
    sorted: &Sorted<'_>,
    group: &Group<'_>,
    facts: Option<&TraceFacts>,
    decided: &Decided<'_>,
) {
    let spans = &partition.spans;
    let alone = group
        .spans
        .first()
        .is_some_and(|s| spans.alone.value(s.row as usize));
    let id = if alone { [0, 0] } else { group.trace };
    let services = facts.map_or_else(Vec::new, |facts| services(sorted, facts));
    traces.trace_high.append_value(id[0]);
    traces.trace_low.append_value(id[1]);
    let root = facts.map(|facts| facts.root);
    let start = root.map(|root| root.start).filter(|start| *start != 0);
    traces.start_ns.append_option(start);
    traces
        .duration_ns
        .append_value(facts.map_or(0, |f| f.duration));
    let root_service = root.map_or("", |root| sorted.resources.first(root.resource));
    traces.root_service.append_value(root_service);
    traces
        .root_name
        .append_value(root.map_or("", |root| sorted.names.first(root.name)));
    traces
        .has_root
        .append_value(facts.is_some_and(|f| f.has_root));
    traces.services.append_value(services.join(";"));
    traces.service_count.append_value(services.len() as u32);
    traces.depth.append_value(facts.map_or(0, |f| f.depth));
    traces.spans.append_value(facts.map_or(0, |f| f.spans));
    traces.errors.append_value(facts.map_or(0, |f| f.errors));
    let orphans = facts.map_or(0, |f| f.orphans.len() as u32);
    traces.orphans.append_value(orphans);
    traces
        .duplicates
        .append_value(facts.map_or(0, |f| f.duplicates));
    let late = facts.map_or(0, |f| f.late.iter().filter(|late| **late).count() as u32);
    traces.late.append_value(late);
    traces.moment_ns.append_option(decided.moment_ns);
    traces.source.append_value(decided.source as u8);
    traces
        .touches
        .append_value(touches(truth, decided.moment_ns, &services));
    traces
        .foreign
        .append_value(decided.foreign.map_or(0, |f| f as u8));
    traces.sent_by.append_option(decided.sent_by);
    traces.client_exposed.append_option(decided.client_exposed);
    let header = decided.header.filter(|_| !truth.has_timeline);
    let of = |column| header.and_then(|row| text(column, row));
    traces.header_type.append_option(of(&spans.header_type));
    traces
        .header_root_cause
        .append_option(of(&spans.header_root_cause));
    traces.header_msg.append_option(of(&spans.header_msg));
}

/// Names of a trace's services, sorted, each once.
fn services<'s>(sorted: &Sorted<'s>, facts: &TraceFacts) -> Vec<&'s str> {
    let of = facts.resources.iter();
    let mut names: Vec<&str> = of.map(|&r| sorted.resources.first(r)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether a trace has a span of a service that a fault was in at its moment.
fn touches(truth: &Truth, moment_ns: Option<i64>, services: &[&str]) -> bool {
    match moment_ns.map(|at| truth.conditions.at(at)) {
        Some(Placed::Within { condition, .. }) => {
            let condition = &truth.conditions.all()[condition];
            let mut faulty = condition.root_cause_services();
            faulty.any(|service| services.binary_search(&service).is_ok())
        }
        _ => false,
    }
}
