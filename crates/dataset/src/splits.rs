//! Which episodes are to train on, to validate with and to test with (pure).
//!
//! Episodes are dealt out to five folds, fault by fault, so that each fault is in each fold as often
//! as in any other. The last fold is for testing, the one before it for validation. The deal follows
//! from the names of the episodes and a seed, not from the order in which runs are named. Design:
//! `docs/design/0111-splits.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::episodes::Episodes;

/// What the file of the lists is called.
pub(crate) const SPLITS: &str = "splits.json";

/// Version of the form of `splits.json`, raised when a reader of the old form would misread the new.
pub const SPLITS_VERSION: u32 = 1;

/// How many folds there are.
pub const FOLDS: usize = 5;

/// The seed of the deal, unless another is asked for.
pub const SPLIT_SEED: u64 = 1;

/// Seconds of the embargo, unless others are asked for.
pub const EMBARGO_S: f64 = 10.0;

/// Folds in the order in which they are dealt to: of a few episodes one is to be in each split.
const DEAL: [usize; FOLDS] = [0, 4, 3, 1, 2];

/// The JSON schema of [`Splits`].
pub fn splits_json_schema() -> serde_json::Value {
    schemars::schema_for!(Splits).to_value()
}

/// What a row or an episode is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    /// All of them.
    pub(crate) const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// That of a fold.
    pub(crate) fn of_fold(fold: usize) -> Self {
        match fold {
            4 => Self::Test,
            3 => Self::Validation,
            _ => Self::Train,
        }
    }

    /// As in the column `split`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// What is dealt out as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// Each episode.
    #[default]
    Episode,
    /// All episodes of a run.
    Run,
}

/// How episodes are dealt out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitOptions {
    /// Another seed is another deal.
    pub seed: u64,
    /// What is dealt out as a whole.
    pub by: SplitBy,
    /// Seconds after the begin of an episode for which its rows are in no split, where the episode
    /// before it is in another.
    pub embargo_s: f64,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            seed: SPLIT_SEED,
            by: SplitBy::default(),
            embargo_s: EMBARGO_S,
        }
    }
}

impl SplitOptions {
    fn embargo_ns(&self) -> i64 {
        // A number that is too large becomes the largest.
        (self.embargo_s * 1e9) as i64
    }
}

/// What is dealt out alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Anomalies of these types.
    Fault(BTreeSet<String>),
    /// Shams that declare these types and inject nothing.
    Sham(BTreeSet<String>),
    /// Normal time only.
    Normal,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |types: &BTreeSet<String>| {
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            types.join("+")
        };
        match self {
            Self::Fault(types) => write!(f, "{}", joined(types)),
            Self::Sham(types) => write!(f, "sham of {}", joined(types)),
            Self::Normal => write!(f, "normal time only"),
        }
    }
}

/// An episode, as far as it is dealt out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpisodeFacts {
    pub(crate) id: String,
    pub(crate) run_id: String,
    /// Types of its anomalies that are no shams.
    pub(crate) types: BTreeSet<String>,
    /// Services that these are in.
    pub(crate) services: BTreeSet<String>,
    /// Types that its shams declare.
    pub(crate) shams: BTreeSet<String>,
}

impl EpisodeFacts {
    /// What it is dealt out with.
    pub(crate) fn group(&self) -> Group {
        if !self.types.is_empty() {
            Group::Fault(self.types.clone())
        } else if !self.shams.is_empty() {
            Group::Sham(self.shams.clone())
        } else {
            Group::Normal
        }
    }
}

/// Gives the fold of each episode.
///
/// Each group is shuffled, and the groups are dealt out one after the other like a deck of cards, each
/// going on where the one before it ended. So a group of at least [`FOLDS`] is in each fold, the
/// folds of a group differ by at most one episode, and so do those of all together.
pub(crate) fn deal(episodes: &[EpisodeFacts], options: &SplitOptions) -> Vec<usize> {
    let mut units: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, episode) in episodes.iter().enumerate() {
        let unit = match options.by {
            SplitBy::Episode => &episode.id,
            SplitBy::Run => &episode.run_id,
        };
        units.entry(unit).or_default().push(number);
    }
    let mut deck: Vec<(BTreeSet<Group>, [u8; 32], Vec<usize>)> = units
        .into_iter()
        .map(|(unit, of)| {
            let groups = of.iter().map(|&number| episodes[number].group()).collect();
            let order = Sha256::digest(format!("{}\n{unit}", options.seed)).into();
            (groups, order, of)
        })
        .collect();
    deck.sort();
    let mut folds = vec![0; episodes.len()];
    for (place, (_, _, of)) in deck.into_iter().enumerate() {
        for number in of {
            folds[number] = DEAL[place % FOLDS];
        }
    }
    folds
}

/// The episodes of all runs, each with its fold.
#[derive(Debug)]
pub(crate) struct Dealt {
    pub(crate) episodes: Vec<EpisodeFacts>,
    pub(crate) folds: Vec<usize>,
    pub(crate) options: SplitOptions,
}

impl Dealt {
    pub(crate) fn new(episodes: Vec<EpisodeFacts>, options: &SplitOptions) -> Self {
        Self {
            folds: deal(&episodes, options),
            episodes,
            options: *options,
        }
    }

    /// How many episodes of each group there are in each split, in the order of [`Split::ALL`].
    pub(crate) fn by_group(&self) -> BTreeMap<Group, [u64; 3]> {
        let mut counts: BTreeMap<Group, [u64; 3]> = BTreeMap::new();
        for (episode, &fold) in self.episodes.iter().zip(&self.folds) {
            counts.entry(episode.group()).or_default()[Split::of_fold(fold) as usize] += 1;
        }
        counts
    }

    /// How many episodes there are in each split, by its name.
    pub(crate) fn by_split(&self) -> BTreeMap<String, u64> {
        let count = |split: Split| {
            let folds = self.folds.iter();
            folds.filter(|&&fold| Split::of_fold(fold) == split).count() as u64
        };
        let splits = Split::ALL.into_iter();
        splits
            .map(|split| (split.name().to_owned(), count(split)))
            .collect()
    }

    /// Splits that no episode is in, in words; none: each has some.
    pub(crate) fn note(&self) -> Option<String> {
        let splits = self.by_split();
        let empty = splits.iter().filter(|(_, episodes)| **episodes == 0);
        let empty: Vec<&str> = empty.map(|(split, _)| split.as_str()).collect();
        let unit = match self.options.by {
            SplitBy::Episode => "episodes",
            SplitBy::Run => "runs",
        };
        (!empty.is_empty()).then(|| {
            let splits = empty.join(" and ");
            format!(
                "splits: there are too few {unit} for {splits}: three are the least for all splits"
            )
        })
    }

    /// The file `splits.json`.
    pub(crate) fn json(&self) -> Vec<u8> {
        let splits = Splits::new(&self.episodes, &self.folds, &self.options);
        format!("{:#}\n", serde_json::json!(splits)).into_bytes()
    }
}

/// Folds and splits of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunSplits {
    /// By episode.
    folds: Vec<usize>,
    /// By episode: when its embargo ends, Unix nanoseconds; none: it has none.
    embargo_end: Vec<Option<i64>>,
}

impl RunSplits {
    /// `folds`: those of the run's episodes.
    pub(crate) fn new(folds: &[usize], episodes: &Episodes, options: &SplitOptions) -> Self {
        let split = |episode: usize| Split::of_fold(folds[episode]);
        let embargo_end = (0..folds.len()).map(|episode| {
            let before = episode.checked_sub(1)?;
            let begin = episodes.time(episode).0;
            (split(before) != split(episode)).then(|| begin.saturating_add(options.embargo_ns()))
        });
        Self {
            folds: folds.to_vec(),
            embargo_end: embargo_end.collect(),
        }
    }

    /// The fold of an episode.
    pub(crate) fn fold(&self, episode: usize) -> usize {
        self.folds[episode]
    }

    /// The split of an episode as a whole.
    pub(crate) fn of_episode(&self, episode: usize) -> Split {
        Split::of_fold(self.folds[episode])
    }

    /// The split of a moment of an episode, Unix nanoseconds; none within its embargo, and where the
    /// moment is not known and may be within it.
    pub(crate) fn at(&self, episode: usize, at_ns: Option<i64>) -> Option<Split> {
        match (self.embargo_end[episode], at_ns) {
            (None, _) => {}
            (Some(end), Some(at)) if at >= end => {}
            _ => return None,
        }
        Some(self.of_episode(episode))
    }

    /// The split of a time of the run that is no episode's own; none where parts of it are in several,
    /// or within an embargo.
    pub(crate) fn over(&self, episodes: &Episodes, from_ns: i64, to_ns: i64) -> Option<Split> {
        let (first, last) = (
            episodes.at(from_ns),
            episodes.at(to_ns.max(from_ns + 1) - 1),
        );
        let split = self.at(first, Some(from_ns))?;
        let is_same = |episode: usize| self.of_episode(episode) == split;
        (first..=last).all(is_same).then_some(split)
    }
}

/// Ids of episodes by what they are for. An episode that is in none of the lists is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitLists {
    /// To train on.
    pub train: Vec<String>,
    /// To choose thresholds and parameters with.
    pub validation: Vec<String>,
    /// To test with.
    pub test: Vec<String>,
}

impl SplitLists {
    fn add(&mut self, split: Split, episode: &EpisodeFacts) {
        let list = match split {
            Split::Train => &mut self.train,
            Split::Validation => &mut self.validation,
            Split::Test => &mut self.test,
        };
        list.push(episode.id.clone());
    }

    /// All episodes that `has` what is left out are tested with, beside shams and normal time of the
    /// last fold. Nothing else is.
    fn without(
        episodes: &[EpisodeFacts],
        folds: &[usize],
        has: impl Fn(&EpisodeFacts) -> bool,
    ) -> Self {
        let mut lists = Self::default();
        for (episode, &fold) in episodes.iter().zip(folds) {
            match Split::of_fold(fold) {
                _ if has(episode) => lists.add(Split::Test, episode),
                Split::Test if !episode.types.is_empty() => {}
                split => lists.add(split, episode),
            }
        }
        lists
    }
}

/// Lists of episodes to train, validate and test with: `splits.json`. Ids are in the order of runs
/// and of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Splits {
    /// [`SPLITS_VERSION`].
    pub version: u32,
    /// Another seed is another deal.
    pub seed: u64,
    /// What was dealt out as a whole.
    pub by: SplitBy,
    /// Seconds after the begin of an episode for which its rows are left out, where the episode before
    /// it in its run is in another list. The column `split` does so for `default`.
    pub embargo_s: f64,
    /// What the column `split` says: fold 4 is to test, 3 to validate, the others to train.
    pub default: SplitLists,
    /// The folds, by number from 0.
    pub folds: Vec<Vec<String>>,
    /// By anomaly type: all episodes that have it are to test, with shams and normal time of fold 4.
    pub leave_one_fault_out: BTreeMap<String, SplitLists>,
    /// By service: all episodes with an anomaly in it are to test, with shams and normal time of fold 4.
    pub leave_one_service_out: BTreeMap<String, SplitLists>,
}

impl Splits {
    /// Of episodes, each with its fold.
    pub(crate) fn new(episodes: &[EpisodeFacts], folds: &[usize], options: &SplitOptions) -> Self {
        let mut default = SplitLists::default();
        let mut by_fold = vec![Vec::new(); FOLDS];
        for (episode, &fold) in episodes.iter().zip(folds) {
            default.add(Split::of_fold(fold), episode);
            by_fold[fold].push(episode.id.clone());
        }
        let leave_out = |of: fn(&EpisodeFacts) -> &BTreeSet<String>| {
            let names: BTreeSet<&String> = episodes.iter().flat_map(of).collect();
            let lists = names.into_iter().map(|name| {
                let has = |episode: &EpisodeFacts| of(episode).contains(name);
                (name.clone(), SplitLists::without(episodes, folds, has))
            });
            lists.collect::<BTreeMap<_, _>>()
        };
        Self {
            version: SPLITS_VERSION,
            seed: options.seed,
            by: options.by,
            embargo_s: options.embargo_s,
            default,
            folds: by_fold,
            leave_one_fault_out: leave_out(|episode| &episode.types),
            leave_one_service_out: leave_out(|episode| &episode.services),
        }
    }
}

#[cfg(test)]
#[path = "splits_tests.rs"]
mod tests;
