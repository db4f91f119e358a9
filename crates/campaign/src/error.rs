//! Why a campaign can't begin or go on.

use std::io;
use std::path::PathBuf;

/// Why a campaign can't begin or go on. What is done is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CampaignError {
    /// A file or folder can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the campaign's folder is not what it should be.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// The folder is another campaign's.
    #[error(
        "{} is of another campaign: its {what} is {theirs}, and {ours} is asked for; go on with what it \
         was begun with, or give another folder",
        folder.display()
    )]
    Other {
        /// The campaign's folder.
        folder: PathBuf,
        /// What differs.
        what: &'static str,
        /// As the folder has it.
        theirs: String,
        /// As asked for.
        ours: String,
    },
    /// Another process works on it.
    #[error("another loadgen works on the campaign in {}; wait for its end, or stop it", folder.display())]
    Busy {
        /// The campaign's folder.
        folder: PathBuf,
    },
    /// The folder has other things in it.
    #[error("{} has files in it, and no campaign.json: give a new folder", folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// No run of the file has an episode.
    #[error(
        "no window of the file declares an anomaly, so no number of runs comes to {wanted} episodes; \
         give --runs instead of --episodes"
    )]
    NoEpisodes {
        /// How many were asked for.
        wanted: u64,
    },
}

impl CampaignError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Whether what was asked for, or an input, is wrong, rather than the machine.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}
