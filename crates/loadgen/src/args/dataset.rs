//! Commands that make datasets, look at them, or send them elsewhere.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::EXIT_CODES;

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ExtractArgs {
    /// Telemetry as a Collector stored it, of any signals, also mixed; files or folders. The folder of
    /// a run stands for its timeline, and where it is alone for its telemetry.
    pub(crate) inputs: Vec<PathBuf>,
    /// Files that hold traces.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) traces: Vec<PathBuf>,
    /// Files that hold metrics.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) metrics: Vec<PathBuf>,
    /// Files that hold logs.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) logs: Vec<PathBuf>,
    /// The run's timeline.jsonl. Without it only headers can give a label, and the dataset counts
    /// as not usable.
    #[arg(long, value_name = "FILE")]
    pub(crate) timeline: Option<PathBuf>,
    /// The run's ledger.arrows [default: the one beside the timeline, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// More timeline lines, fault_injected and fault_cleared, for faults that were made by hand
    /// [default: faults.jsonl beside the timeline, if there is one]
    #[arg(long, value_name = "FILE", requires = "timeline")]
    pub(crate) faults: Option<PathBuf>,
    /// Folder for the dataset; with --runs for a folder for each run [default: `dataset` in the
    /// folder of the run, if one is given]
    #[arg(long = "out", visible_alias = "output", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Look moments up by times that are corrected by the offset of each service's clock. Rows keep
    /// the times as they came.
    #[arg(long)]
    pub(crate) correct_skew: bool,
    /// Add this to each time of the telemetry, such as 2h or -30m: for a clock that was set to another
    /// zone. Rows have the sums.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = shift,
        allow_hyphen_values = true,
        conflicts_with_all = ["follow", "runs"]
    )]
    pub(crate) shift: Option<i64>,
    /// Write only rows whose phase is steady.
    #[arg(long)]
    pub(crate) steady_only: bool,
    /// Keep rows of other runs, of the doctor, and from before and after the run, labelled unknown.
    #[arg(long)]
    pub(crate) include_foreign: bool,
    /// Put rows of all phases and verdicts into the files of classes, not only steady ones of windows
    /// that the evidence backs.
    #[arg(long)]
    pub(crate) all_phases: bool,
    /// Leave columns that give the label away, ids included, out of the files.
    #[arg(long)]
    pub(crate) drop_leaks: bool,
    /// The forms that tables come in. Without CSV there are no files of classes.
    #[arg(long, value_name = "FORMS", default_value = "both")]
    pub(crate) formats: FormatsChoice,
    /// Leave out the tables that put the run together (services over time, traces by their shape, the
    /// graph of calls, metrics in a wide table), the causal graphs, and the page.
    #[arg(long)]
    pub(crate) labels_only: bool,
    /// Take a line that can't be read for an error.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Label files that are still being written: extract anew whenever they have grown, until the run
    /// has ended and its data is complete, or until SIGINT. Only the last dataset is kept.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Make a dataset of each run in this folder that is complete and has none yet, and end; what has
    /// been done is remembered in the folder of the datasets. To be called again and again.
    #[arg(
        long,
        value_name = "DIR",
        requires = "inputs",
        conflicts_with_all = [
            "timeline", "ledger", "faults", "follow", "traces", "metrics", "logs", "include_foreign"
        ]
    )]
    pub(crate) runs: Option<PathBuf>,
    /// With --follow and --runs: so long after a run's end it is extracted even if something of it has
    /// not come, in seconds [default: 120; with --runs 900]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<f64>,
    /// Time between two looks with --follow, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        requires = "follow"
    )]
    pub(crate) every: f64,
    /// Print the report as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Nanoseconds of a duration that may be negative.
fn shift(text: &str) -> Result<i64, String> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let length = loadgen_scenario::parse_duration(length)?;
    let ns = i64::try_from(length.as_nanos()).map_err(|_| "too long".to_owned())?;
    Ok(sign * ns)
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct AuditArgs {
    /// The folder of a dataset, or of a run that has one.
    pub(crate) dataset: PathBuf,
    /// Which extraction in it [default: the last]
    #[arg(long, value_name = "YYYYMMDD_HHMMSS")]
    pub(crate) stamp: Option<String>,
    /// Print the audit as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ShowArgs {
    /// The folder of a dataset, or of a run that has one.
    pub(crate) dir: PathBuf,
    /// Which extraction in it [default: the last]
    #[arg(long, value_name = "YYYYMMDD_HHMMSS")]
    pub(crate) stamp: Option<String>,
    /// Only this window, with everything that was compared. Windows are numbered from 0, in the order
    /// of opening.
    #[arg(long, value_name = "N")]
    pub(crate) window: Option<usize>,
    /// Print all of it as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a page that shows what happened in a run, or in several.
///
/// The page is one file that needs no network. It is made of a dataset's tables, its evidence and its
/// audit, and of the run's timeline and summary; what is not there is told in it.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ReportArgs {
    /// Folders of runs or of datasets. A run and a dataset that lie apart are both given: they are one
    /// by the run's id.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Where the page goes [default: report.html beside the run, else beside the tables; of several
    /// runs in the folder where one is now]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Which extraction in the folder [default: the last]
    #[arg(long, value_name = "YYYYMMDD_HHMMSS")]
    pub(crate) stamp: Option<String>,
}

/// Send a run's folder to an object store.
///
/// What is there already, with the same size and not older, is left as it is: the same command goes on
/// where one broke off. Credentials, region and endpoint are taken from the variables AWS_*, GOOGLE_*
/// and AZURE_*, else from the machine's identity.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct UploadArgs {
    /// The folder of a run, or any other.
    pub(crate) run: PathBuf,
    /// Where to: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER
    pub(crate) url: String,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Hold an exam: of a dataset, or of a detector on it.
///
/// Detectors are evaluated by folds of whole episodes, beside what knows nothing reaches, and the
/// dataset by what it gives away. The Python package does it: `pip install './python[exam]'` in a clone. What
/// is measured is told in docs/evaluate.md.
#[derive(Debug, Default, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct EvaluateArgs {
    /// A folder made by `loadgen dataset build`.
    pub(crate) dir: PathBuf,
    /// What a detector says of each bucket, CSV or Parquet: run_id, start_time_ns, and score, alert, or
    /// both. The exam is then this detector's.
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: Option<PathBuf>,
    /// `all`: evaluate all buckets, by folds; `test`: those of the test split alone [default: all]
    #[arg(long, value_name = "SPLIT", value_parser = ["all", "test"])]
    pub(crate) split: Option<String>,
    /// Parts (audit, detectors, root_cause) or detectors, with commas between them [default: all]
    #[arg(long, value_name = "NAMES")]
    pub(crate) only: Option<String>,
    /// Lengths of windows in seconds, with commas between them [default: 5,10,30,60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) window: Option<String>,
    /// Seed of all that is drawn [default: 42]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u32>,
    /// Folder for the result [default: evaluation in DIR]
    #[arg(long = "out", visible_alias = "output", value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Show no progress.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// The Python interpreter [default: python3 beside loadgen, else on the PATH]
    /// [env: LOADGEN_PYTHON]
    #[arg(long, value_name = "FILE", env = "LOADGEN_PYTHON", hide_env = true)]
    pub(crate) python: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Put the datasets of several runs together, with an index and checksums.
    Build(BuildArgs),
}

/// Put the datasets of several runs together, with an index and checksums.
///
/// The same inputs give the same bytes, in whatever order they are named. What the folder holds is told
/// in docs/dataset-build.md.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct BuildArgs {
    /// Run folders with a dataset in them, folders of datasets, or an audit_STAMP.json for another
    /// than the newest.
    #[arg(value_name = "RUN", required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Folder for the dataset. It must not be there yet, or be empty.
    #[arg(long = "out", visible_alias = "output", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Folder in which each run has a folder, for datasets that lie elsewhere.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub(crate) runs: Vec<PathBuf>,
    /// Title of the dataset [default: made of the names of the scenario files]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Licence that it is passed on under, best an id such as cc-by-4.0 [default: none is stated]
    #[arg(long, visible_alias = "license", value_name = "ID")]
    pub(crate) licence: Option<String>,
    /// Who made it, for the citation; several times for several.
    #[arg(long = "author", value_name = "NAME")]
    pub(crate) authors: Vec<String>,
    /// Where it is to be published, for the citation.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// What the target ran on, for the card [default: not recorded]
    #[arg(long, value_name = "TEXT")]
    pub(crate) hardware: Option<String>,
    /// Intensities below this count as weak on purpose: such windows may be unsupported.
    #[arg(long, value_name = "INTENSITY", default_value_t = loadgen_dataset::verdict::WEAK_BELOW)]
    pub(crate) weak_below: f64,
    /// What becomes of runs that their audit finds not usable, for another reason than single windows.
    #[arg(long, value_name = "CHOICE", default_value = "refuse")]
    pub(crate) unusable: UnusableChoice,
    /// Seed by which episodes are dealt out to train, validate and test with.
    #[arg(long, value_name = "N", default_value_t = loadgen_dataset::SPLIT_SEED)]
    pub(crate) split_seed: u64,
    /// What is dealt out as a whole.
    #[arg(long, value_name = "CHOICE", default_value = "episode")]
    pub(crate) split_by: SplitChoice,
    /// Where an episode follows one of another split in its run, its rows are in no split for so many
    /// seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = loadgen_dataset::EMBARGO_S)]
    pub(crate) embargo: f64,
    /// Print the report as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatsChoice {
    /// Each table as CSV and as Parquet.
    Both,
    /// CSV alone.
    Csv,
    /// Parquet alone.
    Parquet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitChoice {
    /// Each episode.
    Episode,
    /// All episodes of a run.
    Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnusableChoice {
    /// Make no dataset.
    Refuse,
    /// Leave them out, and name them.
    Skip,
    /// Take them as they are.
    Keep,
}
