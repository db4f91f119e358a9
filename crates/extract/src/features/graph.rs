//! Who calls whom, window by window, in steady time.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;

use super::durations::Durations;
use super::shape::Shape;
use crate::label::trace::{CLIENT, CONSUMER, ERROR, PRODUCER, SERVER};
use crate::scan::batch::text;
use crate::scan::records::SpanBatch;
use crate::scan::spans::GENERATOR_SERVICE;

/// What a call is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Http,
    Rpc,
    Db,
    Messaging,
    Other,
}

impl Protocol {
    /// As in the dataset.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Rpc => "rpc",
            Protocol::Db => "db",
            Protocol::Messaging => "messaging",
            Protocol::Other => "other",
        }
    }
}

/// What a node of the graph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeKind {
    /// It sends no spans, and only its address is known; or it is the generator.
    External,
    /// It sends no spans, and calls to it are those to a broker of messages.
    Broker,
    /// It sends no spans, and calls to it are those to a database.
    Database,
    /// It sends spans.
    Service,
}

impl NodeKind {
    /// As in the dataset.
    pub(crate) fn name(self) -> &'static str {
        match self {
            NodeKind::External => "external",
            NodeKind::Broker => "broker",
            NodeKind::Database => "database",
            NodeKind::Service => "service",
        }
    }
}

/// Calls along an edge, or into a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    pub(crate) durations: Durations,
}

impl Calls {
    fn add(&mut self, error: bool, duration_ns: Option<i64>) {
        self.count += 1;
        self.errors += u64::from(error);
        if let Some(duration) = duration_ns {
            self.durations.add(duration);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.durations.merge(&other.durations);
    }
}

/// An edge in a window: who calls, who is called, and how. Nodes are numbers.
type Edge = (usize, u32, u32, Protocol);

/// All calls of one part of a run, or of several.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<(String, NodeKind)>,
    numbers: HashMap<String, u32, RandomState>,
    edges: BTreeMap<Edge, Calls>,
    /// Calls into a service, by window and node.
    entries: BTreeMap<(usize, u32), Calls>,
}

impl Graph {
    fn node(&mut self, name: &str, kind: NodeKind) -> u32 {
        let number = self.numbers.get(name).copied().unwrap_or_else(|| {
            let number = self.nodes.len() as u32;
            self.nodes.push((name.to_owned(), NodeKind::External));
            self.numbers.insert(name.to_owned(), number);
            number
        });
        // The generator is no part of the system, though it sends spans.
        if name != GENERATOR_SERVICE {
            let known = &mut self.nodes[number as usize].1;
            *known = kind.max(*known);
        }
        number
    }

    /// Adds the services of a trace.
    pub(crate) fn services<'s>(&mut self, names: impl Iterator<Item = &'s str>) {
        for name in names {
            self.node(name, NodeKind::Service);
        }
    }

    /// Adds a trace of the steady time of some windows.
    pub(crate) fn trace(&mut self, windows: &[usize], trace: &TraceCalls<'_>) {
        for place in 0..trace.rows.len() {
            let service = self.node(trace.service(place), NodeKind::Service);
            if trace.is_entry(place) {
                for &window in windows {
                    let calls = self.entries.entry((window, service)).or_default();
                    calls.add(trace.error(place), trace.duration(place));
                }
            }
        }
        for call in trace.calls() {
            let caller = self.node(trace.service(call.caller), NodeKind::Service);
            let callee = self.node(call.callee, call.node_kind);
            for &window in windows {
                let edge = (window, caller, callee, call.protocol);
                let calls = self.edges.entry(edge).or_default();
                calls.add(trace.error(call.measured), trace.duration(call.measured));
            }
        }
    }

    /// Adds what another part of the same run has.
    pub(crate) fn merge(&mut self, other: Self) {
        let nodes = other.nodes.iter();
        let numbers: Vec<u32> = nodes.map(|(name, kind)| self.node(name, *kind)).collect();
        let number = |of: u32| numbers[of as usize];
        for ((window, caller, callee, protocol), calls) in other.edges {
            let edge = (window, number(caller), number(callee), protocol);
            self.edges.entry(edge).or_default().merge(&calls);
        }
        for ((window, service), calls) in other.entries {
            let entry = (window, number(service));
            self.entries.entry(entry).or_default().merge(&calls);
        }
    }

    /// The edges of a window, by the names of caller and callee.
    pub(crate) fn edges_of(&self, window: usize) -> Vec<(&str, &str, Protocol, &Calls)> {
        let name = |number: u32| self.nodes[number as usize].0.as_str();
        let first = (window, 0, 0, Protocol::Http);
        let next = (window + 1, 0, 0, Protocol::Http);
        let mut edges: Vec<_> = self
            .edges
            .range(first..next)
            .map(|((_, caller, callee, protocol), calls)| {
                (name(*caller), name(*callee), *protocol, calls)
            })
            .collect();
        edges.sort_by_key(|(caller, callee, protocol, _)| (*caller, *callee, *protocol));
        edges
    }

    /// All nodes with the calls into them in a window, by their names. Calls into one that sends no
    /// spans are those that are made to it.
    pub(crate) fn nodes_of(&self, window: usize) -> Vec<(&str, NodeKind, Calls)> {
        let mut calls: BTreeMap<u32, Calls> = BTreeMap::new();
        for ((_, node), of) in self.entries.range((window, 0)..(window + 1, 0)) {
            calls.insert(*node, of.clone());
        }
        let (first, next) = (
            (window, 0, 0, Protocol::Http),
            (window + 1, 0, 0, Protocol::Http),
        );
        for ((_, _, callee, _), of) in self.edges.range(first..next) {
            if self.nodes[*callee as usize].1 != NodeKind::Service {
                calls.entry(*callee).or_default().merge(of);
            }
        }
        let nodes = self.nodes.iter().zip(0u32..);
        let mut nodes: Vec<_> = nodes
            .map(|((name, kind), number)| {
                (
                    name.as_str(),
                    *kind,
                    calls.remove(&number).unwrap_or_default(),
                )
            })
            .collect();
        nodes.sort_by_key(|(name, ..)| *name);
        nodes
    }
}

/// The spans of a trace, each once and none of them late, as calls.
pub(crate) struct TraceCalls<'t> {
    pub(crate) spans: &'t SpanBatch,
    /// By place in the shape: the row.
    pub(crate) rows: &'t [usize],
    pub(crate) shape: &'t Shape,
}

/// A call, by places of spans.
struct Call<'t> {
    caller: usize,
    callee: &'t str,
    node_kind: NodeKind,
    protocol: Protocol,
    /// The span whose duration and error are the call's.
    measured: usize,
}

impl<'t> TraceCalls<'t> {
    fn service(&self, place: usize) -> &'t str {
        self.spans.service_name.value(self.rows[place])
    }

    fn kind(&self, place: usize) -> u8 {
        self.spans.kind.value(self.rows[place])
    }

    fn error(&self, place: usize) -> bool {
        self.spans.status.value(self.rows[place]) == ERROR
    }

    fn duration(&self, place: usize) -> Option<i64> {
        let node = &self.shape.nodes()[place];
        (node.start != 0 && node.end >= node.start).then_some(node.end - node.start)
    }

    /// The parent, if it is a span of another service.
    fn caller(&self, place: usize) -> Option<usize> {
        let parent = self.shape.parent(place)?;
        (self.service(parent) != self.service(place)).then_some(parent)
    }

    fn is_entry(&self, place: usize) -> bool {
        let is_top = self.shape.parent(place).is_none();
        is_top || [SERVER, CONSUMER].contains(&self.kind(place)) || self.caller(place).is_some()
    }

    fn is_outgoing(&self, place: usize) -> bool {
        [CLIENT, PRODUCER].contains(&self.kind(place))
    }

    fn calls(&self) -> Vec<Call<'t>> {
        let mut calls = self.answered();
        calls.extend(self.unanswered());
        calls
    }

    /// Calls that a span of another service answers.
    fn answered(&self) -> Vec<Call<'t>> {
        let mut calls: Vec<Call<'t>> = Vec::new();
        let mut seen: HashSet<(usize, &str)> = HashSet::new();
        for answer in 0..self.rows.len() {
            let Some(caller) = self.caller(answer) else {
                continue;
            };
            // Who sends a message does not wait for whoever works on it.
            let is_waited_for = self.kind(caller) == CLIENT;
            let call = Call {
                caller,
                callee: self.service(answer),
                node_kind: NodeKind::Service,
                protocol: match self.protocol(caller) {
                    Protocol::Other => self.protocol(answer),
                    of_caller => of_caller,
                },
                measured: if is_waited_for { caller } else { answer },
            };
            // One call that several spans of a service answer is one.
            if !is_waited_for || seen.insert((caller, call.callee)) {
                calls.push(call);
            }
        }
        calls
    }

    /// Calls that no span answers: to what sends none.
    fn unanswered(&self) -> Vec<Call<'t>> {
        // Of calls that stand for one another, as that of a library and that of its HTTP client,
        // the innermost is the one that leaves the service.
        let mut stands_for_inner = vec![false; self.rows.len()];
        for place in (0..self.rows.len()).filter(|place| self.is_outgoing(*place)) {
            let mut at = place;
            while let Some(parent) = self.shape.parent(at) {
                if self.service(parent) != self.service(place) || stands_for_inner[parent] {
                    break;
                }
                stands_for_inner[parent] = true;
                at = parent;
            }
        }
        let is_answered = |place: usize| {
            let mut children = self.shape.children(place).iter();
            children.any(|child| self.service(*child) != self.service(place))
        };
        let leaves = (0..self.rows.len()).filter(|&place| {
            self.is_outgoing(place) && !stands_for_inner[place] && !is_answered(place)
        });
        let call = |place: usize| {
            let (callee, node_kind) = self.peer(place)?;
            Some(Call {
                caller: place,
                callee,
                node_kind,
                protocol: self.protocol(place),
                measured: place,
            })
        };
        leaves.filter_map(call).collect()
    }

    /// What a call goes to that no span answers; none: nothing says it.
    fn peer(&self, place: usize) -> Option<(&'t str, NodeKind)> {
        let row = self.rows[place];
        let of = |column: &'t arrow_array::StringArray, kind: NodeKind| {
            Some((text(column, row).filter(|name| !name.is_empty())?, kind))
        };
        of(&self.spans.db_system, NodeKind::Database)
            .or_else(|| of(&self.spans.messaging_system, NodeKind::Broker))
            .or_else(|| of(&self.spans.peer_service, NodeKind::External))
            .or_else(|| of(&self.spans.server_address, NodeKind::External))
    }

    fn protocol(&self, place: usize) -> Protocol {
        let row = self.rows[place];
        let has = |column: &arrow_array::StringArray| text(column, row).is_some();
        let is_message = [PRODUCER, CONSUMER].contains(&self.kind(place));
        if has(&self.spans.db_system) {
            Protocol::Db
        } else if has(&self.spans.messaging_system) || is_message {
            Protocol::Messaging
        } else if has(&self.spans.rpc_system) {
            Protocol::Rpc
        } else if has(&self.spans.http_method) {
            Protocol::Http
        } else {
            Protocol::Other
        }
    }
}
