//! When things start: pure functions of an executor, without a clock. All times are whole
//! nanoseconds from the start of the scenario; where a moment falls between two nanoseconds the
//! later one is taken, so nothing ever starts early.

mod arrival;
mod line;
mod vus;

pub use arrival::{ArrivalSchedule, Starts};
pub use vus::{VuSchedule, VuSteps};

use crate::plan::{Executor, Stage};

/// Length of an executor's window in nanoseconds: its duration, the sum of its stages, or its
/// `maxDuration`.
pub fn planned_length_ns(executor: &Executor) -> u64 {
    match executor {
        Executor::ConstantVus { duration_ns, .. }
        | Executor::ConstantArrivalRate { duration_ns, .. }
        | Executor::ExternallyControlled { duration_ns, .. }
        | Executor::NoLoad { duration_ns } => *duration_ns,
        Executor::RampingVus { stages, .. } | Executor::RampingArrivalRate { stages, .. } => {
            stages_length_ns(stages)
        }
        Executor::PerVuIterations {
            max_duration_ns, ..
        }
        | Executor::SharedIterations {
            max_duration_ns, ..
        } => *max_duration_ns,
    }
}

fn stages_length_ns(stages: &[Stage]) -> u64 {
    stages
        .iter()
        .fold(0, |sum, stage| sum.saturating_add(stage.duration_ns))
}
