//! The ground truth of runs that were, for commands that write it anew.

use std::path::Path;

use loadgen_scenario::Plan;
use loadgen_timeline::{
    Failure as RequestFailure, Integrity, RequestRecord, RequestRow, Timeline, read_timeline,
};

use crate::display::say;
use crate::exit::{Exit, Failure};

/// A timeline that nobody has changed since it was written. Lines that can't be read are told.
pub(super) fn unchanged_timeline(path: &Path) -> Result<Timeline, Failure> {
    let timeline = read_timeline(path).map_err(|e| Failure::new(Exit::BadInput, e))?;
    if timeline.integrity == Integrity::Mismatch {
        let message = format!(
            "{}: the timeline was changed after it was written",
            path.display()
        );
        return Err(Failure::new(Exit::BadInput, message));
    }
    if let Some(bad) = timeline.skipped.first() {
        say(format_args!(
            "warning: {}: {} lines can't be read and are left out (line {}: {})",
            path.display(),
            timeline.skipped.len(),
            bad.line,
            bad.reason
        ));
    }
    Ok(timeline)
}

/// A request of the ledger of `run`, with its names as places in the plan.
pub(super) fn record(
    plan: &Plan,
    run: &str,
    row: &RequestRow<'_>,
) -> Result<RequestRecord, Failure> {
    let unknown = |what: &str, name: &str| {
        let message = format!("{run}: the plan has no {what} `{name}`, which is in the ledger");
        Failure::new(Exit::BadInput, message)
    };
    let scenario = plan.scenarios.iter().position(|s| s.name == row.scenario);
    let scenario = scenario.ok_or_else(|| unknown("scenario", row.scenario))?;
    let flow = plan.flows.iter().position(|flow| flow.name == row.flow);
    let flow = flow.ok_or_else(|| unknown("flow", row.flow))?;
    let steps = &plan.flows[flow].steps;
    let is_it = |index: &usize| steps.get(*index).is_some_and(|step| step.name == row.step);
    let step = Some(usize::from(row.step_index)).filter(is_it);
    let step = step.or_else(|| steps.iter().position(|step| step.name == row.step));
    let step = step.ok_or_else(|| unknown("step", row.step))?;
    let failure = |name: &str| RequestFailure::ALL.into_iter().find(|f| f.name() == name);
    Ok(RequestRecord {
        trace_id: row.trace_id,
        span_id: row.span_id,
        // A ledger has 16-bit keys for them.
        scenario: scenario as u16,
        flow: flow as u16,
        step: step as u16,
        iteration: row.iteration,
        intended_ns: row.intended_ns,
        sent_ns: row.sent_ns,
        finished_ns: row.finished_ns,
        status: row.status,
        failure: row.failure.and_then(failure),
        path: row.path.into(),
    })
}
