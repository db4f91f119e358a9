//! Whether a dataset can be trusted: checks over what was counted. Pure.
//!
//! Each check says what was found, what the limit is, and what to do. The limits are in one place
//! ([`limits`]) and are told in `docs/audit.md`. The types are those of [`loadgen_timeline::audit`].

pub mod again;
mod checks;
pub mod limits;

use loadgen_timeline::audit::{Audit, Figures};

/// Checks what was counted.
pub fn audit(figures: &Figures) -> Audit {
    Audit::from(checks::all(figures))
}
