//! The preflight: nobody should spend 15 minutes of load on a target whose traces can't be labelled.
//!
//! [`probe`] sends each flow of a plan once, with traces that are marked, and says of each step how
//! it went; [`diagnose`] looks at what became of these traces. Both give [`Finding`]s that say
//! what to fix, and where.

pub mod diagnose;
pub mod probe;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingLevel {
    /// Good to know.
    Info,
    /// A dataset can be made, with care.
    Warning,
    /// A dataset would not be usable.
    Error,
}

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, which stays the same.
    pub id: &'static str,
    /// How bad it is.
    pub level: FindingLevel,
    /// What was seen.
    pub message: String,
    /// What to fix, in the words of the technology that it is in.
    pub advice: String,
}
