//! Along which calls a shift can have travelled, from the evidence and the graph of calls. It adds
//! no test of its own.

use std::collections::{BTreeMap, BTreeSet};

use loadgen_evidence::{EffectSize, Estimate, EvaluatedAs, RankedService, WindowEvidence};
use loadgen_timeline::audit::Effect;
use loadgen_timeline::causal::{
    CAUSAL_GRAPH_SCHEMA_VERSION, CausalGraphs, Episode, OnsetOrder, ShiftedService, TravelledEdge,
};

use super::graph::Graph;
use crate::measure::fault_state;
use crate::rules::RowRules;

/// The kinds of calls by caller and callee.
type Edges<'g> = BTreeMap<(&'g str, &'g str), BTreeSet<&'static str>>;

/// The causal graphs of a run.
pub(super) fn causal_graphs(graph: &Graph, rules: &RowRules<'_>) -> CausalGraphs {
    let mut edges = Edges::new();
    for window in 0..rules.truth.timeline.windows.len() {
        for (caller, callee, protocol, _) in graph.edges_of(window) {
            edges
                .entry((caller, callee))
                .or_default()
                .insert(protocol.name());
        }
    }
    let evidence = &rules.run.evidence;
    let declaring = evidence
        .windows
        .iter()
        .filter(|window| window.declared.is_some());
    CausalGraphs {
        schema_version: CAUSAL_GRAPH_SCHEMA_VERSION,
        run_id: evidence.run_id.clone(),
        episodes: declaring
            .map(|window| episode(window, &edges, rules))
            .collect(),
    }
}

fn episode(window: &WindowEvidence, edges: &Edges<'_>, rules: &RowRules<'_>) -> Episode {
    let declared = window.declared.as_ref();
    let root_cause = declared.and_then(|of| of.root_cause_service.clone());
    let affected: Vec<&RankedService> = window.services.iter().filter(|s| s.affected).collect();
    let mut services: Vec<ShiftedService> = affected
        .iter()
        .map(|ranked| ShiftedService {
            service: ranked.service.clone(),
            is_root_cause: root_cause.as_deref() == Some(&ranked.service),
            rank: ranked.rank,
            onset_s: ranked.shift_onset.map(|onset| onset.value),
            onset_interval_s: ranked.shift_onset.map(|onset| [onset.low, onset.high]),
        })
        .collect();
    let onset = |of: &ShiftedService| of.onset_s.unwrap_or(f64::INFINITY);
    services.sort_by(|a, b| {
        onset(a)
            .total_cmp(&onset(b))
            .then_with(|| a.service.cmp(&b.service))
    });
    let affected_q = rules.run.evidence.thresholds.affected_q;
    let stands_out = |ranked: &&RankedService| {
        let strength = ranked.strength.as_ref();
        strength.is_some_and(|own| own.size == EffectSize::Enough && own.q <= affected_q)
    };
    let ranked = window.services.iter().filter(stands_out);
    Episode {
        window: window.window,
        scenario: window.scenario.clone(),
        anomaly_type: declared.map(|of| of.kind.clone()).unwrap_or_default(),
        sham: window.evaluated_as == EvaluatedAs::Sham,
        fault_state: fault_state(rules.truth, window.window as usize)
            .name()
            .to_owned(),
        verdict: window.verdict.map(|verdict| verdict.as_str().to_owned()),
        effect: window.strongest.as_ref().map(|strongest| Effect {
            signal: strongest.signal.as_str().to_owned(),
            value: strongest.effect.value,
            low: strongest.effect.low,
            high: strongest.effect.high,
        }),
        root_cause_services: root_cause.into_iter().collect(),
        root_cause_rank: window.root_cause_rank.map(|rank| rank.rank),
        ranked_root_causes: ranked.map(|ranked| ranked.service.clone()).collect(),
        services,
        edges: travelled(&affected, edges),
    }
}

/// Calls between services that shifted, without those whose callee surely shifted later.
fn travelled(affected: &[&RankedService], edges: &Edges<'_>) -> Vec<TravelledEdge> {
    let find = |name: &str| affected.iter().find(|ranked| ranked.service == name);
    let along = |((caller, callee), kinds): (&(&str, &str), &BTreeSet<&str>)| {
        let (caller, callee) = (find(caller)?, find(callee)?);
        Some(TravelledEdge {
            from: callee.service.clone(),
            to: caller.service.clone(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            order: order(callee.shift_onset, caller.shift_onset)?,
        })
    };
    edges.iter().filter_map(along).collect()
}

/// Which of two shifted first; none: the caller did, surely.
fn order(callee: Option<Estimate>, caller: Option<Estimate>) -> Option<OnsetOrder> {
    let Some((callee, caller)) = callee.zip(caller) else {
        return Some(OnsetOrder::Unknown);
    };
    if callee.low > caller.high {
        None
    } else if callee.high < caller.low {
        Some(OnsetOrder::CalleeFirst)
    } else {
        Some(OnsetOrder::Overlap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(service: &str, onset: Option<[f64; 3]>) -> RankedService {
        RankedService {
            service: service.into(),
            rank: 1,
            strength: None,
            affected: true,
            onset_s: None,
            onset_rank: None,
            shift_onset: onset.map(|[low, value, high]| Estimate { value, low, high }),
        }
    }

    #[test]
    fn a_shift_travels_against_the_call_unless_the_callee_was_later() {
        let services = [
            ranked("db", Some([0.0, 0.1, 0.2])),
            ranked("api", Some([0.5, 0.6, 0.9])),
            ranked("web", Some([0.8, 1.0, 1.5])),
            ranked("mute", None),
        ];
        let services: Vec<&RankedService> = services.iter().collect();
        let calls = [
            ("web", "api"),
            ("api", "db"),
            ("api", "mute"),
            // It shifted when its caller had long shifted.
            ("db", "web"),
            ("web", "idle"),
        ];
        let edges: Edges<'_> = calls.into_iter().map(|of| (of, ["http"].into())).collect();
        let found: Vec<(String, String, OnsetOrder)> = travelled(&services, &edges)
            .into_iter()
            .map(|edge| (edge.from, edge.to, edge.order))
            .collect();
        let edge = |from: &str, to: &str, order| (from.to_owned(), to.to_owned(), order);
        assert_eq!(
            found,
            [
                edge("db", "api", OnsetOrder::CalleeFirst),
                edge("mute", "api", OnsetOrder::Unknown),
                edge("api", "web", OnsetOrder::Overlap),
            ]
        );
    }
}
