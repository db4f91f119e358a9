//! What card and Croissant say of the dataset as a whole.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat};

use crate::splits::Dealt;
use crate::tables::{Run, Tables};
use crate::verdict::DatasetStanding;
use crate::windows::{Standing, Window};

/// What only people know of a dataset. All of it is told as it is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its title.
    pub title: Option<String>,
    /// The licence that it is passed on under, best an id of SPDX.
    pub licence: Option<String>,
    /// Who made it.
    pub authors: Vec<String>,
    /// Where it is published.
    pub url: Option<String>,
    /// What the target ran on.
    pub hardware: Option<String>,
}

/// The dataset, as far as it is told.
pub(crate) struct Facts<'d> {
    pub(crate) about: &'d About,
    pub(crate) runs: &'d [Run],
    pub(crate) left_out: &'d [String],
    pub(crate) tables: &'d Tables,
    pub(crate) dealt: &'d Dealt,
    pub(crate) standing: &'d DatasetStanding,
    pub(crate) notes: &'d [String],
    /// SHA-256 over the checksums of tables, index and files of runs.
    pub(crate) fingerprint: String,
}

/// Windows of one fault.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultFacts {
    pub(crate) windows: u64,
    pub(crate) drivers: BTreeSet<String>,
    /// The least and the most.
    pub(crate) intensities: Option<(f64, f64)>,
    pub(crate) by_standing: BTreeMap<Standing, u64>,
    /// By verdict of the evidence.
    pub(crate) by_verdict: BTreeMap<String, u64>,
}

impl Facts<'_> {
    /// Its title, as given, or made of the scenario files.
    pub(crate) fn title(&self) -> String {
        if let Some(title) = &self.about.title {
            return title.clone();
        }
        let names = self
            .runs
            .iter()
            .map(|run| run.input.facts.scenario_file.as_str());
        let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
        let names: Vec<&str> = names.into_iter().take(4).collect();
        format!("Labelled anomalies of microservices: {}", names.join(", "))
    }

    /// One sentence, with figures.
    pub(crate) fn summary(&self) -> String {
        let rows = |table: &str| self.tables.tables.get(table).map_or(0, |of| of.rows);
        let windows: usize = self.runs.iter().map(|run| run.windows.len()).sum();
        format!(
            "{} of microservices under load with {} and {}: {} spans, {} data points of metrics and {} \
             log records, each labelled with what was wrong with the system at its moment, and each \
             anomaly with what the measurements say of it.",
            count(self.runs.len(), "run"),
            count(self.episodes(), "episode"),
            count(windows, "window"),
            rows("traces_labeled"),
            rows("metrics_labeled"),
            rows("logs_labeled"),
        )
    }

    /// Episodes of all runs.
    pub(crate) fn episodes(&self) -> usize {
        self.runs.iter().map(|run| run.episodes.len()).sum()
    }

    /// The day on which the last run began (UTC).
    pub(crate) fn last_day(&self) -> String {
        let last = self.runs.iter().map(|run| run.input.facts.began_ns).max();
        day(last.unwrap_or_default())
    }

    /// A BibTeX entry.
    pub(crate) fn citation(&self) -> String {
        let author = match self.about.authors.is_empty() {
            true => String::new(),
            false => format!("  author = {{{}}},\n", self.about.authors.join(" and ")),
        };
        let url = match &self.about.url {
            Some(url) => format!("  url = {{{url}}},\n"),
            None => String::new(),
        };
        let last_day = self.last_day();
        format!(
            "@misc{{loadgen-{},\n  title = {{{}}},\n{author}{url}  year = {{{}}},\n  note = {{Made with \
             loadgen {}; SHA-256 {}}}\n}}",
            &self.fingerprint[..8],
            self.title().replace(['{', '}', '\\'], ""),
            &last_day[..4],
            self.versions().join(", "),
            self.fingerprint
        )
    }

    /// Versions of loadgen that ran and labelled the runs.
    pub(crate) fn versions(&self) -> Vec<&str> {
        let facts = self.runs.iter().map(|run| &run.input.facts);
        let all: BTreeSet<&str> = facts
            .flat_map(|of| {
                let run = of.started.as_ref().map(|run| run.loadgen_version.as_str());
                run.into_iter().chain([of.extracted_by.as_str()])
            })
            .collect();
        all.into_iter().collect()
    }

    /// By anomaly type, service and fault.
    pub(crate) fn faults(&self) -> BTreeMap<[&str; 3], FaultFacts> {
        let mut faults: BTreeMap<[&str; 3], FaultFacts> = BTreeMap::new();
        for run in self.runs {
            for window in run.windows.iter().filter(|window| window.time.declares) {
                let kind = window.sham_of.as_deref().unwrap_or(&window.anomaly_type);
                let service = window.service.as_deref().unwrap_or("-");
                let fault = window.fault.as_deref().unwrap_or("-");
                let of = faults.entry([kind, service, fault]).or_default();
                of.windows += 1;
                let standing = window.standing(self.standing.weak_below);
                *of.by_standing.entry(standing).or_default() += 1;
                let verdict = window
                    .verdict
                    .clone()
                    .unwrap_or_else(|| "not evaluated".to_owned());
                *of.by_verdict.entry(verdict).or_default() += 1;
                of.drivers.extend(driver(run, window));
                if let Some(intensity) = window.intensity {
                    let (least, most) = of.intensities.unwrap_or((intensity, intensity));
                    of.intensities = Some((least.min(intensity), most.max(intensity)));
                }
            }
        }
        faults
    }

    /// Spans by anomaly type, of all runs.
    pub(crate) fn spans_by_type(&self) -> BTreeMap<&str, u64> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for run in self.runs {
            for (kind, spans) in &run.input.facts.spans_by_type {
                *sums.entry(kind).or_default() += spans;
            }
        }
        sums
    }

    /// Runs in which each check of the audit found something.
    pub(crate) fn findings(&self) -> BTreeMap<&str, u64> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (check, _, _) in self.runs.iter().flat_map(|run| &run.input.facts.findings) {
            *sums.entry(check).or_default() += 1;
        }
        sums
    }
}

fn driver(run: &Run, window: &Window) -> Option<String> {
    let fault = crate::cases::fault_of(run, window)?;
    let injected = &fault.injected;
    Some(match injected.driver_version.as_str() {
        "" => injected.driver.clone(),
        version => format!("{} ({version})", injected.driver),
    })
}

/// The day of a moment in Unix nanoseconds (UTC).
pub(crate) fn day(ns: i64) -> String {
    let moment = DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Secs, true);
    moment[..10].to_owned()
}

/// A number with its noun.
pub(crate) fn count(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}
