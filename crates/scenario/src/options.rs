//! What a plan is made with beside its scenario file: what overrides the file, and what its names are
//! checked against.

use crate::catalogue::FaultCatalogue;

/// What a plan is made with beside its scenario file.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// Overrides the file's seed; 0 to 2^53 - 1.
    pub seed: Option<u64>,
    /// Overrides the file's target, such as `http://127.0.0.1:8080`.
    pub base_url: Option<String>,
    /// Stretches the timetable: starts, durations, stages, `max_duration` and guard times. Rates,
    /// VUs, think times, timeouts, graceful stops and fault intensities stay. Above 0; 1 leaves
    /// everything as written.
    pub time_scale: f64,
    /// Overrides the VUs that scenarios begin with whose number a flag says.
    pub vus: Option<u32>,
    /// Names of the scenarios to run; none: all. The time in which only others would run is cut
    /// out of the timetable.
    pub scenarios: Vec<String>,
    /// What the drivers can inject. Names of faults and services are checked for these drivers only.
    pub catalogues: Vec<FaultCatalogue>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            seed: None,
            base_url: None,
            time_scale: 1.0,
            vus: None,
            scenarios: Vec::new(),
            catalogues: Vec::new(),
        }
    }
}
