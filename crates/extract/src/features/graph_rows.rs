//! Rows of the graph of calls.

use std::io;

use loadgen_timeline::condition::NONE;

use super::graph::{Calls, Graph};
use crate::dataset::files::TableFiles;
use crate::dataset::graph::{EdgeRow, GraphEdges, GraphNodes, NodeRow, OfWindow, Went};
use crate::dataset::rows::{Columns, Rows};
use crate::dataset::staging::{StagedFile, Staging};
use crate::rules::RowRules;

/// Writes the tables of edges and of nodes.
pub(super) fn write(
    graph: &Graph,
    rules: &RowRules<'_>,
    staging: &mut Staging,
    stamp: &str,
) -> io::Result<Vec<StagedFile>> {
    let columns = (
        Columns::<GraphEdges>::all(rules.formats),
        Columns::<GraphNodes>::all(rules.formats),
    );
    let mut edges = Rows::new(&columns.0);
    let mut nodes = Rows::new(&columns.1);
    for (number, window) in rules.truth.timeline.windows.iter().enumerate() {
        let of = OfWindow {
            number,
            scenario: &window.scenario,
            anomaly_type: &window.anomaly.kind,
        };
        for (caller, callee, protocol, calls) in graph.edges_of(number) {
            edges.push(&EdgeRow {
                window: of,
                caller,
                callee,
                kind: protocol.name(),
                went: went(calls),
            });
        }
        let seconds = steady_seconds(rules, number);
        let evidence = rules.run.evidence.window(number as u32);
        for (service, kind, calls) in graph.nodes_of(number) {
            let ranked = evidence.and_then(|e| e.services.iter().find(|s| s.service == service));
            let root_cause = window.anomaly.root_cause_service.as_deref();
            nodes.push(&NodeRow {
                window: of,
                service,
                kind: kind.name(),
                rate_per_s: (seconds > 0.0).then(|| calls.count as f64 / seconds),
                went: went(&calls),
                is_root_cause: window.anomaly.kind != NONE && root_cause == Some(service),
                service_affected: ranked.map(|ranked| ranked.affected),
                onset_s: ranked
                    .filter(|of| of.affected)
                    .and_then(|of| of.shift_onset)
                    .map(|onset| onset.value),
            });
        }
    }
    let mut files = Vec::new();
    let mut table = TableFiles::create(staging, stamp, &columns.0)?;
    table.append(&edges.take()?)?;
    files.extend(table.finish()?.into_iter().flatten());
    let mut table = TableFiles::create(staging, stamp, &columns.1)?;
    table.append(&nodes.take()?)?;
    files.extend(table.finish()?.into_iter().flatten());
    Ok(files)
}

fn went(calls: &Calls) -> Went {
    Went {
        count: calls.count,
        errors: calls.errors,
        quantiles_ns: calls.durations.quantiles(),
    }
}

/// Steady time in which a window was open.
fn steady_seconds(rules: &RowRules<'_>, window: usize) -> f64 {
    let stretches = rules.truth.conditions.stretches().iter();
    let of = stretches.filter(|stretch| stretch.windows.contains(&window));
    let steady = of.flat_map(|stretch| rules.run.phases.steady_in(stretch.time));
    steady.map(|(from, to)| to - from).sum::<i64>() as f64 / 1e9
}
