//! Who calls whom in each window, and how far a fault spread.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use loadgen_timeline::causal::{CAUSAL_GRAPH_SCHEMA_VERSION, CausalGraphs};
use serde::Serialize;

use crate::known::{Gaps, Known};
use crate::number::six;
use crate::sources::Sources;
use crate::table::{Batch, Table, TableError};
use crate::windows::Window;

/// Graphs of all windows.
#[derive(Debug, Clone, Serialize)]
pub struct Graphs {
    /// `tables`, or `evidence` where the tables of graphs are not there: then only who calls whom
    /// and what the evidence says is known.
    pub source: &'static str,
    /// By number of the window.
    pub windows: BTreeMap<usize, Graph>,
    /// `causal_graph_<stamp>.json` as it is; none: it is not there.
    pub causal: Option<CausalGraphs>,
}

/// The graph of a window.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Graph {
    /// Services, databases, brokers and what is outside.
    pub nodes: Vec<Node>,
    /// Calls.
    pub edges: Vec<Edge>,
}

/// A service, a database, a broker, or something outside.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// `service`, `database`, `broker` or `external`.
    pub kind: String,
    /// What it answered in steady time.
    pub figures: Option<Calls>,
    /// A second.
    pub rate_per_s: Option<f64>,
    /// The fault is said to be in it.
    pub root_cause: bool,
    /// Its rows shifted in the window; none: not known.
    pub affected: Option<bool>,
    /// Seconds after the fault.
    pub onset_s: Option<f64>,
}

/// Calls from one to another.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Edge {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// `http`, `rpc`, `db`, `messaging` or `other`.
    pub kind: String,
    /// What came of it in steady time.
    pub figures: Option<Calls>,
}

/// Figures of calls.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Calls {
    /// How many.
    pub count: u64,
    /// Of these with an error.
    pub errors: u64,
    /// Median of their durations, ms.
    pub p50: Option<f64>,
    /// 95th percentile, ms.
    pub p95: Option<f64>,
    /// 99th percentile, ms.
    pub p99: Option<f64>,
}

/// The graphs of a dataset; none: nothing is known of any.
pub(crate) fn read(
    sources: &Sources,
    known: &Known,
    windows: &[Window],
    gaps: &mut Gaps,
) -> Option<Graphs> {
    let mut graphs = Graphs {
        source: "tables",
        windows: BTreeMap::new(),
        causal: None,
    };
    let path = sources.file("causal_graph", "json")?;
    let causal = causal_graphs(&path);
    graphs.causal = gaps.note(
        "causal_graph",
        "how each fault spread, with intervals",
        causal,
    );
    let edges = sources.file("graph_edges", "parquet")?;
    let nodes = sources.file("graph_nodes", "parquet")?;
    let read = read_edges(&edges, &mut graphs.windows);
    let has_edges = gaps.note("graph_edges", "calls between services with figures", read);
    let read = read_nodes(&nodes, &mut graphs.windows);
    let has_nodes = gaps.note("graph_nodes", "services of each window with figures", read);
    if has_edges.is_none() || has_nodes.is_none() {
        known.evidence.as_ref()?;
        graphs.source = "evidence";
        graphs.windows = windows.iter().map(of_evidence).collect();
    }
    Some(graphs)
}

fn causal_graphs(path: &Path) -> Result<CausalGraphs, String> {
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => TableError::Absent.to_string(),
        _ => error.to_string(),
    })?;
    let graphs: CausalGraphs = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    if graphs.schema_version > CAUSAL_GRAPH_SCHEMA_VERSION {
        return Err(format!(
            "it has schema version {}, and this loadgen reads up to {CAUSAL_GRAPH_SCHEMA_VERSION}",
            graphs.schema_version
        ));
    }
    Ok(graphs)
}

fn of_evidence(window: &Window) -> (usize, Graph) {
    let is_root = |service: &str| window.root_cause_service.as_deref() == Some(service);
    let nodes = window.services.iter().map(|of| Node {
        name: of.service.clone(),
        kind: "service".to_owned(),
        root_cause: is_root(&of.service),
        affected: Some(of.affected),
        onset_s: of.onset_s,
        ..Node::default()
    });
    let edges = window.edges.iter().map(|of| Edge {
        caller: of.caller.clone(),
        callee: of.callee.clone(),
        kind: "other".to_owned(),
        figures: None,
    });
    let graph = Graph {
        nodes: nodes.collect(),
        edges: edges.collect(),
    };
    (window.number, graph)
}

fn read_edges(path: &Path, windows: &mut BTreeMap<usize, Graph>) -> Result<(), TableError> {
    const COLUMNS: [&str; 9] = [
        "window", "caller", "callee", "kind", "count", "errors", "p50_ms", "p95_ms", "p99_ms",
    ];
    Table::at(path).read(&COLUMNS, |batch| {
        let numbers = batch.numbers("window")?;
        let (callers, callees) = (batch.text("caller")?, batch.text("callee")?);
        let kinds = batch.text("kind")?;
        for row in 0..batch.rows() {
            let graph = windows.entry(numbers.count(row) as usize).or_default();
            graph.edges.push(Edge {
                caller: callers.or_empty(row).to_owned(),
                callee: callees.or_empty(row).to_owned(),
                kind: kinds.or_empty(row).to_owned(),
                figures: Some(calls(batch, row)?),
            });
        }
        Ok(())
    })
}

fn read_nodes(path: &Path, windows: &mut BTreeMap<usize, Graph>) -> Result<(), TableError> {
    const COLUMNS: [&str; 12] = [
        "window",
        "service_name",
        "node_kind",
        "count",
        "errors",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "rate_per_s",
        "is_root_cause",
        "service_affected",
        "onset_s",
    ];
    Table::at(path).read(&COLUMNS, |batch| {
        let numbers = batch.numbers("window")?;
        let (names, kinds) = (batch.text("service_name")?, batch.text("node_kind")?);
        let roots = batch.flags_if_any("is_root_cause")?;
        let affected = batch.flags_if_any("service_affected")?;
        let (rates, onsets) = (batch.numbers("rate_per_s")?, batch.numbers("onset_s")?);
        for row in 0..batch.rows() {
            let graph = windows.entry(numbers.count(row) as usize).or_default();
            graph.nodes.push(Node {
                name: names.or_empty(row).to_owned(),
                kind: kinds.or_empty(row).to_owned(),
                figures: Some(calls(batch, row)?),
                rate_per_s: rates.double(row).map(six),
                root_cause: roots.and_then(|roots| roots.get(row)).unwrap_or(false),
                affected: affected.and_then(|affected| affected.get(row)),
                onset_s: onsets.double(row).map(six),
            });
        }
        Ok(())
    })
}

fn calls(batch: &Batch<'_>, row: usize) -> Result<Calls, String> {
    let quantile = |name: &str| Ok::<_, String>(batch.numbers(name)?.double(row).map(six));
    Ok(Calls {
        count: batch.numbers("count")?.count(row),
        errors: batch.numbers("errors")?.count(row),
        p50: quantile("p50_ms")?,
        p95: quantile("p95_ms")?,
        p99: quantile("p99_ms")?,
    })
}
