//! Compares runs in pairs: whether two engines send the same work, and where what they measure
//! differs, and why. A run is a folder that `loadgen run` wrote; which engine made it does not
//! matter.
//!
//! - `load` reads a run folder and joins each request to the target's own server span;
//! - [`figures`] says which figures of a run are compared, [`work`] whether iterations are alike;
//! - [`statistics`] makes an estimate, an interval and a verdict of paired differences (pure);
//! - [`compare()`] puts them together to a [`Comparison`];
//! - [`report`] shows it: a table, JSON, CSV, and a page with plots.
//!
//! ```no_run
//! use loadgen_compare::{Options, Pair, LoadedRun, compare, report};
//!
//! let (a, b) = (LoadedRun::load("runs/rust".as_ref())?, LoadedRun::load("runs/k6".as_ref())?);
//! let pairs = [Pair { repetition: 1, a, b }];
//! let comparison = compare(&pairs, Vec::new(), &Options::default());
//! println!("{}", report::table(&comparison));
//! report::write("runs/compared".as_ref(), &comparison, &pairs)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How to read the result is told in `docs/comparison.md`.

mod agree;
mod cause;
mod compare;
mod comparison;
pub mod figures;
mod load;
mod pair;
pub mod report;
pub mod statistics;
pub mod work;

pub use compare::{Options, compare};
pub use comparison::{
    COMPARISON_SCHEMA_VERSION, Comparison, Difference, Intervals, LeftOut, PairOfRuns, Row,
    RunReference, ScenarioComparison, Sides, comparison_json_schema,
};
pub use load::{LoadError, LoadedRun, RequestChoice, ScenarioRequests, TargetSide};
pub use pair::Pair;
