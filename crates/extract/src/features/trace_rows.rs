//! Rows of traces with what their shape says.

use std::collections::BTreeMap;
use std::io;

use super::rules::FeatureRules;
use super::shape::{ByService, Shape};
use crate::dataset::rows::{Made, Rows};
use crate::dataset::trace_features::{TraceFeatureRow, TraceFeatures};
use crate::rules::{ROWS_AT_ONCE, RowRules};
use crate::scan::batch::{number, text};
use crate::write::partition::{OfTrace, TracePartition};

/// Makes the rows of a partition.
pub(super) struct TraceRows<'r> {
    rules: &'r RowRules<'r>,
    of: &'r TracePartition,
    said: &'r [OfTrace<'r>],
    rows: Rows<'r, TraceFeatures>,
    made: Vec<Made>,
}

impl<'r> TraceRows<'r> {
    pub(super) fn new(
        features: &'r FeatureRules,
        rules: &'r RowRules<'r>,
        of: &'r TracePartition,
        said: &'r [OfTrace<'r>],
    ) -> Self {
        Self {
            rows: Rows::new(&features.traces),
            made: Vec::new(),
            rules,
            of,
            said,
        }
    }

    /// Adds a trace by its row, with the rows of its spans, each once and without late ones, and
    /// their shape.
    pub(super) fn push(
        &mut self,
        trace: usize,
        (rows, shape): (&[usize], &Shape),
    ) -> io::Result<()> {
        let said = &self.said[trace];
        if rows.is_empty() || !self.rules.keeps(&said.said) {
            return Ok(());
        }
        let (spans, traces) = (&self.of.spans, &self.of.traces);
        let mut names: BTreeMap<u32, &str> = BTreeMap::new();
        for (row, node) in rows.iter().zip(shape.nodes()) {
            names.insert(node.service, spans.service_name.value(*row));
        }
        let mut services: Vec<&str> = names.values().copied().collect();
        services.sort_unstable();
        let path = self
            .root(trace, (rows, shape))
            .map(|root| shape.critical_path(root));
        let path = by_name(&path.unwrap_or_default(), &names);
        // Of several with as much the first by name.
        let most = path.iter().rev().max_by_key(|(_, ns)| **ns);
        let starts = shape
            .nodes()
            .iter()
            .map(|node| node.start)
            .filter(|at| *at != 0);
        let start_ns = starts.min();
        let ends = shape
            .nodes()
            .iter()
            .map(|node| node.end)
            .filter(|at| *at != 0);
        let (depth, width) = shape.depth_and_width();
        let high = u128::from(traces.trace_high.value(trace));
        self.rows.push(&TraceFeatureRow {
            trace_id: high << 64 | u128::from(traces.trace_low.value(trace)),
            start_ns,
            duration_ns: start_ns
                .zip(ends.max())
                .map(|(start, end)| (end - start).max(0)),
            root_service: traces.root_service.value(trace),
            root_name: traces.root_name.value(trace),
            span_count: traces.spans.value(trace),
            depth,
            width,
            services_joined: services.join("+"),
            services,
            error_count: traces.errors.value(trace),
            orphan_count: traces.orphans.value(trace),
            critical_path_ms: milliseconds(&path),
            self_time_ms: milliseconds(&by_name(&shape.self_times(), &names)),
            critical_service: most.map(|(service, _)| *service),
            said: said.said,
            labelled_services: traces.services.value(trace),
            touches_root_cause: said.touches,
            sent_by: said.sent_by,
        });
        if self.rows.len() == ROWS_AT_ONCE {
            self.made.push(self.rows.take()?);
        }
        Ok(())
    }

    /// The place of the trace's root, as the label stage found it.
    fn root(&self, trace: usize, (rows, shape): (&[usize], &Shape)) -> Option<usize> {
        let (spans, traces) = (&self.of.spans, &self.of.traces);
        let start = number(&traces.start_ns, trace)?;
        let is_root = |place: &usize| {
            let row = rows[*place];
            shape.nodes()[*place].start == start
                && shape.parent(*place).is_none()
                && spans.service_name.value(row) == traces.root_service.value(trace)
                && spans.name.value(row) == text(&traces.root_name, trace).unwrap_or_default()
        };
        (0..rows.len()).find(is_root)
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<Made>> {
        if self.rows.len() > 0 {
            self.made.push(self.rows.take()?);
        }
        Ok(self.made)
    }
}

fn by_name<'n>(times: &ByService, names: &BTreeMap<u32, &'n str>) -> BTreeMap<&'n str, i64> {
    let named = times
        .iter()
        .filter_map(|(service, ns)| Some((*names.get(service)?, *ns)));
    named.collect()
}

/// Nanoseconds by service as an object of milliseconds.
fn milliseconds(times: &BTreeMap<&str, i64>) -> String {
    let in_ms: BTreeMap<&str, f64> = times.iter().map(|(s, ns)| (*s, *ns as f64 / 1e6)).collect();
    // Names and finite numbers are always JSON.
    serde_json::to_string(&in_ms).unwrap_or_default()
}
