//! What was found out, as figures for the audit and for people.

use std::collections::BTreeMap;

use loadgen_evidence::{Compared, Verdict};
use loadgen_timeline::audit::{
    Effect, Figures, ForeignRows, Gap, LateSpans, TimeOffset, WindowFigures,
};
use loadgen_timeline::condition::{FaultState, NONE, TimeSpan};

use super::arrivals::{Losses, Silence};
use super::offset::offset;
use super::predict::{Feature, blocks, predict};
use super::{RunFacts, fault_of, is_harmless};
use crate::label::survey::Gathered;
use crate::label::truth::{Foreign, Truth};
use crate::scan::ScanFacts;

/// The figures of what was gathered.
pub(crate) fn figures(truth: &Truth, gathered: &Gathered, run: &RunFacts) -> Figures {
    let counts = &gathered.counts;
    let losses = gathered.arrivals.losses();
    let blocks = blocks(truth, gathered, run);
    let windows =
        (0..truth.timeline.windows.len()).map(|index| window(truth, gathered, run, &losses, index));
    Figures {
        traces: counts.traces,
        traces_cut: counts.traces_cut,
        traces_without_root: counts.traces_without_root,
        duplicate_spans: counts.duplicate_spans,
        short_trace_ids: counts.short_trace_ids,
        late_spans: late_spans(gathered),
        foreign: foreign(gathered),
        silent_steps: losses.silent_steps.iter().cloned().collect(),
        gaps: losses.gaps.iter().map(|of| gap(truth, of)).collect(),
        windows: windows.collect(),
        services: gathered.services.clone(),
        recovery_known: run.recoveries.is_some(),
        mix: predict(&blocks, Feature::Mix),
        rate: predict(&blocks, Feature::Rate),
        ..Figures::default()
    }
}

/// By how much the times of spans miss the run; none where they don't.
pub(crate) fn time_offset(truth: &Truth, facts: &ScanFacts) -> Option<TimeOffset> {
    let stretches = truth.conditions.stretches();
    let run = (stretches.first()?.time.0, stretches.last()?.time.1);
    offset(run, facts.extent?)
}

fn window(
    truth: &Truth,
    gathered: &Gathered,
    run: &RunFacts,
    losses: &Losses,
    index: usize,
) -> WindowFigures {
    let timeline = &truth.timeline;
    let window = &timeline.windows[index];
    let of = &gathered.windows[index];
    let is_harmless = is_harmless(timeline, window);
    let evidence = run.evidence.window(index as u32);
    let strongest = evidence.and_then(|e| e.strongest.as_ref());
    let declared = evidence.and_then(|e| e.declared.as_ref());
    let rank = evidence.and_then(|e| e.root_cause_rank);
    let in_gaps = losses
        .gaps
        .iter()
        .filter_map(|gap| gap.windows.get(&Some(index)));
    WindowFigures {
        scenario: window.scenario.clone(),
        anomaly_type: window.anomaly.kind.clone(),
        spans: of.spans,
        traces: of.traces,
        requests: of.requests,
        lost_traces: losses.windows.get(&index).map_or(0, |of| of.lost()),
        gap_requests: in_gaps.sum(),
        recovered_ns: recovered_ns(truth, run, index),
        steady_spans: 0,
        fault_state: fault_state(truth, index).name().to_owned(),
        warm_up: window.warm_up,
        sham: window.declared.is_some() && !is_harmless,
        harmless: window.declared.is_some() && is_harmless,
        declared: declared.map(|of| of.kind.clone()),
        declared_service: declared.and_then(|of| of.root_cause_service.clone()),
        verdict: evidence
            .and_then(|e| e.verdict)
            .map(|v| Verdict::as_str(v).to_owned()),
        reasons: evidence.map_or_else(Vec::new, |e| e.reasons.clone()),
        effect: strongest.map(|s| Effect {
            signal: s.signal.as_str().to_owned(),
            value: s.effect.value,
            low: s.effect.low,
            high: s.effect.high,
        }),
        onset_s: evidence.and_then(|e| e.onset_s),
        recovery_s: evidence.and_then(|e| e.recovery_s),
        traces_met: evidence
            .filter(|e| e.declared.is_some())
            .map(|e| e.traces_met),
        root_cause_rank: rank.map(|rank| rank.rank),
        root_cause_tied: rank.is_some_and(|rank| rank.tied),
        higher_load: evidence
            .and_then(|e| e.compared.as_ref())
            .filter(|_| declared.is_some())
            .and_then(Compared::higher_load),
    }
}

/// What backs a window's label: what it was for the longest part of it that says anything.
pub(crate) fn fault_state(truth: &Truth, index: usize) -> FaultState {
    let window = &truth.timeline.windows[index];
    // The fault of the window before it may reach into a normal one.
    if window.anomaly.kind == NONE && window.declared.is_none() {
        return FaultState::None;
    }
    let mut shares: BTreeMap<FaultState, i64> = BTreeMap::new();
    let stretches = truth.conditions.stretches().iter();
    for stretch in stretches.filter(|s| s.windows.contains(&index)) {
        let length = stretch.time.1 - stretch.time.0;
        *shares.entry(stretch.fault_state).or_default() += length;
    }
    let said = shares
        .iter()
        .filter(|(state, _)| **state != FaultState::None);
    said.max_by_key(|(_, length)| **length)
        .map_or(FaultState::None, |(state, _)| *state)
}

/// When the system was back at its normal after a window's fault.
fn recovered_ns(truth: &Truth, run: &RunFacts, index: usize) -> Option<i64> {
    let recoveries = run.recoveries.as_ref()?;
    let fault = fault_of(&truth.timeline, &truth.timeline.windows[index])?;
    let cleared = fault.cleared.as_ref()?;
    let of = |(from, _): &&TimeSpan| *from == cleared.at_ns;
    recoveries.iter().find(of).map(|(_, to)| *to)
}

fn gap(truth: &Truth, gap: &Silence) -> Gap {
    let name = |window: &Option<usize>| match window {
        Some(window) => truth.timeline.windows[*window].scenario.clone(),
        None => "no window".to_owned(),
    };
    Gap {
        from_ns: gap.time.0,
        to_ns: gap.time.1,
        requests: gap.windows.values().sum(),
        scenarios: gap.windows.keys().map(name).collect(),
    }
}

fn late_spans(gathered: &Gathered) -> Vec<LateSpans> {
    let late = gathered
        .late
        .iter()
        .map(|((service, name), spans)| LateSpans {
            service: service.clone(),
            name: name.clone(),
            spans: *spans,
        });
    let mut late: Vec<LateSpans> = late.collect();
    late.sort_by_key(|of| std::cmp::Reverse(of.spans));
    late
}

fn foreign(gathered: &Gathered) -> Vec<ForeignRows> {
    let counts = &gathered.counts;
    let rows = Foreign::ALL.into_iter().map(|foreign| {
        let kind = foreign as usize - 1;
        ForeignRows {
            kind: foreign.name().to_owned(),
            traces: counts.foreign_traces[kind],
            spans: counts.foreign_spans[kind],
            log_records: counts.foreign_logs[kind],
            data_points: 0,
        }
    });
    rows.filter(|rows| rows.spans + rows.log_records > 0)
        .collect()
}

/// Adds data points that are not the run's, by [`Foreign`].
pub(crate) fn foreign_points(figures: &mut Figures, data_points: [u64; 3]) {
    for foreign in Foreign::ALL {
        let kind = foreign.name();
        let data_points = data_points[foreign as usize - 1];
        match figures.foreign.iter_mut().find(|rows| rows.kind == kind) {
            Some(rows) => rows.data_points = data_points,
            None if data_points == 0 => {}
            None => figures.foreign.push(ForeignRows {
                kind: kind.to_owned(),
                traces: 0,
                spans: 0,
                log_records: 0,
                data_points,
            }),
        }
    }
}
