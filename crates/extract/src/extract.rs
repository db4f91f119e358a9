//! An extraction from its options to its report.

use std::collections::HashSet;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use chrono::{DateTime, Utc};
use loadgen_timeline::{LedgerError, LedgerReader, Timeline, read_timeline};

use crate::audit::{AUDIT_SCHEMA_VERSION, AuditFile, audit, leaks};
use crate::dataset::csv_row::CsvRows;
use crate::dataset::span_row::Columns;
use crate::dataset::staging::{StagedFile, Staging};
use crate::dataset::{trace_table, window_table};
use crate::error::ExtractError;
use crate::figures::{Figures, LedgerFigures, Rows, RunFigures, TimelineFigures};
use crate::join::label::{Labels, NONE};
use crate::report::{ExtractReport, LabelCount, WrittenFile};
use crate::signal::first::FirstPass;
use crate::signal::judge::{Judge, Verdicts};
use crate::signal::second::{RowRules, Written};
use crate::signal::tally::Tally;
use crate::signal::{Counts, Extraction, Lines, first, second};
use crate::spool::heads::{Heads, RequestHead};
use crate::spool::{Spool, partitions};
use crate::telemetry::forms;
use crate::telemetry::input::Input;

/// What to extract.
#[derive(Debug, Clone, Default)]
pub struct ExtractOptions {
    /// Files of any signals, also mixed, in any form that `docs/dataset-format.md` names; folders;
    /// patterns; `-` for standard input.
    pub inputs: Vec<PathBuf>,
    /// Files that hold traces; that none of them does is an error.
    pub traces: Vec<PathBuf>,
    /// Files that hold metrics; that none of them does is an error.
    pub metrics: Vec<PathBuf>,
    /// Files that hold logs; that none of them does is an error.
    pub logs: Vec<PathBuf>,
    /// The run's `timeline.jsonl`. Without one only headers can give a label, and the audit says
    /// that the dataset is not usable.
    pub timeline: Option<PathBuf>,
    /// The run's `ledger.arrows`; none: the one beside the timeline, if there is one.
    pub ledger: Option<PathBuf>,
    /// Folder for the dataset; made if it does not exist.
    pub output: PathBuf,
    /// Time in the names of the files; none: now.
    pub stamp: Option<DateTime<Utc>>,
    /// Look windows up by times that are corrected by the offset of each service's clock. Rows keep
    /// the times as they came.
    pub correct_skew: bool,
    /// Write only rows whose phase is `steady`.
    pub steady_only: bool,
    /// A line that can't be read is an error.
    pub strict: bool,
    /// Leave columns that give the label away out of the files of traces.
    pub drop_leaks: bool,
}

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
    let inputs = open(named.into_iter().flatten(), &scratch(&options.output))?;
    let timeline = options.timeline.as_deref().map(read_timeline).transpose()?;
    let run = timeline.as_ref().and_then(|timeline| timeline.run.as_ref());
    let ledger = open_ledger(options, run.map(|run| run.run_id.as_str()))?;

    let write_error = |source: io::Error| ExtractError::Write {
        path: options.output.clone(),
        source,
    };
    let mut extraction = Extraction {
        workers: thread::available_parallelism().map_or(1, NonZero::get),
        stamp: options
            .stamp
            .unwrap_or_else(Utc::now)
            .format("%Y%m%d_%H%M%S")
            .to_string(),
        output: options.output.clone(),
        staging: Staging::new(&options.output).map_err(write_error)?,
    };
    let bytes = inputs.iter().map(Input::len_hint).sum();
    let mut heads = Heads::new(extraction.staging.folder(), bytes).map_err(write_error)?;
    let (scenarios, torn) = match ledger {
        Some(ledger) => note_ledger(ledger, &mut heads).map_err(write_error)?,
        None => (None, false),
    };
    let first = first::pass(&inputs, extraction.workers, heads)
        .map_err(|error| extraction.pipeline_error(&inputs, error))?;

    let mut labels = Labels::new(timeline.clone().unwrap_or_default());
    let mut tally = Tally::new(&labels, &first.sample);
    let mut table = create(&mut extraction, "trace_labels", &trace_table::COLUMNS)?;
    let names = scenarios.clone().unwrap_or_default();
    let mut judge = Judge::new(&first, &mut labels, &names, options.correct_skew);
    let fresh = fresh_verdicts(&extraction, bytes).map_err(write_error)?;
    let verdicts = judge
        .judge(fresh, &mut tally, &mut table)
        .map_err(write_error)?;
    let phases = judge.phases;
    tally.finish(&first);
    let leaks = find_leaks(&first, &tally);
    let columns = if options.drop_leaks {
        let leaking: Vec<String> = leaks.iter().map(|leak| leak.column.clone()).collect();
        Columns::without(&leaking)
    } else {
        Columns::default()
    };

    let rules = RowRules {
        labels: &labels,
        phases: &phases,
        columns: &columns,
        steady_only: options.steady_only,
    };
    let mut lines = Lines::new(&inputs);
    let written = second::pass(&mut extraction, &inputs, &rules, &verdicts, &mut lines)
        .map_err(|error| extraction.pipeline_error(&inputs, error))?;
    check_input(options, &inputs, &lines)?;

    let mut figures = tally.figures;
    figures.leaks = leaks;
    figures.dropped_columns = columns.dropped().iter().map(|c| c.to_string()).collect();
    figures.skew_corrected = options.correct_skew;
    if scenarios.is_some() {
        figures.ledger.get_or_insert(LedgerFigures::default()).torn = torn;
    }
    complete(&mut figures, timeline.as_ref(), &written, &lines);
    recoveries(&mut figures, &labels.timeline, &tally.recoveries);

    let mut files = written.files;
    files.push(table);
    let windows = write_windows(&mut extraction, &labels, &figures)?;
    files.push(windows);
    let audit = audit(&figures);
    let audit_file = AuditFile {
        schema_version: AUDIT_SCHEMA_VERSION,
        stamp: extraction.stamp.clone(),
        loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
        audit: audit.clone(),
        figures: figures.clone(),
        skipped: lines.skipped.clone(),
    };
    files.push(write_audit(&mut extraction, &audit_file)?);
    for file in &mut files {
        io::Write::flush(file).map_err(write_error)?;
    }
    let report = ExtractReport {
        stamp: extraction.stamp,
        output: options.output.clone(),
        files: files
            .into_iter()
            .map(|file| WrittenFile {
                path: file.path,
                rows: file.rows,
                bytes: file.bytes,
            })
            .collect(),
        input: lines.report,
        labels: label_counts(&labels, &written.spans, &written.points, &written.logs),
        figures,
        audit,
        skipped: lines.skipped,
        torn: lines.torn,
        seconds: began.elapsed().as_secs_f64(),
    };
    check_rows(&report)?;
    extraction.staging.commit().map_err(write_error)?;
    Ok(report)
}

fn fresh_verdicts(extraction: &Extraction, bytes: u64) -> io::Result<Verdicts> {
    let folder = extraction.staging.folder();
    let partitions = partitions(bytes);
    Ok(Verdicts {
        spans: Spool::new(folder, partitions)?,
        logs: Spool::new(folder, partitions)?,
        points: Spool::new(folder, partitions)?,
    })
}

fn create(
    extraction: &mut Extraction,
    name: &str,
    columns: &[&str],
) -> Result<StagedFile, ExtractError> {
    let name = format!("{name}_{}.csv", extraction.stamp);
    let created = extraction.staging.create_csv(&name, columns);
    created.map_err(|source| extraction.write_error(source))
}

/// The ledger that is named, or that stands beside the timeline.
fn open_ledger(
    options: &ExtractOptions,
    run_id: Option<&str>,
) -> Result<Option<LedgerReader>, ExtractError> {
    let beside = || Some(options.timeline.as_ref()?.with_file_name("ledger.arrows"));
    let path = match &options.ledger {
        Some(path) => path.clone(),
        None => match beside().filter(|path| path.exists()) {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    match LedgerReader::open(&path, run_id) {
        Ok(ledger) => Ok(Some(ledger)),
        // A run that was killed before its first request leaves an empty one.
        Err(LedgerError::Empty { .. }) if options.ledger.is_none() => Ok(None),
        Err(LedgerError::Read { source, .. }) => Err(read_error(&path, source)),
        Err(error) => Err(read_error(&path, io::Error::other(error))),
    }
}

/// Notes the requests of a ledger. Gives the names of its scenarios and whether it is torn.
fn note_ledger(
    mut ledger: LedgerReader,
    heads: &mut Heads,
) -> io::Result<(Option<Vec<String>>, bool)> {
    while let Some(batch) = ledger.next_batch()? {
        for request in batch.rows() {
            let id = u128::from_be_bytes(request.trace_id);
            heads.request(RequestHead {
                trace: [(id >> 64) as u64, id as u64],
                span: u64::from_be_bytes(request.span_id),
                sent: request.sent_ns,
                finished: request.finished_ns,
                scenario: u32::from(request.scenario_index),
                sent_out: u32::from(request.was_sent()),
            })?;
        }
    }
    Ok((Some(ledger.scenarios().to_vec()), ledger.report().torn))
}

fn find_leaks(first: &FirstPass, tally: &Tally) -> Vec<crate::figures::Leak> {
    let known = first.sample.iter().filter_map(|span| {
        let kind = tally.type_of(span.key)?;
        Some((&span.features[..], kind))
    });
    leaks::find(known)
}

/// Files in which there is something, but nothing that could be read, are the wrong files; so are
/// files that lack the signal that they were given for.
fn check_input(
    options: &ExtractOptions,
    inputs: &[Input],
    lines: &Lines<'_>,
) -> Result<(), ExtractError> {
    let first_problem = || lines.skipped.first().or(lines.torn.first());
    let read: u64 = lines.messages.iter().flatten().sum();
    if let Some(first) = first_problem().filter(|_| read == 0) {
        return Err(ExtractError::Unreadable {
            files: lines.report.files,
            first: first.clone(),
        });
    }
    if options.strict
        && let Some(first) = lines.skipped.first()
    {
        return Err(ExtractError::Strict {
            lines: lines.report.skipped_lines,
            first: first.clone(),
        });
    }
    let signals = [
        ("traces", &options.traces),
        ("metrics", &options.metrics),
        ("logs", &options.logs),
    ];
    for (signal, (name, paths)) in signals.into_iter().enumerate() {
        let of = |(index, input): (usize, &Input)| {
            paths
                .contains(&input.path)
                .then_some(&lines.messages[index])
        };
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

fn complete(
    figures: &mut Figures,
    timeline: Option<&Timeline>,
    written: &Written,
    lines: &Lines<'_>,
) {
    let rows = |counts: &Counts| Rows {
        read: counts.read,
        written: counts.written,
        filtered: counts.read - counts.written,
    };
    figures.spans = rows(&written.spans);
    figures.points = rows(&written.points);
    figures.logs = rows(&written.logs);
    figures.skipped_lines = lines.report.skipped_lines;
    figures.torn_lines = lines.report.torn_last_lines;
    let Some(timeline) = timeline else {
        return;
    };
    figures.run = timeline.run.as_ref().map(|run| RunFigures {
        run_id: run.run_id.clone(),
        scenario_file: run.scenario_file.clone(),
        seed: run.seed,
        time_scale: run.time_scale,
    });
    figures.timeline = Some(TimelineFigures {
        finished: timeline.finished.is_some(),
        status: timeline.finished.as_ref().map(|end| end.status),
        skipped_lines: timeline.skipped.len() as u64,
        fault_failures: fault_failures(timeline),
        without_fault: without_fault(timeline),
    });
    let of_windows = timeline
        .windows
        .iter()
        .filter_map(|w| w.anomaly.root_cause_service.clone());
    let of_faults = timeline.faults.iter().map(|f| f.injected.service.clone());
    let mut expected: Vec<String> = of_windows
        .chain(of_faults)
        .filter(|s| !s.is_empty())
        .collect();
    expected.sort();
    expected.dedup();
    figures.expected_services = expected;
}

/// Says of each window when the system was back at its baseline after its fault.
fn recoveries(figures: &mut Figures, timeline: &Timeline, found: &[(i64, i64)]) {
    if !figures.recovery_known {
        return;
    }
    for (window, of) in timeline.windows.iter().zip(&mut figures.windows) {
        let own = timeline
            .faults
            .iter()
            .rev()
            .find(|f| f.injected.scenario == window.scenario);
        let Some(cleared) = own.and_then(|f| f.cleared.as_ref()) else {
            continue;
        };
        let recovery = found.iter().find(|(from, _)| *from == cleared.at_ns);
        of.recovered_ns = Some(recovery.map_or(cleared.at_ns, |(_, to)| *to));
    }
}

fn write_windows(
    extraction: &mut Extraction,
    labels: &Labels,
    figures: &Figures,
) -> Result<StagedFile, ExtractError> {
    let mut file = create(extraction, "windows", &window_table::COLUMNS)?;
    let mut rows = CsvRows::new();
    for (index, of) in figures.windows.iter().enumerate() {
        let label = labels.get(labels.position_of(index));
        window_table::write_csv(&mut rows, &labels.timeline, index, label, of);
    }
    let write_error = |source| extraction.write_error(source);
    let (bytes, count) = rows.into_counted_bytes().map_err(write_error)?;
    file.append(&bytes, count).map_err(write_error)?;
    Ok(file)
}

fn write_audit(extraction: &mut Extraction, audit: &AuditFile) -> Result<StagedFile, ExtractError> {
    let name = format!("audit_{}.json", extraction.stamp);
    let write = |staging: &mut Staging| {
        let mut file = staging.create(name)?;
        serde_json::to_writer_pretty(&mut file, audit)?;
        io::Write::write_all(&mut file, b"\n")?;
        Ok(file)
    };
    write(&mut extraction.staging).map_err(|source| extraction.write_error(source))
}

/// No file is moved in place unless there is a row for everything that was read.
fn check_rows(report: &ExtractReport) -> Result<(), ExtractError> {
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

/// The folder nearest to the output that exists already: an error should leave nothing behind.
fn scratch(output: &Path) -> PathBuf {
    let exists = |folder: &&Path| folder.is_dir();
    let nearest = output.ancestors().find(exists);
    nearest.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn open<'p>(
    paths: impl Iterator<Item = &'p PathBuf>,
    scratch: &Path,
) -> Result<Vec<Input>, ExtractError> {
    let mut inputs = Vec::new();
    let mut seen = HashSet::new();
    for path in paths {
        let error = |source| read_error(path, source);
        for file in forms::paths::expand(path).map_err(error)? {
            let error = |source| read_error(&file, source);
            // A file that is given twice, as patterns do, would double its rows without a word.
            if let Ok(real) = file.canonicalize()
                && real.is_file()
                && !seen.insert(real)
            {
                return Err(ExtractError::GivenTwice { path: file });
            }
            inputs.push(Input::open(&file, scratch).map_err(error)?);
        }
    }
    if inputs.is_empty() {
        return Err(ExtractError::NoInput);
    }
    Ok(inputs)
}

fn read_error(path: &Path, source: io::Error) -> ExtractError {
    ExtractError::Read {
        path: path.to_path_buf(),
        source,
    }
}

fn label_counts(
    labels: &Labels,
    spans: &Counts,
    points: &Counts,
    logs: &Counts,
) -> Vec<LabelCount> {
    let count = |(kind, anomaly_type): (usize, &std::sync::Arc<str>)| LabelCount {
        anomaly_type: anomaly_type.to_string(),
        spans: spans.of_type(kind),
        data_points: points.of_type(kind),
        log_records: logs.of_type(kind),
    };
    labels.types().iter().enumerate().map(count).collect()
}

/// Scenarios that are labelled with an anomaly which nothing on the timeline backs.
fn without_fault(timeline: &Timeline) -> Vec<String> {
    let has_fault = |scenario: &str| {
        timeline
            .faults
            .iter()
            .any(|fault| fault.injected.scenario == scenario)
    };
    let windows = timeline.windows.iter();
    windows
        .filter(|window| window.anomaly.kind != NONE && !has_fault(&window.scenario))
        .map(|window| window.scenario.clone())
        .collect()
}

fn fault_failures(timeline: &Timeline) -> Vec<String> {
    let failures = timeline.fault_failures.iter();
    failures
        .map(|f| {
            format!(
                "{}: can't {} {}: {}",
                f.scenario, f.change, f.fault, f.reason
            )
        })
        .collect()
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
