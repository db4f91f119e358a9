//! Whether a dataset can be trusted: checks over what was counted. Pure.
//!
//! Each check says what was found, what the limit is, and what to do. The limits are in one place
//! ([`limits`]) and are told in `docs/audit.md`.

pub mod again;
mod checks;
pub mod limits;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::figures::Figures;

/// Version of the form of `audit_<stamp>.json`.
pub const AUDIT_SCHEMA_VERSION: u32 = 1;

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Within the limit.
    Ok,
    /// Good to know.
    Info,
    /// The dataset can be used with care.
    Warning,
    /// The dataset can't be used.
    Error,
}

/// What to think of a dataset.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No check found anything.
    Usable,
    /// Some found a warning.
    UsableWithWarnings,
    /// One found an error.
    NotUsable,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name, which stays the same.
    pub id: String,
    /// How bad what it found is.
    pub level: Level,
    /// What was found.
    pub figure: String,
    /// From where on it is worth a word; empty: there is no limit.
    pub limit: String,
    /// What to do about it; empty: nothing.
    pub advice: String,
    /// By service, window or place.
    pub details: Vec<String>,
}

/// All checks of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// The worst of the checks.
    pub verdict: Verdict,
    /// The checks, always all of them, in the same order.
    pub checks: Vec<Check>,
}

/// What stands in `audit_<stamp>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFile {
    /// [`AUDIT_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// `<YYYYMMDD_HHMMSS>` in the name of every file of the dataset.
    pub stamp: String,
    /// Version of loadgen that made the dataset.
    pub loadgen_version: String,
    /// What was found.
    pub audit: Audit,
    /// What was counted.
    pub figures: Figures,
    /// Lines that could not be read, as far as they are named.
    pub skipped: Vec<crate::report::LineProblem>,
}

/// Checks what was counted.
pub fn audit(figures: &Figures) -> Audit {
    of_checks(checks::all(figures))
}

/// The verdict over checks.
pub fn of_checks(checks: Vec<Check>) -> Audit {
    let worst = checks.iter().map(|check| check.level).max();
    Audit {
        verdict: match worst {
            Some(Level::Error) => Verdict::NotUsable,
            Some(Level::Warning) => Verdict::UsableWithWarnings,
            _ => Verdict::Usable,
        },
        checks,
    }
}

/// JSON Schema of `audit_<stamp>.json`.
pub fn audit_json_schema() -> serde_json::Value {
    schemars::schema_for!(AuditFile).to_value()
}
