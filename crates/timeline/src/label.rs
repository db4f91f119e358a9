//! Words that labels are made of.

/// The anomaly type of a system that is well.
pub const NONE: &str = "none";

/// Type, label and root cause of a condition that is not known.
pub const UNKNOWN: &str = "unknown";

/// `anomaly_label`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// No fault was in force.
    Normal,
    /// At least one was.
    Anomalous,
    /// Whether one was can't be said.
    Unknown,
}

impl Label {
    /// As in the dataset and in `x-anomaly-label`.
    pub fn name(self) -> &'static str {
        match self {
            Label::Normal => "normal",
            Label::Anomalous => "anomalous",
            Label::Unknown => UNKNOWN,
        }
    }
}
