//! `loadgen plan`.

use loadgen_scenario::{Plan, PlanOptions};

use crate::args::{Format, PlanArgs, PlanChanges};
use crate::exit::{Exit, Failure};
use crate::tables;

pub(super) fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let plan = load(&args.plan)?;
    match args.format {
        Format::Table => super::print(&tables::timetable(&plan)),
        Format::Json => super::print(&super::json(&plan)?),
    }
}

/// The plan that a command line asks for.
pub(super) fn load(changes: &PlanChanges) -> Result<Plan, Failure> {
    let options = PlanOptions {
        seed: changes.seed,
        // `BASE_URL=` is how a shell takes a variable back.
        base_url: changes.base_url.clone().filter(|url| !url.is_empty()),
        time_scale: changes.time_scale,
    };
    loadgen_scenario::load(&changes.file, &options)
        .map_err(|errors| Failure::new(Exit::BadInput, errors))
}
