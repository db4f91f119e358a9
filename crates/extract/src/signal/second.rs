//! The second way through the input: each span, record and point gets its verdict and becomes a
//! row.

use std::io;

use super::judge::Verdicts;
use super::{Counts, Extraction, Lines};
use crate::dataset::csv_row::CsvRows;
use crate::dataset::log_row;
use crate::dataset::metric_row::{self, MetricRows, OfPoint};
use crate::dataset::span_columns;
use crate::dataset::span_row::{Columns, HttpSpan, OfSpan, SpanRow};
use crate::dataset::staging::StagedFile;
use crate::dataset::trace_files::{SpanBatch, SpanRows, TraceFiles};
use crate::join::label::{LabelSource, Labels, UNKNOWN_LABEL};
use crate::join::phase::{Phase, Phases};
use crate::spool::verdicts::{ByBlock, Lookup, PointVerdict, Verdict};
use crate::telemetry::attribute::Picked;
use crate::telemetry::http::HttpAttributes;
use crate::telemetry::input::{Block, Input};
use crate::telemetry::line::{LineTally, for_each_message};
use crate::telemetry::log::ResourceLogs;
use crate::telemetry::metric::ResourceMetrics;
use crate::telemetry::pipeline::{PipelineError, for_each_block};
use crate::telemetry::scalar::TraceId;
use crate::telemetry::trace::ResourceSpans;

/// What the rows are made by.
#[derive(Debug)]
pub(crate) struct RowRules<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) phases: &'a Phases,
    pub(crate) columns: &'a Columns,
    /// Only rows whose phase is steady are written.
    pub(crate) steady_only: bool,
}

/// What came of the second pass.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) spans: Counts,
    pub(crate) points: Counts,
    pub(crate) logs: Counts,
    /// The files, in the order of their listing in the docs.
    pub(crate) files: Vec<StagedFile>,
}

/// Rows of a block.
struct BlockRows {
    tally: LineTally,
    spans: io::Result<SpanBatch>,
    points: io::Result<(Vec<u8>, u64)>,
    logs: io::Result<(Vec<u8>, u64)>,
    counts: [Counts; 3],
}

type Attached = (Vec<Verdict>, Vec<Verdict>, Vec<PointVerdict>);

/// Goes through the input and writes the rows.
pub(crate) fn pass(
    extraction: &mut Extraction,
    inputs: &[Input],
    rules: &RowRules<'_>,
    verdicts: &Verdicts,
    lines: &mut Lines<'_>,
) -> Result<Written, PipelineError<io::Error>> {
    let Extraction {
        workers,
        stamp,
        staging,
        ..
    } = extraction;
    let schema = span_columns::schema();
    let mut traces =
        TraceFiles::create(staging, stamp, rules.labels.types(), &schema, rules.columns)
            .map_err(PipelineError::Consumer)?;
    let mut metrics_file = None;
    let mut logs_file = None;
    let mut written = Written::default();
    let mut spans = ByBlock::new(&verdicts.spans);
    let mut logs = ByBlock::new(&verdicts.logs);
    let mut points = ByBlock::new(&verdicts.points);
    let attach = |block: &Block| {
        let number = block.sequence;
        Ok((
            spans.take(number)?,
            logs.take(number)?,
            points.take(number)?,
        ))
    };
    let work = |block: &Block, attached: Attached| {
        let mut rows = Rows::new(rules, attached);
        let tally = rows.of_block(block);
        BlockRows {
            tally,
            spans: rows.spans.finish(&schema, rules.columns),
            points: rows.points.into_counted_bytes(),
            logs: rows.logs.into_counted_bytes(),
            counts: rows.counts,
        }
    };
    for_each_block(
        inputs,
        *workers,
        attach,
        work,
        |index, of_block: BlockRows| {
            lines.take(index, of_block.tally);
            let [of_spans, of_points, of_logs] = &of_block.counts;
            written.spans.merge(of_spans);
            written.points.merge(of_points);
            written.logs.merge(of_logs);
            traces.append(staging, of_block.spans?)?;
            let mut append = |file: &mut Option<StagedFile>,
                              name: &str,
                              columns: &[&str],
                              rows: io::Result<(Vec<u8>, u64)>| {
                let (bytes, rows) = rows?;
                if rows == 0 {
                    return Ok(());
                }
                let file = match file {
                    Some(file) => file,
                    None => {
                        file.insert(staging.create_csv(&format!("{name}_{stamp}.csv"), columns)?)
                    }
                };
                file.append(&bytes, rows)
            };
            append(
                &mut metrics_file,
                "metrics_labeled",
                &metric_row::COLUMNS,
                of_block.points,
            )?;
            append(
                &mut logs_file,
                "logs_labeled",
                &log_row::COLUMNS,
                of_block.logs,
            )
        },
    )?;
    written.files = traces.finish().map_err(PipelineError::Consumer)?;
    for mut file in metrics_file.into_iter().chain(logs_file) {
        io::Write::flush(&mut file).map_err(PipelineError::Consumer)?;
        written.files.push(file);
    }
    Ok(written)
}

/// The rows of one block on their way.
struct Rows<'a> {
    rules: &'a RowRules<'a>,
    of_spans: Lookup<Verdict>,
    of_logs: Lookup<Verdict>,
    of_points: Lookup<PointVerdict>,
    spans: SpanRows,
    points: CsvRows,
    logs: CsvRows,
    counts: [Counts; 3],
}

impl<'a> Rows<'a> {
    fn new(rules: &'a RowRules<'a>, (of_spans, of_logs, of_points): Attached) -> Self {
        Self {
            rules,
            of_spans: Lookup::new(of_spans),
            of_logs: Lookup::new(of_logs),
            of_points: Lookup::new(of_points),
            spans: SpanRows::new(),
            points: CsvRows::new(),
            logs: CsvRows::new(),
            counts: Default::default(),
        }
    }

    fn of_block(&mut self, block: &Block) -> LineTally {
        let Self {
            rules,
            of_spans,
            of_logs,
            of_points,
            spans,
            points,
            logs,
            counts: [span_counts, point_counts, log_counts],
        } = self;
        for_each_message(
            block,
            |message, _, data: Vec<ResourceSpans<'_, Picked<HttpAttributes<'_>>>>| {
                for_each_span(&data, |resource, span, index| {
                    span_counts.read += 1;
                    let of = rules.of_span(of_spans.find(message, index));
                    if rules.keeps(of.phase) {
                        span_counts.add(of.label.kind, of.source);
                        spans.push(&SpanRow::new(resource, span, of), rules.columns);
                    }
                });
            },
            |message, _, data: Vec<ResourceMetrics<'_>>| {
                let mut index = 0;
                for resource in &data {
                    for scope in &resource.scope_metrics {
                        let of_scope = MetricRows {
                            resource: resource.resource.attributes(),
                            scope_name: &scope.scope.name,
                        };
                        for metric in &scope.metrics {
                            metric_row::for_each_point(metric, |point| {
                                point_counts.read += 1;
                                let of = rules.of_point(of_points.find(message, index));
                                index += 1;
                                if rules.keeps(of.phase) {
                                    point_counts.add(of.label.kind, of.source);
                                    of_scope.write_csv(points, metric, &point, &of);
                                }
                            });
                        }
                    }
                }
            },
            |message, _, data: Vec<ResourceLogs<'_>>| {
                let mut index = 0;
                for resource in &data {
                    for scope in &resource.scope_logs {
                        for record in &scope.log_records {
                            log_counts.read += 1;
                            let traced = if record.trace_id == TraceId(0) {
                                None
                            } else {
                                of_logs.find(message, index)
                            };
                            index += 1;
                            let of = match traced {
                                Some(verdict) => rules.of_span(Some(verdict)),
                                None => rules.at(log_row::time_ns(record).unwrap_or(0)),
                            };
                            if rules.keeps(of.phase) {
                                log_counts.add(of.label.kind, of.source);
                                let label = (of.label, of.source, of.phase);
                                let attributes = resource.resource.attributes();
                                log_row::write_csv(
                                    logs,
                                    attributes,
                                    &scope.scope.name,
                                    record,
                                    label,
                                );
                            }
                        }
                    }
                }
            },
        )
    }
}

fn for_each_span<'d>(
    data: &'d [ResourceSpans<'d, Picked<HttpAttributes<'d>>>],
    mut each: impl FnMut(&'d crate::telemetry::resource::ResourceAttributes<'d>, &'d HttpSpan<'d>, u32),
) {
    let mut index = 0;
    for resource in data {
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            each(resource.resource.attributes(), span, index);
            index += 1;
        }
    }
}

impl<'a> RowRules<'a> {
    fn keeps(&self, phase: Phase) -> bool {
        !self.steady_only || phase == Phase::Steady
    }

    fn of_span(&self, verdict: Option<Verdict>) -> OfSpan<'a> {
        match verdict {
            Some(verdict) => OfSpan {
                label: self.labels.get(verdict.label),
                source: LabelSource::from_number(verdict.source),
                phase: Phase::from_number(verdict.phase),
                touches_root_cause: verdict.touches_root_cause == 1,
            },
            None => self.unknown(),
        }
    }

    fn unknown(&self) -> OfSpan<'a> {
        OfSpan {
            label: self.labels.get(UNKNOWN_LABEL),
            source: LabelSource::None,
            phase: Phase::None,
            touches_root_cause: false,
        }
    }

    fn at(&self, at_ns: i64) -> OfSpan<'a> {
        let (label, source) = self.labels.at(at_ns);
        let phase = match source {
            LabelSource::Window => self.phases.at(at_ns),
            _ => Phase::None,
        };
        OfSpan {
            label: self.labels.get(label),
            source,
            phase,
            touches_root_cause: false,
        }
    }

    fn of_point(&self, verdict: Option<PointVerdict>) -> OfPoint<'a> {
        let known = verdict.map(|v| {
            let interval_start = (v.interval_start != 0).then_some(v.interval_start);
            (
                v,
                interval_start,
                (!v.increase.is_nan()).then_some(v.increase),
            )
        });
        match known {
            Some((verdict, interval_start, increase)) => OfPoint {
                label: self.labels.get(verdict.label),
                source: LabelSource::from_number(verdict.source),
                phase: Phase::from_number(verdict.phase),
                interval_start,
                increase,
            },
            None => OfPoint {
                label: self.labels.get(UNKNOWN_LABEL),
                source: LabelSource::None,
                phase: Phase::None,
                interval_start: None,
                increase: None,
            },
        }
    }
}
