//! `loadgen plan`.

use std::path::Path;

use loadgen_scenario::{Loaded, Plan, PlanOptions, ScenarioNotes, redact};

use crate::args::{Format, PlanArgs, PlanChanges, PlanOverrides};
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::tables;

pub(super) fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let plan = redact::plan(&load(&args.plan)?);
    match args.format {
        Format::Table => super::print(&tables::timetable(&plan)),
        Format::Json => super::print(&super::json(&plan)?),
    }
}

/// The plan that a command line asks for; what is worth knowing of it is said.
pub(super) fn load(changes: &PlanChanges) -> Result<Plan, Failure> {
    let Loaded { plan, notes } =
        load_with(&changes.file, &changes.overrides.clone().with_variable())?;
    say_notes(&notes);
    Ok(plan)
}

/// The plan of a file under what is asked for otherwise.
pub(super) fn load_with(file: &Path, overrides: &PlanOverrides) -> Result<Loaded, Failure> {
    let options = PlanOptions {
        seed: overrides.seed,
        base_url: overrides.base_url.clone(),
        time_scale: overrides.time_scale,
        vus: overrides.vus,
        scenarios: overrides.scenarios.clone(),
        catalogues: loadgen_fault::catalogues(),
    };
    loadgen_scenario::load(file, &options).map_err(|errors| {
        let code = match errors.of_options {
            true => Exit::Usage,
            false => Exit::BadInput,
        };
        Failure::new(code, errors)
    })
}

/// Notes on a plan, to standard error.
pub(super) fn say_notes(notes: &ScenarioNotes) {
    if !notes.is_empty() {
        say(notes);
    }
}
