//! `loadgen extract`.

use loadgen_extract::audit::{Audit, Verdict};
use loadgen_extract::{ExtractError, ExtractOptions};

use crate::args::ExtractArgs;
use crate::exit::{Exit, Failure};
use crate::tables;

pub(super) fn extract(args: &ExtractArgs) -> Result<Exit, Failure> {
    let report = loadgen_extract::extract(&ExtractOptions {
        inputs: args.inputs.clone(),
        traces: args.traces.clone(),
        metrics: args.metrics.clone(),
        logs: args.logs.clone(),
        timeline: args.timeline.clone(),
        ledger: args.ledger.clone(),
        output: args.output.clone(),
        stamp: None,
        correct_skew: args.correct_skew,
        steady_only: args.steady_only,
        strict: args.strict,
        drop_leaks: args.drop_leaks,
    })
    .map_err(failure)?;
    if args.json {
        super::print(&super::json(&report)?)?;
    } else {
        super::print(&tables::dataset(&report))?;
    }
    Ok(exit(&report.audit))
}

/// What an audit means for a script.
pub(super) fn exit(audit: &Audit) -> Exit {
    match audit.verdict {
        Verdict::Usable => Exit::Success,
        Verdict::UsableWithWarnings => Exit::Warnings,
        Verdict::NotUsable => Exit::NotUsable,
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
