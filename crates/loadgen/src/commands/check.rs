//! `loadgen check`.

use loadgen_scenario::{Loaded, PlanOptions};

use crate::args::CheckArgs;
use crate::exit::{Exit, Failure};
use crate::tables::counted;

pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let options = PlanOptions {
        time_scale: args.time_scale,
        catalogues: loadgen_fault::catalogues(),
        ..PlanOptions::default()
    };
    let (mut wrong, mut code) = (Vec::new(), Exit::Usage);
    for file in &args.files {
        match loadgen_scenario::load(file, &options) {
            Ok(Loaded { plan, notes }) => {
                super::plan::say_notes(&notes);
                super::print(&format!(
                    "{}: fine, {}, {}\n",
                    file.display(),
                    counted(plan.scenarios.len() as u64, "scenario"),
                    counted(plan.flows.len() as u64, "flow")
                ))?;
            }
            Err(errors) => {
                if !errors.of_options {
                    code = Exit::BadInput;
                }
                wrong.push(errors.to_string());
            }
        }
    }
    if wrong.is_empty() {
        Ok(Exit::Success)
    } else {
        Err(Failure::new(code, wrong.join("\n")))
    }
}
