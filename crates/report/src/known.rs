//! What is there of a run before its tables are read, and notes of what is not.

use loadgen_evidence::Evidence;
use loadgen_timeline::Timeline;
use loadgen_timeline::audit::AuditFile;
use serde::Serialize;

/// Something that can't be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The file, without folder and stamp.
    pub table: String,
    /// What it would show.
    pub shows: String,
    /// Why it is not there.
    pub why: String,
}

/// The files of a run, as far as they are small: all of them can be missing.
pub(crate) struct Known {
    pub(crate) timeline: Option<Timeline>,
    pub(crate) audit: Option<AuditFile>,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) began_ns: i64,
}

/// Notes what can't be shown.
#[derive(Default)]
pub(crate) struct Gaps(Vec<Missing>);

impl Gaps {
    /// The result, or nothing and a note that says which part of the page that costs.
    pub(crate) fn note<T, E: ToString>(
        &mut self,
        table: &str,
        shows: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| {
                self.0.push(Missing {
                    table: table.to_owned(),
                    shows: shows.to_owned(),
                    why: error.to_string(),
                });
            })
            .ok()
    }

    /// What was noted, in its order.
    pub(crate) fn into_missing(self) -> Vec<Missing> {
        self.0
    }
}

/// What a variant is called in JSON.
pub(crate) fn word(value: &impl Serialize) -> Option<String> {
    let value = serde_json::to_value(value).ok()?;
    value.as_str().map(str::to_owned)
}
