//! The hidden command that the job of `deploy/spark` calls.

use std::io::{stdin, stdout};

use loadgen_extract::distributed::{self, Job, StepError};

use crate::args::{JobArgs, SparkStep};
use crate::exit::{Exit, Failure};

pub(super) fn step(step: &SparkStep) -> Result<Exit, Failure> {
    let job = |args: &JobArgs| Job::open(&args.job).map_err(failure);
    let (input, output) = (stdin().lock(), stdout().lock());
    let done = match step {
        SparkStep::Decode { portions } => distributed::decode(input, output, *portions),
        SparkStep::Merge => distributed::merge(input, output),
        SparkStep::Requests(args) => job(args)?.requests(output),
        SparkStep::Scanned(args) => job(args)?.scanned(input),
        SparkStep::Survey(args) => job(args)?.survey(input, output),
        SparkStep::Surveyed(args) => job(args)?.surveyed(input),
        SparkStep::Normals(args) => job(args)?.normals(input, output),
        SparkStep::Limits(args) => job(args)?.limits(input),
        SparkStep::Rows { job: args, part } => job(args)?.rows(*part, input, output),
        SparkStep::Finish { job: args, out } => {
            let report = job(args)?.finish(input, out).map_err(failure)?;
            super::print(&super::json(&report)?)?;
            return Ok(super::extract::exit(&report.audit));
        }
    };
    done.map(|()| Exit::Success).map_err(failure)
}

fn failure(error: StepError) -> Failure {
    match error {
        StepError::Extract(error) => super::extract::failure(error),
        error => Failure::new(Exit::Failed, error),
    }
}
