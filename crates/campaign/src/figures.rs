//! What a campaign came to: verdicts by fault, how often the evidence was wrong, the anomalous share,
//! time, bytes. Read from the dataset that was built of its runs, and its journal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

use crate::CampaignError;
use crate::journal::Ended;

/// A share with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How often.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// Lower end of the 95 % interval of Clopper and Pearson (1934), two-sided.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Share {
    /// `count` of `of`.
    pub fn new(count: u64, of: u64) -> Self {
        let quantile = |a: u64, b: u64, p: f64| {
            let beta = Beta::new(a as f64, b as f64).ok();
            beta.map(|beta| beta.inverse_cdf(p))
        };
        let low = match count {
            0 => 0.0,
            count => quantile(count, of - count + 1, 0.025).unwrap_or(0.0),
        };
        let high = match of - count {
            0 => 1.0,
            rest => quantile(count + 1, rest, 0.975).unwrap_or(1.0),
        };
        Self {
            count,
            of,
            low,
            high,
        }
    }

    fn text(&self) -> String {
        match self.of {
            0 => "–".to_owned(),
            of => format!(
                "{} of {of} ({:.0} to {:.0} %)",
                self.count,
                100.0 * self.low,
                100.0 * self.high
            ),
        }
    }
}

/// The windows of one anomaly type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfType {
    /// The type.
    pub anomaly_type: String,
    /// Windows whose fault was confirmed.
    pub windows: u64,
    /// Of these, those that the evidence supports.
    pub supported: Share,
    /// Of these, those whose evidence is weak.
    pub weak: u64,
    /// Of these, those in which the declared service shifted most, or as much as another.
    pub first: Share,
    /// Median time from injection to the first effect, s.
    pub median_onset_s: Option<f64>,
}

/// What a campaign came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CampaignFigures {
    /// Runs in the dataset.
    pub runs: u64,
    /// Runs whose dataset is not usable for another reason than single windows: they are not in the
    /// dataset of all. Episodes, time and bytes count them.
    pub left_out: u64,
    /// Tries that made no dataset.
    pub failed_tries: u64,
    /// Episodes of these runs, by their plans.
    pub episodes: u64,
    /// By anomaly type, in the order of their names.
    pub types: Vec<OfType>,
    /// Windows that inject nothing on purpose, and yet are supported.
    pub false_support: Share,
    /// Of these windows, those whose evidence is weak.
    pub weak_shams: u64,
    /// Windows of changes that do no harm, and yet are supported.
    pub false_support_of_harmless: Share,
    /// Anomalous ones among the windows of 5 s that a detector can be evaluated on.
    pub anomalous: Share,
    /// Time of all runs, s.
    pub seconds: f64,
    /// Time for an episode, s.
    pub seconds_per_episode: f64,
    /// Of this, what is spent on starting, warming up, and labelling, s.
    pub overhead_per_episode: f64,
    /// Episodes that a night of 12 hours makes, with one run at a time.
    pub episodes_per_night: f64,
    /// Bytes that runs take, for an episode.
    pub bytes_per_episode: f64,
}

/// A row of the index, as far as it is needed.
#[derive(Debug, Clone, Deserialize)]
struct Case {
    run_id: String,
    scenario: String,
    anomaly_type: String,
    fault_state: String,
    warm_up: bool,
    standing: String,
    verdict: Option<String>,
    onset_s: Option<f64>,
    root_cause_rank: Option<i64>,
}

impl Case {
    fn is(&self, verdict: &str) -> bool {
        self.verdict.as_deref() == Some(verdict)
    }
}

impl CampaignFigures {
    /// Reads the dataset that was built, of which so many runs were left out, and puts it beside the
    /// journal.
    ///
    /// # Errors
    /// A file of the dataset can't be read.
    pub fn read(dataset: &Path, left_out: u64, ended: &[Ended]) -> Result<Self, CampaignError> {
        let path = dataset.join("cases.csv");
        let mut reader = csv::Reader::from_path(&path).map_err(|e| malformed(&path, e))?;
        let cases: Vec<Case> = reader
            .deserialize()
            .collect::<Result<_, _>>()
            .map_err(|e| malformed(&path, e))?;
        let mut anomalous = (0, 0);
        for (run_id, file) in parts(&dataset.join("tables/windows_features_5s"))? {
            let warm_ups: BTreeSet<&str> = cases
                .iter()
                .filter(|case| case.run_id == run_id && case.warm_up)
                .map(|case| case.scenario.as_str())
                .collect();
            let of_run = evaluation_windows(&file, &warm_ups)?;
            anomalous = (anomalous.0 + of_run.0, anomalous.1 + of_run.1);
        }
        let share = Share::new(anomalous.0, anomalous.1);
        Ok(Self::of(&cases, share, left_out, ended))
    }

    fn of(cases: &[Case], anomalous: Share, left_out: u64, ended: &[Ended]) -> Self {
        let standing = |name: &str| -> Vec<&Case> {
            cases.iter().filter(|case| case.standing == name).collect()
        };
        let supported = |cases: &[&Case]| {
            let count = cases.iter().filter(|case| case.is("supported")).count();
            Share::new(count as u64, cases.len() as u64)
        };
        let mut by_type: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for case in cases {
            let is_real = !matches!(
                case.standing.as_str(),
                "sham" | "harmless" | "normal" | "warm_up"
            );
            if is_real && case.fault_state == "confirmed" {
                by_type.entry(&case.anomaly_type).or_default().push(case);
            }
        }
        let types = by_type.into_iter().map(|(anomaly_type, cases)| {
            let first = cases
                .iter()
                .filter(|case| case.root_cause_rank == Some(1))
                .count();
            let mut onsets: Vec<f64> = cases.iter().filter_map(|case| case.onset_s).collect();
            onsets.sort_by(f64::total_cmp);
            OfType {
                anomaly_type: anomaly_type.to_owned(),
                windows: cases.len() as u64,
                supported: supported(&cases),
                weak: cases.iter().filter(|case| case.is("weak")).count() as u64,
                first: Share::new(first as u64, cases.len() as u64),
                median_onset_s: onsets.get(onsets.len() / 2).copied(),
            }
        });
        let shams = standing("sham");
        let done: Vec<&Ended> = ended.iter().filter(|e| e.has_dataset).collect();
        let episodes: u64 = done.iter().map(|e| e.episodes).sum();
        let seconds: f64 = done.iter().map(|e| e.seconds).sum();
        let with_episodes = |e: &&&Ended| e.planned_seconds - e.warm_up_seconds;
        let useful: f64 = done.iter().map(|e| with_episodes(&e)).sum();
        let bytes: u64 = done.iter().map(|e| e.bytes).sum();
        let each = |sum: f64| sum / episodes.max(1) as f64;
        Self {
            runs: (done.len() as u64).saturating_sub(left_out),
            left_out,
            failed_tries: (ended.len() - done.len()) as u64,
            episodes,
            types: types.collect(),
            false_support: supported(&shams),
            weak_shams: shams.iter().filter(|case| case.is("weak")).count() as u64,
            false_support_of_harmless: supported(&standing("harmless")),
            anomalous,
            seconds,
            seconds_per_episode: each(seconds),
            overhead_per_episode: each(seconds - useful),
            episodes_per_night: 12.0 * 3600.0 / each(seconds).max(f64::MIN_POSITIVE),
            bytes_per_episode: each(bytes as f64),
        }
    }

    /// The figures as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "| anomaly type | windows | supported | weak | declared service first or tied | onset, s |\n\
             |---|---|---|---|---|---|\n",
        );
        for of in &self.types {
            let onset = of
                .median_onset_s
                .map_or("–".to_owned(), |s| format!("{s:.2}"));
            // A String takes whatever is written to it.
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {onset} |",
                of.anomaly_type,
                of.windows,
                of.supported.text(),
                of.weak,
                of.first.text()
            );
        }
        let share = |share: &Share| match share.of {
            0 => 0.0,
            of => 100.0 * share.count as f64 / of as f64,
        };
        let _ = write!(
            out,
            "\n- Shams that are supported: {}; weak: {}.\n\
             - Harmless changes that are supported: {}.\n\
             - Anomalous share of the windows of 5 s that can be evaluated: {:.1} % ({} of {}).\n\
             - {} runs in the dataset, {} left out because they are not usable; {} episodes in all of \
             them; {} tries without a dataset.\n\
             - {:.1} hours; {:.1} s an episode, of which {:.1} s are spent on starting, warming up and \
             labelling. A night of 12 hours makes {:.0} episodes.\n\
             - {:.1} MB an episode.\n",
            self.false_support.text(),
            self.weak_shams,
            self.false_support_of_harmless.text(),
            share(&self.anomalous),
            self.anomalous.count,
            self.anomalous.of,
            self.runs,
            self.left_out,
            self.episodes,
            self.failed_tries,
            self.seconds / 3600.0,
            self.seconds_per_episode,
            self.overhead_per_episode,
            self.episodes_per_night,
            self.bytes_per_episode / 1e6,
        );
        out
    }
}

/// The parts of a table: the id of the run, and the file.
fn parts(table: &Path) -> Result<Vec<(String, PathBuf)>, CampaignError> {
    let entries = fs::read_dir(table).map_err(CampaignError::io(table))?;
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry.map_err(CampaignError::io(table))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(run_id) = name.strip_prefix("run_id=") {
            parts.push((run_id.to_owned(), entry.path().join("part.parquet")));
        }
    }
    Ok(parts)
}

/// Windows of 5 s that a detector can be evaluated on, in the rows of every service: those that are
/// anomalous, and all.
fn evaluation_windows(file: &Path, warm_ups: &BTreeSet<&str>) -> Result<(u64, u64), CampaignError> {
    const COLUMNS: [&str; 4] = ["start_time_ns", "anomaly_label", "phase", "scenario"];
    let open = File::open(file).map_err(CampaignError::io(file))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(open).map_err(|e| malformed(file, e))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    let reader = builder
        .with_projection(mask)
        .build()
        .map_err(|e| malformed(file, e))?;
    // Whether it is anomalous, by its start.
    let mut windows: BTreeMap<i64, bool> = BTreeMap::new();
    for batch in reader {
        let batch = batch.map_err(|e| malformed(file, e))?;
        let starts = batch
            .column_by_name("start_time_ns")
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| malformed(file, "it has no start_time_ns"))?;
        for row in 0..batch.num_rows() {
            let label = cell(&batch, "anomaly_label", row);
            let in_warm_up = cell(&batch, "scenario", row)
                .is_some_and(|scenario| scenario.split('+').any(|name| warm_ups.contains(name)));
            let is_settled = cell(&batch, "phase", row) == Some("steady") && !in_warm_up;
            if is_settled && matches!(label, Some("normal" | "anomalous")) {
                windows.insert(starts.value(row), label == Some("anomalous"));
            }
        }
    }
    let anomalous = windows
        .values()
        .filter(|is_anomalous| **is_anomalous)
        .count();
    Ok((anomalous as u64, windows.len() as u64))
}

fn cell<'b>(batch: &'b RecordBatch, column: &str, row: usize) -> Option<&'b str> {
    let column = batch.column_by_name(column)?.as_string_opt::<i32>()?;
    (!column.is_null(row)).then(|| column.value(row))
}

fn malformed(path: &Path, reason: impl ToString) -> CampaignError {
    CampaignError::Malformed {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Clopper and Pearson's, as R's binom.test gives them.
        let share = Share::new(2, 50);
        assert!(
            near(share.low, 0.0049) && near(share.high, 0.1371),
            "{share:?}"
        );
        let none = Share::new(0, 50);
        assert!(none.low == 0.0 && near(none.high, 0.0711), "{none:?}");
        let all = Share::new(50, 50);
        assert!(near(all.low, 0.9289) && all.high == 1.0, "{all:?}");
        let nothing = Share::new(0, 0);
        assert_eq!((nothing.low, nothing.high), (0.0, 1.0));
        assert_eq!(nothing.text(), "–");
    }

    fn case(standing: &str, verdict: &str) -> Case {
        Case {
            run_id: "r".into(),
            scenario: "s".into(),
            anomaly_type: "latency_spike".into(),
            fault_state: "confirmed".into(),
            warm_up: false,
            standing: standing.into(),
            verdict: Some(verdict.into()),
            onset_s: Some(0.5),
            root_cause_rank: Some(1),
        }
    }

    #[test]
    fn shams_and_harmless_changes_are_apart_from_what_is_injected() {
        let mut cases = vec![
            case("backed", "supported"),
            case("backed", "weak"),
            case("unsupported", "not_supported"),
            case("sham", "supported"),
            case("sham", "not_supported"),
            case("harmless", "not_supported"),
            case("normal", "clean"),
        ];
        cases[2].root_cause_rank = Some(3);
        for case in &mut cases[3..] {
            case.anomaly_type = "none".into();
        }
        let ended = |has_dataset| Ended {
            run: 0,
            seed: 1,
            folder: "runs/0000".into(),
            began: String::new(),
            seconds: 130.0,
            planned_seconds: 120.0,
            warm_up_seconds: 20.0,
            episodes: 5,
            exit_code: Some(0),
            has_dataset,
            bytes: 5_000_000,
            reason: None,
        };
        let share = Share::new(20, 100);
        let figures = CampaignFigures::of(&cases, share, 0, &[ended(false), ended(true)]);
        let of = &figures.types[0];
        assert_eq!((figures.types.len(), of.windows, of.weak), (1, 3, 1));
        assert_eq!((of.supported.count, of.first.count), (1, 2));
        assert_eq!(
            (figures.false_support.count, figures.false_support.of),
            (1, 2)
        );
        assert_eq!(figures.false_support_of_harmless.of, 1);
        assert_eq!(
            (figures.runs, figures.failed_tries, figures.episodes),
            (1, 1, 5)
        );
        assert_eq!(figures.overhead_per_episode, 6.0);
        assert!(near(figures.episodes_per_night, 43_200.0 / 26.0));
        let text = figures.markdown();
        assert!(
            text.contains("| latency_spike | 3 | 1 of 3 (1 to 91 %) | 1 | 2 of 3"),
            "{text}"
        );
        assert!(text.contains("20.0 % (20 of 100)"), "{text}");
        assert!(
            text.contains("- 1 runs in the dataset, 0 left out"),
            "{text}"
        );
    }
}
