//! `loadgen extract`.

use loadgen_extract::{ExtractError, ExtractOptions};

use crate::args::ExtractArgs;
use crate::exit::{Exit, Failure};
use crate::tables;

pub(super) fn extract(args: &ExtractArgs) -> Result<Exit, Failure> {
    let report = loadgen_extract::extract(&ExtractOptions {
        traces: args.traces.clone(),
        metrics: args.metrics.clone(),
        logs: args.logs.clone(),
        timeline: args.timeline.clone(),
        output: args.output.clone(),
        stamp: None,
    })
    .map_err(failure)?;
    if args.json {
        super::print(&super::json(&report)?)
    } else {
        super::print(&tables::dataset(&report))
    }
}

/// Bad input and a disk that is full are different things to a script.
pub(super) fn failure(error: ExtractError) -> Failure {
    let code = if error.is_bad_input() {
        Exit::BadInput
    } else {
        Exit::Failed
    };
    Failure::new(code, error)
}
