//! What is found out about the run as a whole, from what was gathered: clocks, phases, recoveries,
//! the evidence, what was lost, and what gives the label away.

pub(crate) mod arrivals;
mod counting;
mod figures;
mod ids;
pub(crate) mod leaks;
pub(crate) mod normal;
pub(crate) mod observe;
mod offset;
pub(crate) mod outcomes;
mod predict;
mod recovery;
mod run_said;

use loadgen_evidence::{
    Declared, Evidence, EvidenceWindow, Interval, Recovery, Run, Thresholds, WindowKind, evaluate,
};
use loadgen_timeline::Timeline;
use loadgen_timeline::audit::ClockFigures;
use loadgen_timeline::condition::{self, FaultState, NONE, Stretch, UNKNOWN_CONDITION};
use loadgen_timeline::phase::Phases;
use loadgen_timeline::read::FaultInterval;

use crate::label::Offsets;
use crate::label::clocks::{GENERATOR, GRAIN_NS, WHOLE_MILLISECONDS_GRAIN_NS};
use crate::label::survey::Gathered;
use crate::label::truth::Truth;
use crate::scan::spans::GENERATOR_SERVICE;
pub(crate) use figures::{fault_state, figures, foreign_points, time_offset};
pub(crate) use ids::ID_COLUMNS;
pub(crate) use leaks::{leaking_columns, leaks};
pub(crate) use run_said::RunSaid;

/// What holds for the whole run.
#[derive(Debug)]
pub(crate) struct RunFacts {
    pub(crate) phases: Phases,
    pub(crate) evidence: Evidence,
    /// The steady normal time of the run, without shams, harmless changes and warm-up.
    pub(crate) reference: Vec<Interval>,
    /// From the clearing of each fault until the system was back; none: there is no steady normal
    /// time to compare with.
    pub(crate) recoveries: Option<Vec<condition::TimeSpan>>,
}

impl RunFacts {
    /// From what was gathered of all partitions.
    pub(crate) fn new(truth: &Truth, gathered: &Gathered) -> Self {
        let mut phases = Phases::new(&truth.timeline, |window| gathered.p99_ns(window));
        let recoveries = recovery::recoveries(
            &truth.timeline,
            &truth.conditions,
            &phases,
            &gathered.outcomes,
        );
        phases.set_recoveries(recoveries.clone().unwrap_or_default());
        let run = run(truth, &phases);
        Self {
            evidence: evaluate(&run, &gathered.sample, &Thresholds::default()),
            reference: run.reference,
            phases,
            recoveries,
        }
    }
}

/// The run as the evidence sees it.
fn run(truth: &Truth, phases: &Phases) -> Run {
    let timeline = &truth.timeline;
    let windows: Vec<EvidenceWindow> = timeline
        .windows
        .iter()
        .enumerate()
        .map(|(index, window)| {
            let own = own_time(truth, index);
            let steady = own.iter().flat_map(|time| phases.steady_in(*time));
            let fault = fault_of(timeline, window);
            EvidenceWindow {
                index: index as u32,
                scenario: window.scenario.clone(),
                kind: kind(timeline, window),
                opened_ns: window.opened_ns,
                closed_ns: window.closed_ns,
                steady: steady.map(interval).collect(),
                own: own.into_iter().map(interval).collect(),
                injected_ns: fault.map(|f| f.injected.at_ns),
                recovery: fault.and_then(|f| recovery_after(truth, f)),
            }
        })
        .collect();
    let normal = windows.iter().filter(|w| w.kind == WindowKind::Normal);
    let run_id = timeline.run.as_ref().map(|run| run.run_id.clone());
    Run {
        run_id: run_id.unwrap_or_default(),
        reference: once(normal.flat_map(|w| w.steady.iter().copied()).collect()),
        windows,
    }
}

/// The normal time of the run before anything is found out of it: all of [`RunFacts::reference`] lies
/// in it.
pub(crate) fn normal_time(truth: &Truth) -> Vec<Interval> {
    let windows = truth.timeline.windows.iter().enumerate();
    let normal = windows.filter(|(_, of)| kind(&truth.timeline, of) == WindowKind::Normal);
    let own = normal.flat_map(|(index, _)| own_time(truth, index));
    once(own.map(interval).collect())
}

/// Normal windows may overlap; their time counts once.
fn once(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_unstable();
    let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match merged.last_mut() {
            Some(last) if interval.from_ns < last.to_ns => {
                last.to_ns = last.to_ns.max(interval.to_ns);
            }
            _ => merged.push(interval),
        }
    }
    merged
}

fn interval((from, to): condition::TimeSpan) -> Interval {
    Interval::new(from, to)
}

fn kind(timeline: &Timeline, window: &loadgen_timeline::Window) -> WindowKind {
    let declared = |anomaly: &loadgen_timeline::Anomaly| Declared {
        kind: anomaly.kind.clone(),
        root_cause_service: anomaly.root_cause_service.clone(),
    };
    match &window.declared {
        _ if window.warm_up => WindowKind::WarmUp,
        Some(anomaly) if is_harmless(timeline, window) => WindowKind::Harmless(declared(anomaly)),
        Some(anomaly) => WindowKind::Sham(declared(anomaly)),
        None if window.anomaly.kind == NONE => WindowKind::Normal,
        None => WindowKind::Anomalous(declared(&window.anomaly)),
    }
}

/// Whether what a window injected breaks nothing.
pub(crate) fn is_harmless(timeline: &Timeline, window: &loadgen_timeline::Window) -> bool {
    fault_of(timeline, window).is_some_and(|fault| fault.injected.harmless)
}

/// The time in which a window's own condition held and no other: that of its faults, or its edges
/// where there is no fault event. A sham or a harmless change within a normal window is evaluated
/// as an anomaly is, and so its time is not what others are compared with.
fn own_time(truth: &Truth, index: usize) -> Vec<condition::TimeSpan> {
    let timeline = &truth.timeline;
    let window = &timeline.windows[index];
    let faults = timeline.faults.iter();
    let faults = faults.filter(|f| f.injected.scenario == window.scenario);
    let mut times: Vec<condition::TimeSpan> = faults
        .map(|fault| {
            let cleared = fault.cleared.as_ref().map(|c| c.at_ns);
            let end = cleared.or(truth.conditions.run().map(|run| run.1));
            (fault.injected.at_ns, end.unwrap_or(window.closed_ns))
        })
        .collect();
    if times.is_empty() {
        times.push((window.opened_ns, window.closed_ns));
    }
    let stretches = truth.conditions.stretches().iter();
    let own = stretches.filter(|stretch| {
        if stretch.condition == UNKNOWN_CONDITION {
            return false;
        }
        let anomalies = &truth.conditions.all()[stretch.condition].anomalies;
        match (&anomalies[..], window.anomaly.kind == NONE) {
            ([], true) => {
                let is_evaluated = [FaultState::Sham, FaultState::Harmless];
                window.declared.is_some() || !is_evaluated.contains(&stretch.fault_state)
            }
            ([one], false) => one.kind == window.anomaly.kind,
            _ => false,
        }
    });
    // Nothing changes within a stretch, so it lies in a fault's time as a whole or not at all.
    let within = |s: &&Stretch| times.iter().any(|t| t.0 <= s.time.0 && s.time.1 <= t.1);
    own.filter(within).map(|s| s.time).collect()
}

/// The last fault that a window's scenario injected.
pub(crate) fn fault_of<'t>(
    timeline: &'t Timeline,
    window: &loadgen_timeline::Window,
) -> Option<&'t FaultInterval> {
    let mut faults = timeline.faults.iter().rev();
    faults.find(|f| f.injected.scenario == window.scenario)
}

fn recovery_after(truth: &Truth, fault: &FaultInterval) -> Option<Recovery> {
    let cleared = fault.cleared.as_ref()?;
    let next = recovery::next_fault_ns(&truth.timeline, fault);
    let until_ns = next.or(truth.conditions.run().map(|run| run.1))?;
    (until_ns > cleared.at_ns).then_some(Recovery {
        cleared_ns: cleared.at_ns,
        until_ns,
    })
}

/// How far clocks are ahead of the generator's, and the same for the audit.
pub(crate) fn clocks(truth: &Truth, gathered: &Gathered) -> (Offsets, Vec<ClockFigures>) {
    let exchanges = &gathered.exchanges;
    let resources = 0..gathered.resources.len() as u32;
    let grain = |resource: u32| match gathered.whole_milliseconds.get(resource as usize) {
        Some(true) => WHOLE_MILLISECONDS_GRAIN_NS,
        None if truth.is_k6() => WHOLE_MILLISECONDS_GRAIN_NS,
        _ => GRAIN_NS,
    };
    // Without the generator's clock the one that most exchanges were seen of is the measure.
    let reference = if exchanges.exchanges_of(GENERATOR) > 0 {
        GENERATOR
    } else {
        let is_generator = |r: &u32| gathered.resources[*r as usize].service == GENERATOR_SERVICE;
        let most = |r: &u32| {
            (
                exchanges.exchanges_of(*r),
                std::cmp::Reverse(&gathered.resources[*r as usize]),
            )
        };
        let own = resources.clone().find(is_generator);
        own.or_else(|| resources.clone().max_by_key(most))
            .unwrap_or(GENERATOR)
    };
    let by_number = exchanges.offsets(reference, grain);
    let mut offsets = Offsets::new();
    let mut figures = Vec::new();
    for (resource, id) in gathered.resources.iter().enumerate() {
        let Some(offset) = by_number.get(&(resource as u32)) else {
            continue;
        };
        figures.push(ClockFigures {
            service: id.service.clone(),
            instance: id.instance.clone(),
            ahead_ns: offset.ahead_ns,
            bound_ns: offset.bound_ns,
            exchanges: exchanges.exchanges_of(resource as u32),
        });
        offsets.insert(id.clone(), *offset);
    }
    let order = |c: &ClockFigures| (c.service.clone(), c.instance.clone());
    figures.sort_by_key(order);
    (offsets, figures)
}

#[cfg(test)]
mod tests {
    use loadgen_timeline::read::parse;

    use super::*;

    /// A load from 0 to 100 s, a fault from 20 to 30 s, a sham from 50 to 60 s, a normal window from 70
    /// to 80 s and a change that is harmless from 85 to 95 s.
    fn truth() -> Truth {
        let second = |s: i64| s * 1_000_000_000;
        let line = |event: &str, scenario: &str, at: i64, more: &str| {
            let at = second(at);
            format!(r#"{{"event":"{event}","scenario":"{scenario}","at_ns":{at}{more}}}"#) + "\n"
        };
        let none = r#"{"type":"none","label":"normal","root_cause":"none","msg":""}"#;
        let slow = r#"{"type":"slow","label":"anomalous","root_cause":"r","msg":""}"#;
        let window = |name: &str, from: i64, to: i64, anomaly: &str, declared: &str| {
            let planned = r#""planned_start_ns":0,"planned_end_ns":0"#;
            let opened = format!(r#","anomaly":{anomaly},{planned}{declared}"#);
            let closed =
                r#","last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0"#;
            line("window_opened", name, from, &opened) + &line("window_closed", name, to, closed)
        };
        let fault = |event: &str, name: &str, at: i64, more: &str| {
            let requested = second(at);
            let of = r#""driver":"shop","fault":"hang","service":"a""#;
            line(
                event,
                name,
                at,
                &format!(r#",{of},"requested_ns":{requested}{more}"#),
            )
        };
        let (sham, harmless) = (r#","sham":true"#, r#","harmless":true"#);
        let text = window("load", 0, 100, none, "")
            + &window("fault", 20, 30, slow, "")
            + &fault("fault_injected", "fault", 20, "")
            + &fault("fault_cleared", "fault", 30, "")
            + &window("sham", 50, 60, none, &format!(r#","declared":{slow}"#))
            + &fault("fault_injected", "sham", 50, sham)
            + &fault("fault_cleared", "sham", 60, sham)
            + &window("marked", 70, 80, none, "")
            + &window("release", 85, 95, none, &format!(r#","declared":{slow}"#))
            + &fault("fault_injected", "release", 85, harmless)
            + &fault("fault_cleared", "release", 95, harmless)
            + &format!(
                r#"{{"event":"run_finished","at_ns":{},"status":"completed"}}"#,
                second(100)
            )
            + "\n";
        Truth::new(Some(parse(text.as_bytes())), false, Vec::new())
    }

    /// In seconds, with neighbours joined.
    fn seconds(intervals: Vec<Interval>) -> Vec<(i64, i64)> {
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for one in intervals {
            let (from, to) = (one.from_ns / 1_000_000_000, one.to_ns / 1_000_000_000);
            match joined.last_mut() {
                Some(last) if last.1 == from => last.1 = to,
                _ => joined.push((from, to)),
            }
        }
        joined
    }

    #[test]
    fn normal_time_is_the_load_without_faults_shams_and_harmless_changes_and_counts_once() {
        let truth = truth();
        let phases = Phases::new(&truth.timeline, |_| 0);
        let run = run(&truth, &phases);
        let edges = seconds(run.reference.clone());
        // A change takes the moment in which it is confirmed.
        assert_eq!(edges, [(0, 20), (30, 50), (60, 85), (95, 100)]);
        assert_eq!(seconds(normal_time(&truth)), edges);
        let length: i64 = run.reference.iter().map(|i| i.to_ns - i.from_ns).sum();
        assert!(
            (69_999_999_990..=70_000_000_000).contains(&length),
            "{length}"
        );
        let own = |index: usize| seconds(run.windows[index].own.clone());
        assert_eq!(own(1), [(20, 30)]);
        assert_eq!(own(2), [(50, 60)]);
        assert_eq!(own(3), [(70, 80)]);
        assert_eq!(own(4), [(85, 95)]);
        let kind = |index: usize| &run.windows[index].kind;
        assert!(matches!(kind(2), WindowKind::Sham(of) if of.kind == "slow"));
        assert!(matches!(kind(4), WindowKind::Harmless(of) if of.kind == "slow"));
    }
}
