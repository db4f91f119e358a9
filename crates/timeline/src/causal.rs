//! The causal graphs of a run: which services shifted in each episode, when, and along which calls
//! that can have travelled. `causal_graph_STAMP.json` of a dataset; its JSON schema is
//! `docs/schema/causal-graph.schema.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Effect;

/// Version of the form, raised when a reader of the old form would misread the new.
pub const CAUSAL_GRAPH_SCHEMA_VERSION: u32 = 1;

/// The JSON schema of [`CausalGraphs`].
pub fn causal_graph_json_schema() -> serde_json::Value {
    schemars::schema_for!(CausalGraphs).to_value()
}

/// The causal graphs of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CausalGraphs {
    /// [`CAUSAL_GRAPH_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run's name, as on its timeline.
    pub run_id: String,
    /// Each window that declares an anomaly, in the order of opening.
    pub episodes: Vec<Episode>,
}

/// A window that declares an anomaly. All of it but what is declared comes from the evidence and
/// claims no more than that does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Episode {
    /// Its number in the dataset's table of windows.
    pub window: u32,
    /// Its scenario.
    pub scenario: String,
    /// The anomaly's type, as declared.
    pub anomaly_type: String,
    /// Nothing was injected.
    pub sham: bool,
    /// What backs the label: `confirmed`, `declared`, `sham`, `harmless`, `failed` or
    /// `none`.
    pub fault_state: String,
    /// What the evidence says.
    pub verdict: Option<String>,
    /// The effect that the verdict rests on; none: nothing was compared.
    pub effect: Option<Effect>,
    /// The services that the anomaly is declared to be in; empty: it names none.
    pub root_cause_services: Vec<String>,
    /// Rank of the declared service among all by the strength of its own effect, 1 is the
    /// strongest; none: not ranked.
    pub root_cause_rank: Option<u32>,
    /// Services that show something of their own, beyond what they wait for or get from others, the
    /// strongest first: root causes as ranked.
    pub ranked_root_causes: Vec<String>,
    /// Services that shifted, by their onset and then their names.
    pub services: Vec<ShiftedService>,
    /// Calls along which a shift can have travelled.
    pub edges: Vec<TravelledEdge>,
}

/// A service that shifted in an episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShiftedService {
    /// The service.
    pub service: String,
    /// The anomaly is declared to be in it.
    pub is_root_cause: bool,
    /// Its place in the ranking, from 1.
    pub rank: u32,
    /// When its rows began to shift, seconds after the fault was confirmed (or, without a fault
    /// event, after the window opened); none: single requests don't show it.
    pub onset_s: Option<f64>,
    /// The onset's 95 % interval, seconds: lower and upper end.
    pub onset_interval_s: Option<[f64; 2]>,
}

/// A call between two services that shifted, in the direction against the call: who is called
/// shifts who calls. It is left out where the callee surely shifted later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TravelledEdge {
    /// The service that is called.
    pub from: String,
    /// The service that calls it.
    pub to: String,
    /// How it calls: `http`, `rpc`, `db`, `messaging`, `other`, sorted.
    pub kinds: Vec<String>,
    /// Which of the two shifted first.
    pub order: OnsetOrder,
}

/// Which of two services shifted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnsetOrder {
    /// Who is called: its onset's interval ends before the caller's begins.
    CalleeFirst,
    /// The two intervals overlap: it can't be told.
    Overlap,
    /// One of the two has no onset.
    Unknown,
}
