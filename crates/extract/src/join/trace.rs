//! What one trace is: its root, its shape, and what its spans say of its label.

use crate::spool::heads::{RequestHead, SpanHead};

/// A trace, put together from all spans of its id, whichever files and lines they came from.
#[derive(Debug)]
pub(crate) struct TraceFacts {
    /// The span that starts it: the earliest without a parent, or else the earliest.
    pub(crate) root: SpanHead,
    pub(crate) has_root: bool,
    /// Spans, each counted once.
    pub(crate) spans: u32,
    /// Copies of spans beyond the first.
    pub(crate) duplicates: u32,
    /// Positions of spans whose parent is not in the trace.
    pub(crate) orphans: Vec<usize>,
    /// Spans on the longest way from a span without a parent in the trace to a leaf.
    pub(crate) depth: u32,
    /// Spans with status error.
    pub(crate) errors: u32,
    /// Latest end minus the trace's start, in nanoseconds.
    pub(crate) duration: i64,
    /// Resources of its spans, ascending.
    pub(crate) resources: Vec<u32>,
    /// Evidence on its spans, ascending.
    pub(crate) evidence: Vec<u32>,
}

impl TraceFacts {
    /// Of the spans of one trace; there is at least one. `request` is the generator's own record:
    /// its span is a parent that need not have been exported.
    pub(crate) fn new(spans: &[SpanHead], request: Option<&RequestHead>) -> Self {
        // By these and not by the place in the input: the facts must not depend on its order.
        let mut once: Vec<usize> = (0..spans.len()).collect();
        let identity = |&i: &usize| (spans[i].span, spans[i].start, spans[i].resource);
        once.sort_by_key(identity);
        once.dedup_by_key(|i| identity(i));
        let of = |&i: &usize| &spans[i];
        let order = |s: &SpanHead| {
            let known = if s.start == 0 { i64::MAX } else { s.start };
            (s.parent != 0, known, s.span)
        };
        let root = once.iter().map(of).min_by_key(|s| order(s)).copied();
        let root = root.unwrap_or(spans[0]);
        // Ids ascending, each with its parent.
        let ids: Vec<(u64, u64)> = once.iter().map(of).map(|s| (s.span, s.parent)).collect();
        let generator = request.map_or(0, |r| r.span);
        let is_orphan = |i: &usize| {
            let parent = spans[*i].parent;
            let is_here = || ids.binary_search_by_key(&parent, |(id, _)| *id).is_ok();
            parent != 0 && parent != generator && !is_here()
        };
        let mut resources: Vec<u32> = spans.iter().map(|s| s.resource).collect();
        resources.sort_unstable();
        resources.dedup();
        let mut evidence: Vec<u32> = spans
            .iter()
            .map(|s| s.evidence)
            .filter(|&e| e != 0)
            .collect();
        evidence.sort_unstable();
        evidence.dedup();
        let latest = spans.iter().map(|s| s.end).max().unwrap_or(0);
        Self {
            has_root: root.parent == 0,
            spans: once.len() as u32,
            duplicates: (spans.len() - once.len()) as u32,
            orphans: once.iter().copied().filter(is_orphan).collect(),
            depth: depth(&ids),
            errors: once.iter().map(of).filter(|s| s.status == 2).count() as u32,
            duration: if root.start == 0 {
                0
            } else {
                (latest - root.start).max(0)
            },
            root,
            resources,
            evidence,
        }
    }
}

/// The longest chain of parents, of ids in ascending order with their parents. A chain that closes
/// on itself ends where it does.
fn depth(parents: &[(u64, u64)]) -> u32 {
    let position = |id: u64| parents.binary_search_by_key(&id, |(id, _)| *id).ok();
    // 0: not known yet; a span on the way that is being followed counts as known with depth 1.
    let mut depths = vec![0u32; parents.len()];
    let mut way = Vec::new();
    for start in 0..parents.len() {
        let mut at = Some(start);
        while let Some(here) = at.filter(|&here| depths[here] == 0) {
            depths[here] = 1;
            way.push(here);
            at = position(parents[here].1);
        }
        let is_on_way = at.is_some_and(|here| way.contains(&here));
        let mut depth = at.filter(|_| !is_on_way).map_or(0, |here| depths[here]);
        while let Some(span) = way.pop() {
            depth += 1;
            depths[span] = depth;
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    fn span(id: u64, parent: u64, start: i64) -> SpanHead {
        SpanHead {
            span: id,
            parent,
            start,
            end: start + 10,
            ..SpanHead::zeroed()
        }
    }

    #[test]
    fn the_root_is_the_earliest_without_a_parent_or_else_the_earliest() {
        let facts = TraceFacts::new(&[span(2, 1, 5), span(1, 0, 7), span(3, 0, 9)], None);
        assert_eq!((facts.root.span, facts.has_root), (1, true));
        let torn = TraceFacts::new(&[span(2, 1, 5), span(3, 2, 0)], None);
        assert_eq!((torn.root.span, torn.has_root), (2, false));
        assert_eq!(torn.orphans, [0]);
    }

    #[test]
    fn the_generators_own_span_is_a_parent_even_when_it_was_not_exported() {
        let request = RequestHead {
            span: 1,
            ..RequestHead::zeroed()
        };
        let facts = TraceFacts::new(&[span(2, 1, 5)], Some(&request));
        assert!(facts.orphans.is_empty());
    }

    #[test]
    fn copies_count_once() {
        let facts = TraceFacts::new(&[span(1, 0, 5), span(2, 1, 6), span(2, 1, 6)], None);
        assert_eq!((facts.spans, facts.duplicates, facts.depth), (2, 1, 2));
    }

    #[test]
    fn circles_of_parents_end() {
        let facts = TraceFacts::new(&[span(1, 2, 5), span(2, 1, 6), span(3, 3, 7)], None);
        assert!(facts.depth <= 3, "{facts:?}");
        assert!(!facts.has_root);
    }

    #[test]
    fn depth_is_that_of_the_longest_chain() {
        let chain: Vec<SpanHead> = (1..=1000).map(|n| span(n, n - 1, n as i64)).collect();
        assert_eq!(TraceFacts::new(&chain, None).depth, 1000);
    }
}
