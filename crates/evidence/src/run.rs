//! What is known of a run besides its telemetry: its windows, and which of its time is what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Interval;

/// A run: its windows, and the time that is their reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Unique name of the run, as on its timeline. Permutations are drawn from it, so that the same
    /// run has the same evidence each time.
    pub run_id: String,
    /// The steady normal time of the run: what windows are compared with. The steady time of normal
    /// windows, without sham and harmless windows and without the warm-up.
    pub reference: Vec<Interval>,
    /// All windows that are to be evaluated.
    pub windows: Vec<EvidenceWindow>,
}

/// A window of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceWindow {
    /// Its number in the dataset's table of windows.
    pub index: u32,
    /// Its scenario.
    pub scenario: String,
    /// What it is evaluated as.
    pub kind: WindowKind,
    /// When it opened, Unix ns.
    pub opened_ns: i64,
    /// When it closed, Unix ns.
    pub closed_ns: i64,
    /// The time in which its own condition held and no other: between its fault's confirmed
    /// changes, or its edges where there is no fault event. Sorted, without overlap.
    pub own: Vec<Interval>,
    /// The steady part of its own time. Sorted, without overlap.
    pub steady: Vec<Interval>,
    /// When its fault was confirmed to be in force, Unix ns; none: no fault event. The onset is
    /// counted from here, else from [`EvidenceWindow::opened_ns`].
    pub injected_ns: Option<i64>,
    /// Where its fault began to go, and for how long the target was left alone after that; none: no
    /// fault event, or nothing to look at before the next fault.
    pub recovery: Option<Recovery>,
}

/// The time after a fault in which a recovery can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// When the clear was confirmed, Unix ns. The recovery is counted from here.
    pub cleared_ns: i64,
    /// Until when what is sent says something about this fault, Unix ns: until the next fault of
    /// any window is asked for, or the run ends.
    pub until_ns: i64,
}

/// What a window is evaluated as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowKind {
    /// It declares an anomaly.
    Anomalous(Declared),
    /// It declares an anomaly and injects nothing. It is evaluated exactly as if it were anomalous.
    Sham(Declared),
    /// It declares an anomaly, and what it injects breaks nothing. It is evaluated exactly as if it
    /// were anomalous.
    Harmless(Declared),
    /// Normal time.
    Normal,
    /// It only warms the target up and is not evaluated.
    WarmUp,
}

impl WindowKind {
    /// The anomaly that the window is evaluated by.
    pub fn declared(&self) -> Option<&Declared> {
        match self {
            Self::Anomalous(declared) | Self::Sham(declared) | Self::Harmless(declared) => {
                Some(declared)
            }
            Self::Normal | Self::WarmUp => None,
        }
    }
}

/// What a window declares about itself, as far as it can be tested.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Declared {
    /// The anomaly's type, such as `latency_spike`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The service that the fault is said to be in. None: the fault is in no single service (of a
    /// host, say), and all services together are tested.
    pub root_cause_service: Option<String>,
}
