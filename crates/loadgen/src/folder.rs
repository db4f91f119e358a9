//! The run folder: where everything that a run leaves behind has its place.

use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;

/// A run folder, by the names of what is in it.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes the folder, which only its owner can enter; one that holds anything of a run already,
    /// or links under such names, is refused before anything is made.
    pub(crate) fn create(out: Option<&Path>, scenario_file: &Path) -> io::Result<Self> {
        let folder = Self::create_without_telemetry(
            &out.map_or_else(|| default_path(&stem(scenario_file)), Path::to_owned),
        )?;
        loadgen_files::folder(&folder.telemetry())?;
        Ok(folder)
    }

    /// The same for what was sent elsewhere.
    pub(crate) fn create_without_telemetry(out: &Path) -> io::Result<Self> {
        let folder = Self(out.to_owned());
        let of_a_run = [
            folder.timeline(),
            folder.ledger(),
            folder.summary(),
            folder.plan(),
            folder.scenario(),
            folder.telemetry(),
            folder.k6_module(),
            folder.fault_record(),
            folder.log_of("k6"),
            folder.log_of("shop"),
            folder.log_of("collect"),
        ];
        // Also a link that leads nowhere.
        let is_there = |path: &&PathBuf| path.symlink_metadata().is_ok();
        if let Some(taken) = of_a_run.iter().find(is_there) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!(
                    "{} is there already, and a run writes nothing over; give another folder",
                    taken.display()
                ),
            ));
        }
        loadgen_files::folder(out)?;
        Ok(folder)
    }

    /// The folder of a run that was.
    pub(crate) fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn timeline(&self) -> PathBuf {
        self.0.join("timeline.jsonl")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.0.join("ledger.arrows")
    }

    /// Faults that were made by hand.
    pub(crate) fn faults(&self) -> PathBuf {
        self.0.join("faults.jsonl")
    }

    pub(crate) fn summary(&self) -> PathBuf {
        self.0.join("summary.json")
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// The scenario file as it was when the run began.
    pub(crate) fn scenario(&self) -> PathBuf {
        self.0.join("scenario.yaml")
    }

    /// What the embedded collector stores.
    pub(crate) fn telemetry(&self) -> PathBuf {
        self.0.join("telemetry")
    }

    pub(crate) fn traces(&self) -> PathBuf {
        self.telemetry().join("traces.jsonl")
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.telemetry().join("metrics.jsonl")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.telemetry().join("logs.jsonl")
    }

    /// The k6 module that the run used.
    pub(crate) fn k6_module(&self) -> PathBuf {
        self.0.join("k6")
    }

    /// What faults did to requests of the embedded shop. It is not among the telemetry: it would give
    /// every label away.
    pub(crate) fn fault_record(&self) -> PathBuf {
        self.0.join("fault-record.jsonl")
    }

    pub(crate) fn dataset(&self) -> PathBuf {
        self.0.join("dataset")
    }

    /// What a program that the run starts says on standard error.
    pub(crate) fn log_of(&self, program: &str) -> PathBuf {
        self.0.join(format!("{program}.log"))
    }
}

/// `runs/<UTC stamp>-<name>`, with a number where two begin in one second.
pub(crate) fn default_path(name: &str) -> PathBuf {
    let name = format!("{}-{name}", Utc::now().format("%Y%m%d_%H%M%S"));
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .map(|name| Path::new("runs").join(name))
        .find(|path| !path.exists())
        .unwrap_or_else(|| Path::new("runs").join(name))
}

/// What a folder is named after: the scenario file without its extension.
pub(crate) fn stem(scenario_file: &Path) -> String {
    let stem = scenario_file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
