//! An extraction from its options to its report: scan → label → measure → write.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use loadgen_otlp::source::line_and_column;
use loadgen_timeline::audit::{
    AUDIT_SCHEMA_VERSION, Audit, AuditFile, DatasetFile, Figures, LineProblem, Rows, SpanNormals,
    WideOperation,
};
use loadgen_timeline::condition::NONE;

use crate::audit::audit;
use crate::dataset::classes::Classes;
use crate::dataset::rows::Columns;
use crate::dataset::spans::FEATURES;
use crate::dataset::staging::StagedFile;
use crate::dataset::texts::Texts;
use crate::error::ExtractError;
use crate::features::rules::FeatureRules;
use crate::ground_truth::{open_ledger, open_others, read_timeline, taken};
use crate::label::Offsets;
use crate::label::truth::Truth;
use crate::lines::{Lines, Problems};
use crate::measure::normal::Limits;
use crate::measure::{self, RunFacts, RunSaid};
use crate::options::ExtractOptions;
use crate::report::{ExtractReport, InputReport, LabelCount, WrittenFile};
use crate::rules::RowRules;
use crate::scan::inputs::Inputs;
use crate::stages::Stages;
use crate::write::WriteCounts;

/// Labels telemetry by the timeline and the ledger and writes the dataset.
///
/// Lines that can't be read are skipped and named in the report; where not one line can be read it
/// is the wrong file, and an error. On an error nothing is left in the output folder.
///
/// # Errors
///
/// [`ExtractError`]: no input, an input, a timeline or a ledger that can't be read, an output folder
/// that can't be written, a dataset of the same stamp that is there already.
pub fn extract(options: &ExtractOptions) -> Result<ExtractReport, ExtractError> {
    let began = Instant::now();
    // All inputs are opened first: a wrong name should be told before the work, not after it.
    let named = [
        &options.inputs,
        &options.traces,
        &options.metrics,
        &options.logs,
    ];
    let inputs = Inputs::open(named.into_iter().flatten())?;
    extract_from(options, inputs, began)
}

/// The same of files that are open.
pub(crate) fn extract_from(
    options: &ExtractOptions,
    mut inputs: Inputs,
    began: Instant,
) -> Result<ExtractReport, ExtractError> {
    let timeline = read_timeline(options)?;
    let run = timeline.as_ref().and_then(|timeline| timeline.run.as_ref());
    let ledger = open_ledger(options, run.map(|run| run.run_id.as_str()))?;

    let mut stages = Stages::new(options)?;
    let mut lines = Lines::new(inputs.paths.len());
    let (others, other_ledgers) = open_others(&options.other_runs);
    let (scanned, ledger) = stages.scan(&mut inputs, ledger, other_ledgers, &mut lines)?;
    let messages = std::mem::take(&mut lines.messages);
    let (input, problems) = lines.problems(&inputs.paths);
    check_input(options, &inputs.paths, &messages, &input, &problems)?;
    let said = RunSaid::new(timeline.as_ref(), ledger.as_ref());
    let taken = timeline.as_ref().map(|own| taken(&others, own));
    let truth = Truth::new(timeline, said.ledger_is_whole, taken.unwrap_or_default());
    let facts = Arc::new(scanned.facts());
    let mut labelled = stages.label(&scanned, &truth, &facts, &Offsets::new())?;
    let (offsets, clocks) = measure::clocks(&truth, &labelled.gathered);
    if options.correct_skew && !offsets.is_empty() {
        labelled = stages.label(&scanned, &truth, &facts, &offsets)?;
    }
    let run = RunFacts::new(&truth, &labelled.gathered);
    let mut figures = measure::figures(&truth, &labelled.gathered, &run);
    figures.clocks = clocks;
    figures.skew_corrected = options.correct_skew;
    figures.shifted_ns = (options.shift_ns != 0).then_some(options.shift_ns);
    figures.time_offset = measure::time_offset(&truth, &facts);
    said.put(&mut figures);
    measure::leaks(&mut figures, &truth, &scanned.sample, &labelled.gathered);

    let limits = stages.normals(&labelled, &run.reference)?.limits();
    let rules = row_rules(
        options,
        &truth,
        &run,
        limits,
        scanned.spans.len(),
        &mut figures,
    );
    let (counts, mut files) = stages.write(&scanned, &labelled, &rules)?;
    let read = Read {
        rows: scanned.read,
        too_large: scanned.too_large,
        foreign_points: labelled.foreign_points,
    };
    counted(&mut figures, &truth, &read, &counts, &input);
    files.extend(stages.write_windows(&truth, &figures, options.formats)?);
    files.push(stages.write_json("evidence", &run.evidence)?);
    let audit = audit(&figures);
    let said = files.iter().filter_map(dataset_file).collect();
    files.push(write_audit(
        &mut stages,
        &audit,
        &figures,
        &problems.skipped,
        said,
    )?);
    let report = ExtractReport {
        stamp: stages.stamp.clone(),
        output: options.output.clone(),
        files: files.into_iter().map(WrittenFile::from).collect(),
        input,
        labels: label_counts(&rules, &counts),
        figures,
        audit,
        skipped: problems.skipped,
        torn: problems.torn,
        seconds: began.elapsed().as_secs_f64(),
    };
    check_rows(&report)?;
    stages.commit()?;
    Ok(report)
}

/// Writes the audit of a dataset of these files.
pub(crate) fn write_audit(
    stages: &mut Stages,
    audit: &Audit,
    figures: &Figures,
    skipped: &[LineProblem],
    files: Vec<DatasetFile>,
) -> Result<StagedFile, ExtractError> {
    let file = AuditFile {
        schema_version: AUDIT_SCHEMA_VERSION,
        stamp: stages.stamp.clone(),
        loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
        audit: audit.clone(),
        figures: figures.clone(),
        skipped: skipped.to_vec(),
        files,
    };
    stages.write_json("audit", &file)
}

pub(crate) fn dataset_file(file: &StagedFile) -> Option<DatasetFile> {
    Some(DatasetFile {
        name: file.path.file_name()?.to_string_lossy().into_owned(),
        rows: file.rows,
        bytes: file.bytes,
    })
}

pub(crate) fn row_rules<'r>(
    options: &ExtractOptions,
    truth: &'r Truth,
    run: &'r RunFacts,
    limits: Limits,
    partitions: usize,
    figures: &mut Figures,
) -> RowRules<'r> {
    let leaking: Vec<String> = match options.drop_leaks {
        true => measure::leaking_columns(figures)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        false => Vec::new(),
    };
    let leaking = |columns: &[&'static str]| -> Vec<&'static str> {
        let leaks = |column: &&&str| leaking.iter().any(|leak| leak == **column);
        columns.iter().filter(leaks).copied().collect()
    };
    let (of_spans, ids) = (
        leaking(&FEATURES),
        leaking(&measure::ID_COLUMNS.map(|(_, id)| id)),
    );
    let mut dropped = [&of_spans[..], &ids[..]].concat();
    dropped.sort_unstable();
    dropped.dedup();
    figures.dropped_columns = dropped.into_iter().map(str::to_owned).collect();
    let windows = truth.timeline.windows.iter();
    let declared: Vec<String> = windows
        .filter(|window| window.anomaly.kind != NONE)
        .map(|window| window.anomaly.kind.clone())
        .collect();
    RowRules {
        truth,
        run,
        texts: Texts::new(
            &truth.timeline,
            &truth.conditions,
            &run.phases,
            &run.evidence,
        ),
        classes: Classes::new(&truth.conditions, &declared, options.all_phases),
        spans: Columns::without(options.formats, &of_spans),
        traces: Columns::all(options.formats),
        logs: Columns::without(options.formats, &ids),
        points: Columns::without(options.formats, &ids),
        features: (!options.labels_only)
            .then(|| FeatureRules::new(&truth.conditions, partitions, options.formats)),
        formats: options.formats,
        limits,
        steady_only: options.steady_only,
    }
}

/// What was counted before rows were written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Read {
    /// Spans, data points and log records.
    pub(crate) rows: [u64; 3],
    /// Those of them that belong to traces, or series, which are too large.
    pub(crate) too_large: [u64; 3],
    /// Data points that are not the run's, by [`Foreign`](crate::label::truth::Foreign).
    pub(crate) foreign_points: [u64; 3],
}

/// At most so many operations whose normal has a long tail are named.
const WIDE_TOLD: usize = 50;

/// Where single spans can't be told from what is normal.
fn span_normals(counts: &WriteCounts) -> SpanNormals {
    let names = counts.wide.iter();
    let all = names.flat_map(|(service, names)| names.iter().map(move |of| (service, of)));
    let mut wide: Vec<WideOperation> = all
        .map(|(service, (name, of))| WideOperation {
            service: service.clone(),
            name: name.clone(),
            spans: of.spans,
            median_ms: of.median_us as f64 / 1e3,
            slow_from_ms: of.slow_from_us as f64 / 1e3,
        })
        .collect();
    wide.sort_by_key(|of| std::cmp::Reverse(of.spans));
    wide.truncate(WIDE_TOLD);
    SpanNormals {
        untold: counts.untold,
        wide,
    }
}

/// Adds what was counted while rows were written.
pub(crate) fn counted(
    figures: &mut Figures,
    truth: &Truth,
    read: &Read,
    counts: &WriteCounts,
    input: &InputReport,
) {
    let rows = |signal: usize, counts: &crate::write::RowCounts| Rows {
        read: read.rows[signal],
        too_large: read.too_large[signal],
        written: counts.written,
        filtered: counts.filtered,
        foreign: counts.foreign,
    };
    figures.spans = rows(0, &counts.spans);
    figures.points = rows(1, &counts.points);
    figures.logs = rows(2, &counts.logs);
    figures.skipped_lines = input.skipped_lines;
    figures.torn_lines = input.torn_last_lines;
    figures.unread_parts = input.unread_parts;
    let owned = |(name, count): (&Cow<'static, str>, &u64)| (name.clone().into_owned(), *count);
    figures.spans_by_source = counts.spans_by_source.iter().map(owned).collect();
    figures.spans_by_phase = counts.spans_by_phase.iter().map(owned).collect();
    figures.spans_by_type = counts.spans.by_type.clone();
    figures.span_normals = Some(span_normals(counts));
    let left_out = counts.left_out.iter();
    figures.left_out = left_out.map(|(r, n)| (r.name().to_owned(), *n)).collect();
    for (stretch, steady) in &counts.steady {
        for &window in &truth.conditions.stretches()[*stretch].windows {
            figures.windows[window].steady_spans += steady;
        }
    }
    measure::foreign_points(figures, read.foreign_points);
}

pub(crate) fn label_counts(rules: &RowRules<'_>, counts: &WriteCounts) -> Vec<LabelCount> {
    let mut types: Vec<&String> = rules.classes.types().iter().collect();
    let by_type = [&counts.spans, &counts.points, &counts.logs].map(|c| &c.by_type);
    for kind in by_type.iter().flat_map(|of| of.keys()) {
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    let of = |index: usize, kind: &String| by_type[index].get(kind).copied().unwrap_or(0);
    let count = |kind: &String| LabelCount {
        anomaly_type: kind.clone(),
        spans: of(0, kind),
        data_points: of(1, kind),
        log_records: of(2, kind),
    };
    types.into_iter().map(count).collect()
}

/// Files in which there is something, but nothing that could be read, are the wrong files; so are
/// files that lack the signal that they were given for.
pub(crate) fn check_input(
    options: &ExtractOptions,
    inputs: &[PathBuf],
    messages: &[[u64; 3]],
    input: &InputReport,
    problems: &Problems,
) -> Result<(), ExtractError> {
    let first_problem = || problems.skipped.first().or(problems.torn.first());
    let read: u64 = messages.iter().flatten().sum();
    if let Some(first) = first_problem().filter(|_| read == 0) {
        return Err(ExtractError::Unreadable {
            files: input.files,
            first: first.clone(),
            at: line_and_column(&first.file, first.byte),
        });
    }
    if options.strict
        && let Some(first) = problems.skipped.first()
    {
        return Err(ExtractError::Strict {
            lines: input.skipped_lines + input.unread_parts,
            first: first.clone(),
            at: line_and_column(&first.file, first.byte),
        });
    }
    let signals = [
        ("traces", &options.traces),
        ("metrics", &options.metrics),
        ("logs", &options.logs),
    ];
    for (signal, (name, paths)) in signals.into_iter().enumerate() {
        let of =
            |(index, path): (usize, &PathBuf)| paths.contains(path).then_some(&messages[index]);
        let counts: Vec<_> = inputs.iter().enumerate().filter_map(of).collect();
        let here: u64 = counts.iter().map(|c| c[signal]).sum();
        let others: u64 = counts.iter().flat_map(|c| c.iter()).sum();
        if here == 0 && others > 0 {
            return Err(ExtractError::OtherSignal {
                signal: name,
                path: paths[0].clone(),
            });
        }
    }
    Ok(())
}

/// No file is moved in place unless there is a row for everything that was read.
pub(crate) fn check_rows(report: &ExtractReport) -> Result<(), ExtractError> {
    if report.reconciles() {
        return Ok(());
    }
    let figures = &report.figures;
    let signals = [&figures.spans, &figures.points, &figures.logs];
    Err(ExtractError::RowsMissing {
        records_read: signals.iter().map(|s| s.read).sum(),
        rows_written: signals.iter().map(|s| s.written).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_in_which_rows_are_missing_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut report = extract(&ExtractOptions {
            traces: vec!["tests/golden/traces-1.jsonl".into()],
            timeline: Some("tests/golden/timeline.jsonl".into()),
            output: dir.path().to_path_buf(),
            ..ExtractOptions::default()
        })
        .expect("extracted");
        assert!(check_rows(&report).is_ok());
        report.figures.logs.read += 1;
        let error = check_rows(&report).expect_err("a row is missing");
        assert!(matches!(error, ExtractError::RowsMissing { .. }), "{error}");
        assert!(!error.is_bad_input());
    }
}
