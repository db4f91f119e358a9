//! What one trace is: its root, its shape, and what its spans say of its label.

/// A span of a trace. Times are Unix nanoseconds, 0 where they are not known; ids are 0 where there
/// is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Who sent it, by number.
    pub(crate) resource: u32,
    /// Its name, by number.
    pub(crate) name: u32,
    pub(crate) kind: u8,
    pub(crate) status: u8,
    /// It has a link to another span.
    pub(crate) linked: bool,
    /// Its row in the partition.
    pub(crate) row: u32,
}

/// OTLP's numbers of span kinds.
pub(crate) const SERVER: u8 = 2;
pub(crate) const CLIENT: u8 = 3;
pub(crate) const PRODUCER: u8 = 4;
pub(crate) const CONSUMER: u8 = 5;

/// OTLP's number of the status error.
pub(crate) const ERROR: u8 = 2;

/// A span that begins so long after its request has ended, in nanoseconds, may be none of it:
/// drivers send heartbeats in the context in which they opened a connection.
const LATE_NS: i64 = 5_000_000_000;

/// So many ancestors of a span are looked at for what may have delayed it.
const MAX_ANCESTORS: usize = 64;

/// A request as the generator itself wrote it down. Times are Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// The generator's own span, which need not have been exported.
    pub(crate) span: u64,
    pub(crate) sent: i64,
    pub(crate) finished: i64,
    /// Its row in the partition.
    pub(crate) row: u32,
}

/// A trace, put together from all spans of its id, whichever files and lines they came from. Its
/// shape and duration are those of the spans that are not late.
#[derive(Debug)]
pub(crate) struct TraceFacts {
    /// The span that starts it: the earliest without a parent, or else the earliest.
    pub(crate) root: Span,
    /// Whether it has a span without a parent, or whose parent is the generator's own span.
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
    /// By position: whether the span began long after its request had ended, with nothing among
    /// its ancestors that would explain it.
    pub(crate) late: Vec<bool>,
}

impl TraceFacts {
    /// Of the spans of one trace; there is at least one.
    pub(crate) fn new(spans: &[Span], request: Option<&Request>) -> Self {
        // By these and not by the place in the input: the facts must not depend on its order.
        let mut once: Vec<usize> = (0..spans.len()).collect();
        let identity = |&i: &usize| (spans[i].id, spans[i].start, spans[i].resource);
        once.sort_by_key(identity);
        once.dedup_by_key(|i| identity(i));
        let generator = request.map_or(0, |r| r.span);
        let root = root(spans, request).copied().unwrap_or_default();
        let ended = request.map_or(root.end.max(root.start), |r| r.finished);
        let by_id = |id: u64| {
            let found = once.binary_search_by_key(&id, |&i| spans[i].id).ok()?;
            Some(&spans[once[found]])
        };
        let late: Vec<bool> = spans.iter().map(|s| is_late(s, ended, by_id)).collect();
        let duplicates = (spans.len() - once.len()) as u32;
        once.retain(|&i| !late[i]);
        let of = |&i: &usize| &spans[i];
        // Ids ascending, each with its parent.
        let ids: Vec<(u64, u64)> = once.iter().map(of).map(|s| (s.id, s.parent)).collect();
        let is_orphan = |i: &usize| {
            let parent = spans[*i].parent;
            let is_here = || ids.binary_search_by_key(&parent, |(id, _)| *id).is_ok();
            parent != 0 && parent != generator && !is_here()
        };
        let mut resources: Vec<u32> = spans.iter().map(|s| s.resource).collect();
        resources.sort_unstable();
        resources.dedup();
        let latest = once.iter().map(of).map(|s| s.end).max().unwrap_or(0);
        Self {
            has_root: rank(&root, generator) < 2,
            spans: once.len() as u32,
            duplicates,
            orphans: once.iter().copied().filter(is_orphan).collect(),
            depth: depth(&ids),
            errors: once.iter().map(of).filter(|s| s.status == ERROR).count() as u32,
            duration: match root.start {
                0 => 0,
                start => (latest - start).max(0),
            },
            root,
            resources,
            late,
        }
    }
}

/// The span that starts a trace: the earliest without a parent, or else the earliest; none: there is
/// no span.
pub(crate) fn root<'s>(spans: &'s [Span], request: Option<&Request>) -> Option<&'s Span> {
    let generator = request.map_or(0, |r| r.span);
    spans.iter().min_by_key(|s| {
        let known = if s.start == 0 { i64::MAX } else { s.start };
        (rank(s, generator), known, s.id, s.resource)
    })
}

/// How near to the start of its trace a span is by its parent. 2: it has one in the trace.
fn rank(span: &Span, generator: u64) -> u8 {
    match span.parent {
        0 => 0,
        parent if parent == generator => 1,
        _ => 2,
    }
}

/// What a message or a link leads to may begin at any time later.
fn is_late<'s>(span: &Span, ended: i64, by_id: impl Fn(u64) -> Option<&'s Span>) -> bool {
    if span.start == 0 || ended == 0 || span.start - ended <= LATE_NS {
        return false;
    }
    if span.kind == CONSUMER || span.linked {
        return false;
    }
    let mut parent = span.parent;
    for _ in 0..MAX_ANCESTORS {
        let Some(ancestor) = by_id(parent).filter(|_| parent != 0) else {
            return true;
        };
        if [PRODUCER, CONSUMER].contains(&ancestor.kind) || ancestor.linked {
            return false;
        }
        parent = ancestor.parent;
    }
    true
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

    fn span(id: u64, parent: u64, start: i64) -> Span {
        Span {
            id,
            parent,
            start,
            end: start + 10,
            ..Span::default()
        }
    }

    #[test]
    fn the_root_is_the_earliest_without_a_parent_or_else_the_earliest() {
        let facts = TraceFacts::new(&[span(2, 1, 5), span(1, 0, 7), span(3, 0, 9)], None);
        assert_eq!((facts.root.id, facts.has_root), (1, true));
        let torn = TraceFacts::new(&[span(2, 1, 5), span(3, 2, 0)], None);
        assert_eq!((torn.root.id, torn.has_root), (2, false));
        assert_eq!(torn.orphans, [0]);
    }

    #[test]
    fn the_generators_own_span_is_a_parent_even_when_it_was_not_exported() {
        let request = Request {
            span: 1,
            sent: 4,
            finished: 20,
            row: 0,
        };
        let facts = TraceFacts::new(&[span(2, 1, 5)], Some(&request));
        assert!(facts.orphans.is_empty() && facts.has_root);
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
        let late = LATE_NS * 2;
        let facts = TraceFacts::new(&[span(9, 0, 1), span(1, 2, late), span(2, 1, late)], None);
        assert_eq!(facts.late, [false, true, true]);
    }

    #[test]
    fn depth_is_that_of_the_longest_chain() {
        let chain: Vec<Span> = (1..=1000).map(|n| span(n, n - 1, n as i64)).collect();
        assert_eq!(TraceFacts::new(&chain, None).depth, 1000);
    }

    #[test]
    fn late_is_what_nothing_among_its_ancestors_explains() {
        let kind = |kind: u8, span: Span| Span { kind, ..span };
        let later = 10 + LATE_NS;
        let spans = [
            span(1, 0, 1),
            span(2, 1, later + 1),
            // Just in time.
            span(3, 1, later),
            kind(CONSUMER, span(4, 1, later + 1)),
            kind(PRODUCER, span(5, 1, 2)),
            // What comes of a message, also over a span that did not arrive in time.
            span(6, 5, later + 1),
            span(7, 6, later + 2),
            Span {
                linked: true,
                ..span(8, 1, later + 1)
            },
        ];
        let request = Request {
            span: 1,
            sent: 0,
            finished: 10,
            row: 0,
        };
        let facts = TraceFacts::new(&spans, Some(&request));
        let expected = [false, true, false, false, false, false, false, false];
        assert_eq!(facts.late, expected);
        assert_eq!(facts.spans, 7);
        // The one that is late is kept out of the duration, others are not.
        assert_eq!(facts.duration, later + 2 + 10 - 1);
    }
}
