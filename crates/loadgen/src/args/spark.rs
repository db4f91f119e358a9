//! `loadgen spark`: the steps of the job in `deploy/spark`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

/// A step. Each reads an Arrow stream from standard input, or writes one to standard output, or both.
#[derive(Debug, Subcommand)]
pub(crate) enum SparkStep {
    /// Make records of files, dealt into portions.
    Decode {
        /// How many portions there are.
        #[arg(long, value_name = "N")]
        portions: usize,
    },
    /// Deal the requests of the run's ledger into portions.
    Requests(JobArgs),
    /// Put figures together that are of one kind.
    Merge,
    /// Put together what was found out while files were read.
    Scanned(JobArgs),
    /// Label portions, and say what was found out.
    Survey(JobArgs),
    /// Find out what holds for the whole run.
    Surveyed(JobArgs),
    /// Gather what is normal for each operation.
    Normals(JobArgs),
    /// Put together what is normal for each operation.
    Limits(JobArgs),
    /// Make the rows of portions.
    Rows {
        #[command(flatten)]
        job: JobArgs,
        /// The number in the names of their files.
        #[arg(long, value_name = "N")]
        part: u32,
    },
    /// Write what is said of the whole run.
    Finish {
        #[command(flatten)]
        job: JobArgs,
        /// Folder for it.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// Which job it is.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct JobArgs {
    /// The job's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) job: PathBuf,
}
