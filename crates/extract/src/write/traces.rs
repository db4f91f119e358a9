//! Rows of traces: their spans, their log records, and one row each.

use std::io;

use arrow_array::Array;
use loadgen_timeline::condition::{Label, NONE, Placed, UNKNOWN, UNKNOWN_CONDITION};
use loadgen_timeline::phase::Phase;

use super::partition::{OfTrace, TracePartition};
use super::unusual::unusual;
use super::{SpanRows, Wide, WriteCounts, Written};
use crate::dataset::classes::{LeftOut, UNKNOWN_CLASS};
use crate::dataset::files::Run;
use crate::dataset::logs::LogRow;
use crate::dataset::points::Origin;
use crate::dataset::rows::Rows;
use crate::dataset::said::{LabelSource, LabelTexts, Said};
use crate::dataset::spans::{SpanRow, Spans};
use crate::dataset::traces::TraceRow;
use crate::dataset::unusual::OfSpan;
use crate::features::observe_traces;
use crate::label::records::TraceBatch;
use crate::label::truth::Foreign;
use crate::rules::{ROWS_AT_ONCE, RowRules};
use crate::scan::batch::{number, text};
use crate::scan::records::SpanBatch;

/// Makes the rows of a partition of traces.
pub(crate) fn write_traces(rules: &RowRules<'_>, of: &TracePartition) -> io::Result<Written> {
    let traces = &of.traces;
    let headers = header_labels(traces);
    let said: Vec<OfTrace<'_>> = (0..traces.trace_high.len())
        .map(|row| {
            let source = LabelSource::ALL[usize::from(traces.source.value(row)) % 4];
            let foreign = Foreign::from_number(traces.foreign.value(row));
            let moment_ns = number(&traces.moment_ns, row);
            let (said, condition) = match &headers[row] {
                Some(label) if foreign.is_none() => {
                    (rules.texts.by_header(label), UNKNOWN_CONDITION)
                }
                _ => rules.texts.at(moment_ns, source, foreign),
            };
            OfTrace {
                said,
                condition,
                moment_ns,
                foreign,
                sent_by: text(&traces.sent_by, row),
                client_exposed: (!traces.client_exposed.is_null(row))
                    .then(|| traces.client_exposed.value(row)),
                touches: traces.touches.value(row),
            }
        })
        .collect();
    let mut written = Written::default();
    write_spans(rules, of, &said, &mut written)?;
    write_trace_rows(rules, of, &said, &mut written)?;
    write_logs(rules, of, &said, &mut written)?;
    if let Some(features) = &rules.features {
        written.observed = Some(observe_traces(features, rules, of, &said)?);
    }
    Ok(written)
}

/// Labels of traces that only a header labels.
fn header_labels(traces: &TraceBatch) -> Vec<Option<LabelTexts>> {
    let label = |row: usize| {
        let kind = text(&traces.header_type, row)?;
        let or_unknown = |text: Option<&str>| text.unwrap_or(UNKNOWN).to_owned();
        let root_cause = or_unknown(text(&traces.header_root_cause, row));
        Some(LabelTexts {
            anomaly_type: kind.to_owned(),
            anomaly_label: match kind {
                NONE => Label::Normal.name(),
                _ => Label::Anomalous.name(),
            },
            anomaly_msg: text(&traces.header_msg, row).map(str::to_owned),
            anomaly_symptom: None,
            root_cause_service: None,
            types: vec![kind.to_owned()],
            root_causes: vec![root_cause.clone()],
            services: Vec::new(),
            anomaly_root_cause: root_cause,
        })
    };
    (0..traces.trace_high.len()).map(label).collect()
}

fn write_spans(
    rules: &RowRules<'_>,
    of: &TracePartition,
    said: &[OfTrace<'_>],
    written: &mut Written,
) -> io::Result<()> {
    let unusual = unusual(rules, of, said);
    let mut rows = Rows::new(&rules.spans);
    let mut runs: Vec<Run> = Vec::new();
    for at in 0..of.span_marks.row.len() {
        let row = of.span_marks.row.value(at) as usize;
        let trace = &said[of.span_marks.trace.value(at) as usize];
        let late = of.span_marks.late.value(at);
        let start_ns = number(&of.spans.start_ns, row);
        let (said, condition) = if late && trace.foreign.is_none() {
            rules.texts.at(start_ns, LabelSource::Window, None)
        } else {
            (trace.said, trace.condition)
        };
        let keep = rules.keeps(&said);
        if !written.counts.spans.take(keep, &said) {
            continue;
        }
        let class = count(rules, &mut written.counts, condition, &said, late, trace);
        if trace.is_of_the_run() {
            count_normal(rules, &mut written.counts, of, at, &unusual[at]);
        }
        if runs.last().is_none_or(|run| run.class != class) {
            runs.push(Run {
                class,
                rows: 0,
                end: 0,
            });
        }
        rows.push(&span_row(&of.spans, row, said, late, trace, unusual[at]));
        if let Some(run) = runs.last_mut() {
            run.rows += 1;
            run.end = rows.csv_len();
        }
        if rows.len() == ROWS_AT_ONCE {
            let runs = std::mem::take(&mut runs);
            written.spans.push(span_rows(&mut rows, runs)?);
        }
    }
    if rows.len() > 0 {
        written.spans.push(span_rows(&mut rows, runs)?);
    }
    Ok(())
}

fn span_rows(rows: &mut Rows<'_, Spans>, runs: Vec<Run>) -> io::Result<SpanRows> {
    Ok(SpanRows {
        made: rows.take()?,
        runs,
    })
}

/// Counts a span that is written; gives the class that it goes to.
fn count(
    rules: &RowRules<'_>,
    counts: &mut WriteCounts,
    condition: usize,
    said: &Said<'_>,
    late: bool,
    trace: &OfTrace<'_>,
) -> Option<usize> {
    *counts
        .spans_by_source
        .entry(said.source.name().into())
        .or_default() += 1;
    if let Some(phase) = said.phase.name() {
        *counts.spans_by_phase.entry(phase.into()).or_default() += 1;
    }
    // Windows count spans by the moments of their traces.
    if said.phase == Phase::Steady && !late {
        let conditions = &rules.truth.conditions;
        if let Some(Placed::Within { stretch, .. }) = trace.moment_ns.map(|at| conditions.at(at)) {
            *counts.steady.entry(stretch).or_default() += 1;
        }
    }
    let admitted = match (rules.classes.admits(condition, said), late) {
        (Ok(()), true) => Err(LeftOut::Late),
        (admitted, _) => admitted,
    };
    match admitted {
        Ok(()) => Some(rules.classes.of(condition)),
        Err(reason) => {
            *counts.left_out.entry(reason).or_default() += 1;
            (reason == LeftOut::Unknown).then_some(UNKNOWN_CLASS)
        }
    }
}

/// Counts a span by what can be said of it by itself.
fn count_normal(
    rules: &RowRules<'_>,
    counts: &mut WriteCounts,
    of: &TracePartition,
    at: usize,
    unusual: &OfSpan,
) {
    counts.untold += u64::from(unusual.unusual.is_none());
    if let Some(durations) = rules.limits.wide(&of.shapes, at) {
        let row = of.span_marks.row.value(at) as usize;
        let wide = Wide {
            spans: 1,
            median_us: durations.median_us,
            slow_from_us: durations.slow_from_us,
        };
        counts.add_wide(of.service(at), of.spans.name.value(row), wide);
    }
}

fn span_row<'a>(
    spans: &'a SpanBatch,
    row: usize,
    said: Said<'a>,
    late: bool,
    trace: &OfTrace<'a>,
    unusual: OfSpan,
) -> SpanRow<'a> {
    let small =
        |column: &arrow_array::Int32Array| (!column.is_null(row)).then(|| column.value(row));
    let id = match spans.alone.value(row) {
        true => 0,
        false => {
            u128::from(spans.trace_high.value(row)) << 64 | u128::from(spans.trace_low.value(row))
        }
    };
    SpanRow {
        start_ns: number(&spans.start_ns, row),
        end_ns: number(&spans.end_ns, row),
        service_name: spans.service_name.value(row),
        trace_id: id,
        span_id: spans.span_id.value(row),
        parent_span_id: spans.parent_span_id.value(row),
        name: spans.name.value(row),
        kind: spans.kind.value(row),
        status: spans.status.value(row),
        http_method: text(&spans.http_method, row),
        http_status_code: small(&spans.http_status_code),
        http_target: text(&spans.http_target, row),
        server_address: text(&spans.server_address, row),
        server_port: small(&spans.server_port),
        client_address: text(&spans.client_address, row),
        network_protocol_version: text(&spans.network_protocol_version, row),
        service_instance_id: text(&spans.service_instance_id, row),
        said,
        touches_root_cause: trace.touches,
        sent_by: trace.sent_by,
        late,
        unusual,
    }
}

fn write_trace_rows(
    rules: &RowRules<'_>,
    of: &TracePartition,
    said: &[OfTrace<'_>],
    written: &mut Written,
) -> io::Result<()> {
    let traces = &of.traces;
    let mut rows = Rows::new(&rules.traces);
    for (row, of_trace) in said.iter().enumerate() {
        if traces.spans.value(row) == 0 && traces.late.value(row) == 0 {
            continue;
        }
        if !rules.keeps(&of_trace.said) {
            continue;
        }
        let services = traces.services.value(row);
        let high = u128::from(traces.trace_high.value(row));
        rows.push(&TraceRow {
            trace_id: high << 64 | u128::from(traces.trace_low.value(row)),
            start_ns: number(&traces.start_ns, row),
            duration_ns: traces.duration_ns.value(row),
            root_service: traces.root_service.value(row),
            root_span_name: traces.root_name.value(row),
            has_root: traces.has_root.value(row),
            services,
            service_count: traces.service_count.value(row),
            depth: traces.depth.value(row),
            spans: traces.spans.value(row),
            error_spans: traces.errors.value(row),
            orphan_spans: traces.orphans.value(row),
            duplicate_spans: traces.duplicates.value(row),
            late_spans: traces.late.value(row),
            said: of_trace.said,
            touches_root_cause: of_trace.touches,
            sent_by: of_trace.sent_by,
            client_exposed: of_trace.client_exposed,
        });
        if rows.len() == ROWS_AT_ONCE {
            written.traces.push(rows.take()?);
        }
    }
    if rows.len() > 0 {
        written.traces.push(rows.take()?);
    }
    Ok(())
}

fn write_logs(
    rules: &RowRules<'_>,
    of: &TracePartition,
    said: &[OfTrace<'_>],
    written: &mut Written,
) -> io::Result<()> {
    let logs = &of.logs;
    let mut rows = Rows::new(&rules.logs);
    for at in 0..of.log_marks.row.len() {
        let row = of.log_marks.row.value(at) as usize;
        let trace =
            (!of.log_marks.trace.is_null(at)).then(|| &said[of.log_marks.trace.value(at) as usize]);
        let time_ns = number(&logs.time_ns, row);
        let said = match trace {
            Some(trace) => trace.said,
            None => {
                let source = match (rules.truth.has_timeline, time_ns) {
                    (true, Some(_)) => LabelSource::Window,
                    _ => LabelSource::None,
                };
                let foreign = rules.truth.foreign_at(time_ns);
                rules.texts.at(time_ns, source, foreign).0
            }
        };
        if !written.counts.logs.take(rules.keeps(&said), &said) {
            continue;
        }
        let high = u128::from(logs.trace_high.value(row));
        rows.push(&LogRow {
            time_ns,
            observed_ns: number(&logs.observed_ns, row),
            severity_number: logs.severity_number.value(row),
            severity_text: logs.severity_text.value(row),
            service_name: logs.service_name.value(row),
            body: text(&logs.body, row),
            trace_id: high << 64 | u128::from(logs.trace_low.value(row)),
            span_id: logs.span_id.value(row),
            event_name: logs.event_name.value(row),
            scope_name: logs.scope_name.value(row),
            attributes: logs.attributes.value(row),
            origin: Origin {
                service_instance_id: text(&logs.service_instance_id, row),
                host_name: text(&logs.host_name, row),
                container_name: text(&logs.container_name, row),
                k8s_pod_name: text(&logs.k8s_pod_name, row),
            },
            said,
            sent_by: trace.and_then(|trace| trace.sent_by),
        });
        if rows.len() == ROWS_AT_ONCE {
            written.logs.push(rows.take()?);
        }
    }
    if rows.len() > 0 {
        written.logs.push(rows.take()?);
    }
    Ok(())
}
