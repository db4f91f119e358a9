//! Scenario files and what follows from them, without a clock and without a socket.
//!
//! A scenario file (YAML) says which flows run when, with k6's executors, and what each window is
//! labelled with. [`load()`] makes a [`Plan`] of it: names resolved, defaults filled in, offsets
//! computed. Which faults there are it is told ([`FaultCatalogue`]); of targets it knows nothing. An engine runs the plan with the pure functions of this crate:
//!
//! - [`ArrivalSchedule`] and [`VuSchedule`] say when iterations or VUs start,
//! - [`Iteration`] says what each iteration sends, by the seeded choices of [`Prng`],
//! - [`Shard`] says which VUs and iterations are whose where several generators share a run.
//!
//! ```
//! use loadgen_scenario::{Iteration, PlanOptions, Prng, StepRequest, plan_str};
//!
//! let file = "
//! version: 1
//! flows:
//!   default:
//!     vars: {sku: {pick: [RED, HPTD]}}
//!     steps: [{path: '/api/catalogue/product/${sku}'}]
//! scenarios:
//!   baseline: {executor: constant-vus, vus: 10, duration: 2m}
//! ";
//! let plan = plan_str("example.yaml", file, &PlanOptions::default())?;
//! let scenario = &plan.scenarios[0];
//! let prng = Prng::new(plan.seed, &scenario.name);
//! let mut iteration = Iteration::new(&plan, scenario, prng, 0);
//! let StepRequest::Send(request) = iteration.request(0) else { unreachable!() };
//! assert!(request.path.starts_with("/api/catalogue/product/"));
//! # Ok::<(), loadgen_scenario::ScenarioErrors>(())
//! ```
//!
//! The format is described in `docs/scenario-format.md`, the choices in `docs/prng.md`.

mod catalogue;
pub mod clients;
mod diagnostic;
mod duration;
mod episodes;
pub mod evaluation;
mod expect;
mod file;
mod interval;
pub mod iteration;
mod k6_block;
mod load;
mod number;
mod options;
pub mod plan;
pub mod prng;
pub mod redact;
mod render;
mod resolve;
pub mod schedule;
mod schema;
pub mod secrets;
mod shape;
mod shard;
pub mod steady;
mod template;
mod values;
mod yaml;

pub use catalogue::{CatalogueFault, FaultCatalogue, Parameter, ParameterKind, labels};
pub use clients::{CELL_KEY, CELLS, Clients};
pub use diagnostic::{Diagnostic, Place, ScenarioErrors, ScenarioNotes};
pub use duration::{format_duration, parse_duration};
pub use evaluation::{
    EVALUATION_WINDOW_NS, EvaluationWindow, evaluation_counts, evaluation_windows,
};
pub use iteration::{CaptureError, Iteration, Request, StepRequest};
pub use load::{Loaded, load, load_str, plan_str};
pub use options::PlanOptions;
pub use plan::*;
pub use prng::Prng;
pub use schedule::{ArrivalSchedule, VuSchedule, planned_length_ns};
pub use schema::{file_json_schema, plan_json_schema};
pub use shard::{MOST_SHARDS, Shard, Stripe};
