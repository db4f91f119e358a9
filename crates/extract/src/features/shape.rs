//! The shape of a trace: how deep and how wide it is, what its services did themselves, and what
//! its duration rests on. Pure.
//!
//! The critical path is that of CRISP (Zhang et al. 2022, USENIX ATC): from the end of the root
//! back through the child that ended last.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A span of a trace. Times are Unix nanoseconds, 0 where they are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: u64,
    /// The place of its parent among the trace's spans.
    pub(crate) parent: Option<usize>,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Its service, by number.
    pub(crate) service: u32,
}

impl Node {
    /// Whether its duration is known.
    fn is_timed(&self) -> bool {
        self.start != 0 && self.end >= self.start
    }
}

/// The spans of a trace as trees: one below each span without a parent in the trace.
#[derive(Debug)]
pub(crate) struct Shape {
    nodes: Vec<Node>,
    /// By span: its parent's place.
    parents: Vec<Option<usize>>,
    /// By span: the places of its children.
    children: Vec<Vec<usize>>,
}

/// Nanoseconds by service.
pub(crate) type ByService = BTreeMap<u32, i64>;

impl Shape {
    /// Of the spans of one trace, each once, in the order of their starts.
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        let mut parents: Vec<Option<usize>> = nodes.iter().map(|node| node.parent).collect();
        open_circles(&mut parents);
        let mut children = vec![Vec::new(); nodes.len()];
        for (place, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(place);
            }
        }
        Self {
            nodes,
            parents,
            children,
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The place of a span's parent.
    pub(crate) fn parent(&self, place: usize) -> Option<usize> {
        self.parents[place]
    }

    /// The places of a span's children.
    pub(crate) fn children(&self, place: usize) -> &[usize] {
        &self.children[place]
    }

    /// Places of the spans that have no parent here.
    fn tops(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|place| self.parents[*place].is_none())
    }

    /// Spans on the longest chain of parents, and the most spans that are equally many parents away
    /// from the top.
    pub(crate) fn depth_and_width(&self) -> (u32, u32) {
        let mut level: Vec<usize> = self.tops().collect();
        let (mut depth, mut width) = (0, 0);
        while !level.is_empty() {
            depth += 1;
            width = width.max(level.len() as u32);
            let next = level.iter().flat_map(|place| &self.children[*place]);
            level = next.copied().collect();
        }
        (depth, width)
    }

    /// What services did themselves: of each span the part of its duration that no child covers.
    pub(crate) fn self_times(&self) -> ByService {
        let mut times = ByService::new();
        for (place, node) in self.nodes.iter().enumerate().filter(|(_, n)| n.is_timed()) {
            let mut covered: Vec<(i64, i64)> = self
                .children(place)
                .iter()
                .map(|child| &self.nodes[*child])
                .filter(|child| child.is_timed())
                .map(|child| (child.start.max(node.start), child.end.min(node.end)))
                .collect();
            covered.sort_unstable();
            let mut own = node.end - node.start;
            let mut until = node.start;
            for (from, to) in covered {
                own -= (to - from.max(until)).max(0);
                until = until.max(to);
            }
            *times.entry(node.service).or_default() += own;
        }
        times
    }

    /// The critical path below a span: for how much of its duration each service stands. All of
    /// them together are the duration.
    pub(crate) fn critical_path(&self, root: usize) -> ByService {
        let mut times = ByService::new();
        if !self.nodes[root].is_timed() {
            return times;
        }
        // Spans with the part of their time that is still to be explained.
        let mut open = vec![(root, self.nodes[root].start, self.nodes[root].end)];
        while let Some((place, from, to)) = open.pop() {
            let mut at = to;
            for (child, begin, end) in self.last_first(place, from, to) {
                // One that was still under way when the next on the path began held nothing up.
                if end > at {
                    continue;
                }
                *times.entry(self.nodes[place].service).or_default() += at - end;
                open.push((child, begin, end));
                at = begin;
            }
            *times.entry(self.nodes[place].service).or_default() += at - from;
        }
        times.retain(|_, ns| *ns > 0);
        times
    }

    /// Children with the part of their time that lies in an interval, in the order of their ends,
    /// the last first; of those that end at once the one that began first comes first.
    fn last_first(&self, place: usize, from: i64, to: i64) -> Vec<(usize, i64, i64)> {
        let children = self.children[place].iter().map(|child| {
            let node = &self.nodes[*child];
            (*child, node.start.max(from), node.end.min(to))
        });
        let mut children: Vec<(usize, i64, i64)> = children
            .filter(|(child, begin, end)| self.nodes[*child].is_timed() && begin < end)
            .collect();
        children.sort_by_key(|(child, begin, end)| (Reverse(*end), *begin, self.nodes[*child].id));
        children
    }
}

/// Takes a parent away from each circle of parents: that of the first span in it.
fn open_circles(parents: &mut [Option<usize>]) {
    const UNSEEN: usize = usize::MAX;
    let mut seen_from = vec![UNSEEN; parents.len()];
    for start in 0..parents.len() {
        let mut at = Some(start);
        while let Some(here) = at.filter(|here| seen_from[*here] == UNSEEN) {
            seen_from[here] = start;
            at = parents[here];
        }
        // Back at a span of this very way: it closes a circle there.
        let Some(closes) = at.filter(|here| seen_from[*here] == start) else {
            continue;
        };
        let mut first = closes;
        let mut on = parents[closes];
        while let Some(here) = on.filter(|here| *here != closes) {
            first = first.min(here);
            on = parents[here];
        }
        parents[first] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `parent` is the id of the node's parent, which is its place plus one; 0: none.
    fn node(id: u64, parent: usize, start: i64, end: i64, service: u32) -> Node {
        Node {
            id,
            parent: parent.checked_sub(1),
            start,
            end,
            service,
        }
    }

    fn times(of: &[(u32, i64)]) -> ByService {
        of.iter().copied().collect()
    }

    #[test]
    fn the_path_goes_back_through_the_child_that_ended_last() {
        // Two calls at once, of which the second ends later, and one after them.
        let shape = Shape::new(vec![
            node(1, 0, 100, 200, 0),
            node(2, 1, 110, 140, 1),
            node(3, 1, 112, 150, 2),
            node(4, 3, 115, 145, 4),
            node(5, 1, 160, 190, 3),
        ]);
        let expected = times(&[(0, 10 + 10 + 12), (2, 5 + 3), (3, 30), (4, 30)]);
        assert_eq!(shape.critical_path(0), expected);
        assert_eq!(shape.depth_and_width(), (3, 3));
        let own = times(&[(0, 100 - 40 - 30), (1, 30), (2, 8), (3, 30), (4, 30)]);
        assert_eq!(shape.self_times(), own);
    }

    #[test]
    fn a_child_counts_as_far_as_it_lies_in_its_parent() {
        let shape = Shape::new(vec![
            node(1, 0, 100, 200, 0),
            node(2, 1, 90, 120, 1),
            node(3, 1, 150, 900, 2),
            // It began when its parent was over.
            node(4, 1, 300, 400, 3),
        ]);
        assert_eq!(shape.critical_path(0), times(&[(0, 30), (1, 20), (2, 50)]));
        let own = times(&[(0, 30), (1, 30), (2, 750), (3, 100)]);
        assert_eq!(shape.self_times(), own);
    }

    #[test]
    fn children_that_overlap_cover_once_and_hold_up_once() {
        let shape = Shape::new(vec![
            node(1, 0, 100, 200, 0),
            node(2, 1, 110, 160, 1),
            node(3, 1, 150, 180, 2),
        ]);
        // The first was not waited for by the second.
        assert_eq!(shape.critical_path(0), times(&[(0, 20 + 50), (2, 30)]));
        assert_eq!(shape.self_times(), times(&[(0, 30), (1, 50), (2, 30)]));
    }

    #[test]
    fn spans_without_times_and_circles_do_no_harm() {
        let shape = Shape::new(vec![
            node(1, 1, 0, 0, 0),
            node(2, 4, 100, 200, 0),
            node(3, 2, 110, 120, 1),
            node(4, 3, 130, 120, 2),
        ]);
        assert_eq!(shape.critical_path(0), times(&[]));
        assert_eq!(shape.critical_path(1), times(&[(0, 90), (1, 10)]));
        assert_eq!(shape.depth_and_width(), (3, 2));
    }

    proptest! {
        #[test]
        fn the_path_is_as_long_as_the_root_and_no_span_has_less_than_nothing(
            spans in prop::collection::vec((0usize..12, 1i64..100, 0i64..100, 0u32..4), 1..12),
        ) {
            let nodes = spans.iter().enumerate().map(|(index, (parent, start, length, service))| {
                let parent = if *parent > spans.len() { 0 } else { *parent };
                node(index as u64 + 1, parent, *start, start + length, *service)
            });
            let shape = Shape::new(nodes.collect());
            let nodes = shape.nodes().to_vec();
            for (place, node) in nodes.iter().enumerate() {
                let path = shape.critical_path(place);
                prop_assert_eq!(path.values().sum::<i64>(), node.end - node.start);
            }
            prop_assert!(shape.self_times().values().all(|ns| *ns >= 0));
            let (depth, width) = shape.depth_and_width();
            prop_assert!(depth as usize * width as usize >= nodes.len());
        }
    }
}
