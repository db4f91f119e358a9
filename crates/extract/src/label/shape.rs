//! What a span looks like by itself and in its trace, as far as it can be compared with others of its
//! operation: how long it took, how much of that is its own, its children, whether it failed.

use std::hash::Hasher;

use arrow_array::Array;
use twox_hash::XxHash64;

use super::groups::{Group, Partition, Sorted};
use super::trace::{CLIENT, CONSUMER, ERROR, PRODUCER, Span, TraceFacts};
use crate::scan::batch::batch;

batch! {
    /// Shapes of spans, one for each of the marks of spans, in their order.
    ShapeBatch, ShapeBuilder {
        /// Hash of its service's name.
        service: U64,
        /// Hash of service, name and kind.
        operation: U64,
        /// Position of its parent among the shapes; null: it is not in the trace.
        parent: U32,
        /// Duration in nanoseconds; null: not known.
        took_ns: I64,
        /// The part of it in which none of its children was at work; null: not known.
        own_ns: I64,
        /// Of a consumer: from the start of its producer's span to its own; null: not known.
        wait_ns: I64,
        /// Hash of the operations of its children.
        kinds: U64,
        /// Hash of the operations of its children with how many there are of each.
        shape: U64,
        children: U32,
        /// Its status is error, or its HTTP status 500 or above.
        error: Bool,
        /// It is neither late nor a copy.
        counts: Bool,
    }
}

/// The least HTTP status that is an error of the side that answers.
const SERVER_ERRORS: i32 = 500;

/// Adds the shapes of a trace's spans. `first` is the position of its first span among the marks.
pub(super) fn push_shapes(
    shapes: &mut ShapeBuilder,
    partition: &Partition,
    sorted: &Sorted<'_>,
    group: &Group<'_>,
    facts: Option<&TraceFacts>,
    first: u32,
) {
    let late = facts.map_or(&[][..], |facts| &facts.late);
    let tree = Tree::new(sorted, group.spans, late);
    let operations: Vec<u64> = group.spans.iter().map(|s| operation(sorted, s)).collect();
    let mut below = Vec::new();
    for (index, span) in group.spans.iter().enumerate() {
        let children = tree.children_of(index);
        below.clear();
        below.extend(children.iter().map(|(_, child)| operations[*child]));
        below.sort_unstable();
        let parent = tree.parents[index];
        let took = took(span);
        shapes
            .service
            .append_value(hash_of_text(tree.services[index]));
        shapes.operation.append_value(operations[index]);
        shapes
            .parent
            .append_option(parent.map(|p| first + p as u32));
        shapes.took_ns.append_option(took);
        shapes.own_ns.append_option(took.map(|_| tree.own(index)));
        let producer = parent.map(|p| &tree.spans[p]);
        shapes.wait_ns.append_option(wait(span, producer));
        shapes.shape.append_value(hash_of(&below));
        below.dedup();
        shapes.kinds.append_value(hash_of(&below));
        shapes.children.append_value(children.len() as u32);
        shapes.error.append_value(is_error(partition, span));
        shapes.counts.append_value(tree.counts[index]);
    }
}

/// A number for an operation: service, name and kind.
fn operation(sorted: &Sorted<'_>, span: &Span) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    for text in [
        sorted.resources.first(span.resource),
        sorted.names.first(span.name),
    ] {
        hasher.write(text.as_bytes());
        // No text has this byte, so that no two pairs run into each other.
        hasher.write_u8(0xff);
    }
    hasher.write_u8(span.kind);
    hasher.finish()
}

fn hash_of_text(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
}

fn hash_of(sorted: &[u64]) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    for number in sorted {
        hasher.write(&number.to_le_bytes());
    }
    hasher.finish()
}

fn is_error(partition: &Partition, span: &Span) -> bool {
    let status = &partition.spans.http_status_code;
    let row = span.row as usize;
    span.status == ERROR || !status.is_null(row) && status.value(row) >= SERVER_ERRORS
}

fn took(span: &Span) -> Option<i64> {
    (span.start != 0 && span.end >= span.start).then(|| span.end - span.start)
}

/// How long a message was on its way.
fn wait(span: &Span, parent: Option<&Span>) -> Option<i64> {
    let producer = parent.filter(|p| p.kind == PRODUCER && p.start != 0)?;
    (span.kind == CONSUMER && span.start != 0).then(|| (span.start - producer.start).max(0))
}

/// The spans of a trace with their children.
struct Tree<'g> {
    spans: &'g [Span],
    services: Vec<&'g str>,
    /// By span: whether it is neither late nor a copy.
    counts: Vec<bool>,
    /// By span: the position of its parent.
    parents: Vec<Option<usize>>,
    /// Parents with their children, of spans that count, in the order of starts.
    children: Vec<(usize, usize)>,
}

impl<'g> Tree<'g> {
    /// Of spans in the order of their starts.
    fn new(sorted: &'g Sorted<'_>, spans: &'g [Span], late: &[bool]) -> Self {
        let is_late = |index: usize| late.get(index).copied().unwrap_or(false);
        let identity = |index: usize| (spans[index].id, spans[index].start, spans[index].resource);
        let mut once: Vec<usize> = (0..spans.len()).collect();
        once.sort_by_key(|&index| (identity(index), index));
        once.dedup_by_key(|index| identity(*index));
        once.retain(|&index| !is_late(index));
        let mut counts = vec![false; spans.len()];
        for &index in &once {
            counts[index] = true;
        }
        let service = |s: &Span| sorted.resources.first(s.resource);
        let services: Vec<&str> = spans.iter().map(service).collect();
        // By what does not depend on the order of the input: numbers of resources do.
        once.sort_unstable_by_key(|&index| (spans[index].id, index));
        let parent = |index: usize| {
            let wanted = spans[index].parent;
            let first = once.partition_point(|&at| spans[at].id < wanted);
            // Client and server may share an id, as Zipkin's do.
            let of_id = once[first..].iter().take(2);
            let mut found = of_id.filter(|&&at| spans[at].id == wanted && at != index);
            let own = found.clone().find(|&&at| services[at] == services[index]);
            let found = own.or_else(|| found.next()).copied();
            found.filter(|_| wanted != 0)
        };
        let parents: Vec<Option<usize>> = (0..spans.len()).map(parent).collect();
        let with_parent = (0..spans.len()).filter(|&index| counts[index]);
        let mut children: Vec<(usize, usize)> = with_parent
            .filter_map(|index| Some((parents[index]?, index)))
            .collect();
        children.sort_unstable();
        Self {
            spans,
            services,
            counts,
            parents,
            children,
        }
    }

    fn children_of(&self, parent: usize) -> &[(usize, usize)] {
        let first = self.children.partition_point(|(of, _)| *of < parent);
        let after = self.children.partition_point(|(of, _)| *of <= parent);
        &self.children[first..after]
    }

    /// The part of a span in which none of its children was at work, in nanoseconds. Of a call it is
    /// what the answer did not take, by durations alone, so that clocks don't matter; messages are
    /// not waited for.
    fn own(&self, index: usize) -> i64 {
        let span = &self.spans[index];
        let of = self.children_of(index).iter();
        let waited_for = of.map(|(_, child)| *child).filter(|&child| {
            self.spans[child].kind != CONSUMER && self.spans[child].end >= self.spans[child].start
        });
        let (mut covered, mut answer, mut until) = (0, 0, span.start);
        for child in waited_for {
            let (from, to) = (self.spans[child].start, self.spans[child].end);
            if span.kind == CLIENT && self.services[child] != self.services[index] {
                answer = answer.max(to - from);
                continue;
            }
            covered += (to.min(span.end) - from.max(until)).max(0);
            until = until.max(to);
        }
        (span.end - span.start - covered.max(answer)).max(0)
    }
}
