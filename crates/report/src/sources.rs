//! Which files belong to which run.

use std::io;
use std::path::{Path, PathBuf};

use loadgen_timeline::audit::{latest_audit, read_audit};
use loadgen_timeline::read_timeline;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A folder holds nothing of a run.
    #[error(
        "{} holds neither a dataset (audit_<stamp>.json) nor a run (timeline.jsonl): give the folder \
         of a run, or the one that `loadgen extract` wrote to", .0.display()
    )]
    Nothing(PathBuf),
    /// There is no such extraction.
    #[error("there is no audit_{stamp}.json in {}", folder.display())]
    NoStamp {
        /// The folder.
        folder: PathBuf,
        /// What was asked for.
        stamp: String,
    },
    /// The page can't be written.
    #[error("can't write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The folders of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The folder of its dataset; none: there is no dataset.
    pub dataset: Option<PathBuf>,
    /// `<YYYYMMDD_HHMMSS>` in the names of the dataset's files; none: there is no dataset.
    pub stamp: Option<String>,
    /// The folder that has its timeline and its summary; none: it is not known.
    pub run: Option<PathBuf>,
}

impl Sources {
    /// The files of runs in folders: of a run, of a dataset, or of both. A run and a dataset that
    /// have the same id are one, in the place of whichever comes first.
    ///
    /// # Errors
    /// [`ReportError::Nothing`]: a folder holds neither.
    pub fn find(folders: &[PathBuf]) -> Result<Vec<Self>, ReportError> {
        let mut found: Vec<(Option<String>, Self)> = Vec::new();
        for folder in folders {
            let sources =
                Self::in_folder(folder).ok_or_else(|| ReportError::Nothing(folder.clone()))?;
            let id = sources.run_id();
            let other = found.iter_mut().find(|(other_id, other)| {
                id.is_some() && *other_id == id && other.can_take(&sources)
            });
            match other {
                Some((_, other)) => other.take(sources),
                None => found.push((id, sources)),
            }
        }
        Ok(found.into_iter().map(|(_, sources)| sources).collect())
    }

    /// The same files with another extraction of the dataset's folder than the last.
    ///
    /// # Errors
    /// [`ReportError::NoStamp`]: there is no such extraction.
    pub fn with_stamp(mut self, stamp: &str) -> Result<Self, ReportError> {
        let folder = self.dataset.clone().or(self.run.clone());
        let folder = folder.unwrap_or_default();
        if !folder.join(format!("audit_{stamp}.json")).is_file() {
            let stamp = stamp.to_owned();
            return Err(ReportError::NoStamp { folder, stamp });
        }
        self.stamp = Some(stamp.to_owned());
        Ok(self)
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let is_run = |folder: &Path| folder.join("timeline.jsonl").is_file();
        let inner = folder.join("dataset");
        let run = is_run(folder).then(|| folder.to_owned());
        if let Some(stamp) = last_stamp(folder) {
            let of_dataset = Self {
                dataset: Some(folder.to_owned()),
                stamp: Some(stamp),
                run: None,
            };
            let beside = folder.parent().filter(|parent| is_run(parent));
            let run = run.or_else(|| beside.map(Path::to_owned));
            // A dataset may lie in the folder of another run.
            let run = run.filter(|run| {
                let id = timeline_id(run);
                id.is_some() && id == of_dataset.run_id()
            });
            return Some(Self { run, ..of_dataset });
        }
        let stamp = last_stamp(&inner);
        let dataset = stamp.is_some().then_some(inner);
        (run.is_some() || dataset.is_some()).then_some(Self {
            dataset,
            stamp,
            run,
        })
    }

    fn can_take(&self, other: &Self) -> bool {
        (self.dataset.is_none() || other.dataset.is_none())
            && (self.run.is_none() || other.run.is_none())
    }

    fn take(&mut self, other: Self) {
        self.dataset = self.dataset.take().or(other.dataset);
        self.stamp = self.stamp.take().or(other.stamp);
        self.run = self.run.take().or(other.run);
    }

    fn run_id(&self) -> Option<String> {
        let of_audit = || {
            let path = self.file("audit", "json")?;
            let audit = read_audit(&path).ok()?;
            Some(audit.figures.run?.run_id)
        };
        of_audit().or_else(|| timeline_id(self.run.as_deref()?))
    }

    /// The path of a file of the dataset; none: there is no dataset.
    pub(crate) fn file(&self, name: &str, extension: &str) -> Option<PathBuf> {
        let (folder, stamp) = (self.dataset.as_ref()?, self.stamp.as_ref()?);
        Some(folder.join(format!("{name}_{stamp}.{extension}")))
    }

    /// Where its page belongs: beside the run, else beside the tables.
    pub fn report(&self) -> PathBuf {
        let folder = self.run.as_ref().or(self.dataset.as_ref());
        folder.map_or_else(PathBuf::new, |folder| folder.join("report.html"))
    }
}

fn timeline_id(run: &Path) -> Option<String> {
    let timeline = read_timeline(&run.join("timeline.jsonl")).ok()?;
    timeline.run.map(|run| run.run_id)
}

fn last_stamp(folder: &Path) -> Option<String> {
    let path = latest_audit(folder).ok()?;
    let name = path.file_stem()?.to_str()?;
    name.strip_prefix("audit_").map(str::to_owned)
}
