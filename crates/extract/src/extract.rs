//! An extraction from its options to its report.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use chrono::{DateTime, Utc};
use loadgen_timeline::{Timeline, read_timeline};

use crate::dataset::staging::Staging;
use crate::error::ExtractError;
use crate::join::label::Labels;
use crate::report::{ExtractReport, LabelCount};
use crate::signal::{Extraction, Outcome, logs, metrics, traces};
use crate::telemetry::input::Input;

/// What to extract.
#[derive(Debug, Clone, Default)]
pub struct ExtractOptions {
    /// Files of traces: OTLP/JSON, one message a line.
    pub traces: Vec<PathBuf>,
    /// Files of metrics: OTLP/JSON, one message a line.
    pub metrics: Vec<PathBuf>,
    /// Files of logs: OTLP/JSON, one message a line.
    pub logs: Vec<PathBuf>,
    /// The run's `timeline.jsonl`.
    pub timeline: PathBuf,
    /// Folder for the dataset; made if it does not exist.
    pub output: PathBuf,
    /// Time in the names of the files; none: now.
    pub stamp: Option<DateTime<Utc>>,
}

/// Labels telemetry by the timeline and writes the dataset.
///
/// Lines that can't be read are skipped and named in the report; where not one line of a signal
/// can be read it is the wrong file, and an error. Metrics and logs may come from a pipe, traces
/// are read twice. On an error nothing is left in the output folder.
///
/// # Errors
///
/// [`ExtractError`]: no input, an input or a timeline that can't be read, an output folder that
/// can't be written, a dataset of the same stamp that is there already.
pub fn extract(options: &ExtractOptions) -> Result<ExtractReport, ExtractError> {
    let began = Instant::now();
    if options.traces.is_empty() && options.metrics.is_empty() && options.logs.is_empty() {
        return Err(ExtractError::NoInput);
    }
    let timeline = read_timeline(&options.timeline)?;
    let timeline_lines_skipped = timeline.skipped.len() as u64;
    let timeline_finished = timeline.finished.is_some();
    let fault_failures = fault_failures(&timeline);
    // All inputs are opened first: a wrong name should be told before the work, not after it.
    let trace_inputs = open(&options.traces, Input::open_for_two_passes)?;
    let metric_inputs = open(&options.metrics, Input::open)?;
    let log_inputs = open(&options.logs, Input::open)?;

    let output = |source: io::Error| ExtractError::Write {
        path: options.output.clone(),
        source,
    };
    let mut extraction = Extraction {
        labels: Labels::new(timeline),
        workers: thread::available_parallelism().map_or(1, NonZero::get),
        stamp: options
            .stamp
            .unwrap_or_else(Utc::now)
            .format("%Y%m%d_%H%M%S")
            .to_string(),
        output: options.output.clone(),
        staging: Staging::new(&options.output).map_err(output)?,
        files: Vec::new(),
        skipped: Vec::new(),
        torn: Vec::new(),
    };
    let (traces, starts) = traces::extract(&mut extraction, &trace_inputs)?;
    let metrics = metrics::extract(&mut extraction, &metric_inputs)?;
    let logs = logs::extract(&mut extraction, &log_inputs, &starts)?;

    let Extraction {
        labels,
        stamp,
        staging,
        files,
        skipped,
        torn,
        ..
    } = extraction;
    let report = ExtractReport {
        stamp,
        output: options.output.clone(),
        files,
        distinct_traces: starts.len() as u64,
        labels: label_counts(&labels, &traces, &metrics, &logs),
        unknown_spans: traces.counts.of_type(0),
        ambiguous_spans: traces.counts.ambiguous,
        traces: traces.report,
        metrics: metrics.report,
        logs: logs.report,
        skipped,
        torn,
        timeline_lines_skipped,
        timeline_finished,
        fault_failures,
        seconds: began.elapsed().as_secs_f64(),
    };
    check_rows(&report)?;
    staging.commit().map_err(output)?;
    Ok(report)
}

/// No file is moved in place unless there is a row for everything that was read.
fn check_rows(report: &ExtractReport) -> Result<(), ExtractError> {
    if report.reconciles() {
        return Ok(());
    }
    let signals = [&report.traces, &report.metrics, &report.logs];
    Err(ExtractError::RowsMissing {
        records_read: signals.iter().map(|s| s.records_read).sum(),
        rows_written: signals.iter().map(|s| s.rows_written).sum(),
    })
}

fn open(
    paths: &[PathBuf],
    open: fn(&Path) -> io::Result<Input>,
) -> Result<Vec<Input>, ExtractError> {
    let open = |path: &PathBuf| open(path).map_err(|source| read_error(path, source));
    paths.iter().map(open).collect()
}

fn read_error(path: &Path, source: io::Error) -> ExtractError {
    ExtractError::Read {
        path: path.to_path_buf(),
        source,
    }
}

fn label_counts(
    labels: &Labels,
    traces: &Outcome,
    metrics: &Outcome,
    logs: &Outcome,
) -> Vec<LabelCount> {
    let count = |(kind, anomaly_type): (usize, &std::sync::Arc<str>)| LabelCount {
        anomaly_type: anomaly_type.to_string(),
        spans: traces.counts.of_type(kind),
        data_points: metrics.counts.of_type(kind),
        log_records: logs.counts.of_type(kind),
    };
    labels.types().iter().enumerate().map(count).collect()
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
            timeline: "tests/golden/timeline.jsonl".into(),
            output: dir.path().to_path_buf(),
            ..ExtractOptions::default()
        })
        .expect("extracted");
        assert!(check_rows(&report).is_ok());
        report.logs.records_read += 1;
        let error = check_rows(&report).expect_err("a row is missing");
        assert!(matches!(error, ExtractError::RowsMissing { .. }), "{error}");
        assert!(!error.is_bad_input());
    }
}
