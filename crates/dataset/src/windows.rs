//! The windows of a run, and how each counts.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use crate::cells::{double, int, text, texts};
use crate::episodes::{EpisodeWindow, Episodes};
use crate::error::BuildError;
use crate::input::Input;
use crate::read;
use crate::schema::Placed;
use crate::splits::{EpisodeFacts, RunSplits};

/// Verdicts that back a label: rows of such windows are in the files of classes.
pub(crate) const BACKING: [&str; 3] = ["supported", "weak", "clean"];

/// A window of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub(crate) time: EpisodeWindow,
    pub(crate) anomaly_type: String,
    pub(crate) sham_of: Option<String>,
    pub(crate) warm_up: bool,
    pub(crate) fault: Option<String>,
    pub(crate) service: Option<String>,
    /// The service that the label names.
    pub(crate) root_cause_service: Option<String>,
    pub(crate) intensity: Option<f64>,
    /// When its injection was confirmed, Unix nanoseconds.
    pub(crate) injected_ns: Option<i64>,
    pub(crate) fault_state: String,
    pub(crate) verdict: Option<String>,
}

/// How a window counts when it is asked whether the dataset as a whole is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It declares an anomaly, and the evidence backs that.
    Backed,
    /// It declares an anomaly, and the evidence does not back that.
    Unsupported,
    /// It declares an anomaly of an intensity so low that it may not show.
    WeakIntensity,
    /// It declares an anomaly and injects nothing on purpose.
    Sham,
    /// It declares an anomaly, and what it injects breaks nothing.
    Harmless,
    /// Its fault failed, so that its label is not known.
    Unknown,
    /// It declares no anomaly.
    Normal,
    /// It only warms the target up.
    WarmUp,
}

impl Standing {
    /// As in the index.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backed => "backed",
            Self::Unsupported => "unsupported",
            Self::WeakIntensity => "weak_intensity",
            Self::Sham => "sham",
            Self::Harmless => "harmless",
            Self::Unknown => "unknown",
            Self::Normal => "normal",
            Self::WarmUp => "warm_up",
        }
    }

    /// Whether it is among those of which a share may be unsupported.
    pub(crate) fn counts(self) -> bool {
        matches!(self, Self::Backed | Self::Unsupported)
    }
}

impl Window {
    /// `weak_below`: intensities below this are weak on purpose.
    pub(crate) fn standing(&self, weak_below: f64) -> Standing {
        let is_backed = self.is_backed();
        if self.warm_up {
            Standing::WarmUp
        } else if self.sham_of.is_some() && self.fault_state == "harmless" {
            Standing::Harmless
        } else if self.sham_of.is_some() {
            Standing::Sham
        } else if !self.time.declares {
            Standing::Normal
        } else if self.fault_state == "failed" {
            Standing::Unknown
        } else if self
            .intensity
            .is_some_and(|intensity| intensity < weak_below)
        {
            Standing::WeakIntensity
        } else if is_backed {
            Standing::Backed
        } else {
            Standing::Unsupported
        }
    }

    /// Whether its verdict lets its rows into the files of classes.
    pub(crate) fn is_backed(&self) -> bool {
        let verdict = self.verdict.as_deref();
        verdict.is_some_and(|verdict| BACKING.contains(&verdict))
    }
}

/// The episodes of a run, as they are dealt out to folds.
pub(crate) fn episode_facts(
    run_id: &str,
    windows: &[Window],
    episodes: &Episodes,
) -> Vec<EpisodeFacts> {
    let mut facts: Vec<EpisodeFacts> = (0..episodes.len())
        .map(|episode| EpisodeFacts {
            id: episodes.id(episode),
            run_id: run_id.to_owned(),
            ..EpisodeFacts::default()
        })
        .collect();
    for (number, window) in windows.iter().enumerate() {
        let Some(episode) = episodes.of_window(number).filter(|_| window.time.declares) else {
            continue;
        };
        let of = &mut facts[episode];
        match &window.sham_of {
            Some(kind) => _ = of.shams.insert(kind.clone()),
            None => {
                of.types.insert(window.anomaly_type.clone());
                let services = [&window.root_cause_service, &window.service];
                of.services
                    .extend(services.into_iter().flatten().next().cloned());
            }
        }
    }
    facts
}

/// Where the rows of each window are. One that declares an anomaly is where its episode is; any other
/// is in a split only if all of its time is.
pub(crate) fn placed(windows: &[Window], episodes: &Episodes, splits: &RunSplits) -> Vec<Placed> {
    let place = |(number, window): (usize, &Window)| {
        let episode = episodes.of_window(number);
        let time = &window.time;
        Placed {
            episode,
            split: match window.time.declares {
                true => episode.map(|episode| splits.of_episode(episode)),
                false => splits.over(episodes, time.opened_ns, time.closed_ns),
            },
        }
    };
    windows.iter().enumerate().map(place).collect()
}

/// A run's table of windows as one batch.
pub(crate) fn table(input: &Input) -> Result<RecordBatch, BuildError> {
    let path = &input.tables["windows"];
    let mut reader = read::batches(path)?;
    let mut batches = Vec::new();
    while let Some(batch) = read::next(&mut reader, path)? {
        batches.push(batch);
    }
    let schema = read::metadata(path)?.0;
    concat_batches(&schema, &batches).map_err(|error| read::malformed(path, error))
}

/// The windows of a run and its episodes.
pub(crate) fn read(input: &Input) -> Result<(Vec<Window>, Episodes), BuildError> {
    let batch = table(input)?;
    let path = &input.tables["windows"];
    let warm_up = &input.facts.warm_up;
    if batch.num_rows() != warm_up.len() {
        let reason = format!(
            "it has {} windows, and the audit beside it {}: they are not of one extraction",
            batch.num_rows(),
            warm_up.len()
        );
        return Err(read::malformed(path, reason));
    }
    let cell = |name: &str, row| text(texts(&batch, name), row);
    let owned = |name: &str, row| cell(name, row).map(str::to_owned);
    let time = |name: &str, row| {
        let lacks = || read::malformed(path, format!("it has no {name} in row {row}"));
        int(&batch, name, row).ok_or_else(lacks)
    };
    let mut windows = Vec::with_capacity(batch.num_rows());
    for (row, &warm_up) in warm_up.iter().enumerate() {
        let sham_of = owned("sham_of", row);
        windows.push(Window {
            time: EpisodeWindow {
                scenario: owned("scenario", row).unwrap_or_default(),
                declares: sham_of.is_some() || cell("anomaly_label", row) == Some("anomalous"),
                opened_ns: time("opened_ns", row)?,
                closed_ns: time("closed_ns", row)?,
                cleared_ns: int(&batch, "fault_cleared_ns", row),
                recovered_ns: int(&batch, "recovered_ns", row),
            },
            anomaly_type: owned("anomaly_type", row).unwrap_or_default(),
            sham_of,
            warm_up,
            fault: owned("fault", row),
            service: owned("fault_service", row),
            root_cause_service: owned("root_cause_service", row),
            intensity: double(&batch, "fault_intensity", row),
            injected_ns: int(&batch, "fault_injected_ns", row),
            fault_state: owned("fault_state", row).unwrap_or_default(),
            verdict: owned("verdict", row),
        });
    }
    let times: Vec<EpisodeWindow> = windows.iter().map(|window| window.time.clone()).collect();
    let episodes = Episodes::new(&input.run_id, input.facts.began_ns, &times);
    Ok((windows, episodes))
}
