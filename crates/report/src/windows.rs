//! Windows with their faults, and what the evidence says of each.

use loadgen_evidence::{
    Estimate, Evidence, RankedEdge, RankedService, SignalComparison, SignalEvidence, WindowEvidence,
};
use loadgen_timeline::Timeline;
use loadgen_timeline::audit::{AuditFile, WindowFigures};
use loadgen_timeline::event::FaultChanged;
use serde::Serialize;

use crate::known::{Gaps, Known, word};
use crate::number::{seconds_since, six};
use crate::sources::Sources;
use crate::table::{Batch, Table, TableError};

/// A window. Times are seconds since the run began.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Window {
    /// Number, in the order of opening.
    pub number: usize,
    /// The scenario.
    pub scenario: String,
    /// What it is labelled with.
    pub anomaly_type: String,
    /// The type that it is evaluated by; none: it declares none.
    pub declared: Option<String>,
    /// The root cause.
    pub root_cause: String,
    /// The service that the fault is said to be in.
    pub root_cause_service: Option<String>,
    /// A sentence for people.
    pub msg: String,
    /// What it is evaluated by although nothing is broken; none: it is neither a sham nor harmless.
    pub sham_of: Option<String>,
    /// It only warms the target up.
    pub warm_up: bool,
    /// When it opened.
    pub opened_s: f64,
    /// When it closed.
    pub closed_s: f64,
    /// Time after a change that counts as transition, seconds.
    pub guard_s: f64,
    /// Its faults, in the order of their injection.
    pub faults: Vec<Fault>,
    /// `confirmed`, `declared`, `sham`, `harmless`, `failed` or `none`.
    pub fault_state: String,
    /// End of the phase `recovery`.
    pub recovered_s: Option<f64>,
    /// Requests that its scenario sent.
    pub requests: Option<u64>,
    /// Of these, those of which nothing arrived although something should have.
    pub lost_traces: Option<u64>,
    /// Traces whose moment lies in it.
    pub traces: Option<u64>,
    /// Spans of these.
    pub spans: Option<u64>,
    /// Of these in its steady phase.
    pub steady_spans: Option<u64>,
    /// What the evidence says; none: it was not evaluated.
    pub verdict: Option<String>,
    /// Why, in plain words.
    pub reasons: Vec<String>,
    /// The effect that the verdict rests on.
    pub effect: Option<Figure>,
    /// Which signal that is.
    pub effect_signal: Option<String>,
    /// From the injection to the first effect, seconds.
    pub onset_s: Option<f64>,
    /// From the clearing to the last request that shows the anomaly, seconds.
    pub recovery_s: Option<f64>,
    /// Traces through the declared service while the window's condition held; none: it declares none.
    pub traces_met: Option<u64>,
    /// Place of the declared service among all.
    pub rank: Option<u32>,
    /// It shares that place with another one.
    pub rank_tied: bool,
    /// Signals of the declared family.
    pub signals: Vec<SignalRow>,
    /// Services by the strength of their own effect.
    pub services: Vec<ServiceRow>,
    /// Calls between services by their effect.
    pub edges: Vec<EdgeRow>,
}

/// A fault. Times are seconds since the run began.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// Service that it is in.
    pub service: String,
    /// Above 0, up to 1.
    pub intensity: Option<f64>,
    /// All motions were gone through, and nothing was injected.
    pub sham: bool,
    /// It breaks nothing.
    pub harmless: bool,
    /// Injection asked for.
    pub requested_s: Option<f64>,
    /// Injection confirmed.
    pub injected_s: Option<f64>,
    /// Clearing asked for; none: not cleared.
    pub clear_requested_s: Option<f64>,
    /// Clearing confirmed; none: not cleared.
    pub cleared_s: Option<f64>,
}

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What a signal of the declared family shows.
#[derive(Debug, Clone, Serialize)]
pub struct SignalRow {
    /// Which.
    pub signal: String,
    /// What was compared; none: it could not be tested.
    pub subject: Option<String>,
    /// Why it could not be tested.
    pub not_tested: Option<String>,
    /// What was measured, such as `duration_ms`.
    pub measure: Option<String>,
    /// Its unit; empty for shares and counts.
    pub unit: &'static str,
    /// In normal time.
    pub before: Option<f64>,
    /// In the window.
    pub within: Option<f64>,
    /// How many times as much.
    pub ratio: Option<Figure>,
    /// `cliffs_delta` or `risk_difference`.
    pub effect_kind: Option<String>,
    /// The effect.
    pub effect: Option<Figure>,
    /// `none`, `small` or `enough`.
    pub size: Option<String>,
    /// p over the family.
    pub p: Option<f64>,
}

/// A service in a window's ranking.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceRow {
    /// The service.
    pub service: String,
    /// Its place.
    pub rank: u32,
    /// Its strongest effect of its own.
    pub effect: Option<Figure>,
    /// What was measured.
    pub measure: Option<String>,
    /// p, adjusted for the false discovery rate.
    pub q: Option<f64>,
    /// Its rows shifted.
    pub affected: bool,
    /// Seconds after the confirmation of the fault.
    pub onset_s: Option<f64>,
}

/// Calls from one service to another in a window's ranking.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeRow {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// Its strongest effect.
    pub effect: Option<Figure>,
    /// Seconds after the confirmation of the fault.
    pub onset_s: Option<f64>,
}

/// The windows, of the dataset's table, else of the timeline.
pub(crate) fn windows(sources: &Sources, known: &Known, gaps: &mut Gaps) -> Vec<Window> {
    let of_table = sources.file("windows", "parquet").and_then(|path| {
        let read = from_table(&path, known.began_ns);
        gaps.note("windows", "windows with their verdicts", read)
    });
    let timeline = known.timeline.as_ref();
    let mut windows = match (of_table, timeline) {
        (Some(windows), _) => windows,
        (None, Some(timeline)) => from_timeline(timeline, known.began_ns),
        (None, None) => Vec::new(),
    };
    for window in &mut windows {
        if let Some(timeline) = timeline {
            faults(window, timeline, known.began_ns);
        }
        if let Some(audit) = &known.audit {
            count(window, audit);
        }
        if let Some(evidence) = &known.evidence {
            add_evidence(window, evidence);
        }
    }
    windows
}

const COLUMNS: [&str; 36] = [
    "window",
    "scenario",
    "anomaly_type",
    "anomaly_root_cause",
    "anomaly_msg",
    "root_cause_service",
    "sham_of",
    "opened_ns",
    "closed_ns",
    "guard_ns",
    "fault",
    "fault_service",
    "fault_intensity",
    "fault_state",
    "fault_requested_ns",
    "fault_injected_ns",
    "fault_clear_requested_ns",
    "fault_cleared_ns",
    "recovered_ns",
    "requests",
    "lost_traces",
    "traces",
    "spans",
    "steady_spans",
    "verdict",
    "effect",
    "effect_low",
    "effect_high",
    "effect_signal",
    "onset_s",
    "recovery_s",
    "traces_met",
    "root_cause_rank",
    "anomaly_symptom",
    "planned_start_ns",
    "planned_end_ns",
];

fn from_table(path: &std::path::Path, began_ns: i64) -> Result<Vec<Window>, TableError> {
    let mut windows = Vec::new();
    Table::at(path).read(&COLUMNS, |batch| {
        for row in 0..batch.rows() {
            windows.push(from_row(batch, row, began_ns)?);
        }
        Ok(())
    })?;
    Ok(windows)
}

fn from_row(batch: &Batch<'_>, row: usize, began_ns: i64) -> Result<Window, String> {
    let text = |name: &str| {
        let column = batch.text(name)?;
        Ok::<_, String>(column.get(row).map(str::to_owned))
    };
    let count = |name: &str| Ok::<_, String>(Some(batch.numbers(name)?.count(row)));
    let double = |name: &str| Ok::<_, String>(batch.numbers(name)?.double(row).map(six));
    let moment = |name: &str| {
        let at = batch.numbers(name)?.long(row);
        Ok::<_, String>(at.map(|at| seconds_since(began_ns, at)))
    };
    let effect = (
        double("effect")?,
        double("effect_low")?,
        double("effect_high")?,
    );
    let fault = match text("fault")? {
        Some(name) => Some(Fault {
            name,
            service: text("fault_service")?.unwrap_or_default(),
            intensity: double("fault_intensity")?,
            sham: text("fault_state")?.as_deref() == Some("sham"),
            harmless: text("fault_state")?.as_deref() == Some("harmless"),
            requested_s: moment("fault_requested_ns")?,
            injected_s: moment("fault_injected_ns")?,
            clear_requested_s: moment("fault_clear_requested_ns")?,
            cleared_s: moment("fault_cleared_ns")?,
        }),
        None => None,
    };
    Ok(Window {
        number: count("window")?.unwrap_or(0) as usize,
        scenario: text("scenario")?.unwrap_or_default(),
        anomaly_type: text("anomaly_type")?.unwrap_or_default(),
        root_cause: text("anomaly_root_cause")?.unwrap_or_default(),
        root_cause_service: text("root_cause_service")?,
        msg: text("anomaly_msg")?.unwrap_or_default(),
        sham_of: text("sham_of")?,
        opened_s: moment("opened_ns")?.unwrap_or(0.0),
        closed_s: moment("closed_ns")?.unwrap_or(0.0),
        guard_s: batch.numbers("guard_ns")?.double(row).unwrap_or(0.0) / 1e9,
        faults: fault.into_iter().collect(),
        fault_state: text("fault_state")?.unwrap_or_default(),
        recovered_s: moment("recovered_ns")?,
        requests: count("requests")?,
        lost_traces: count("lost_traces")?,
        traces: count("traces")?,
        spans: count("spans")?,
        steady_spans: count("steady_spans")?,
        verdict: text("verdict")?,
        effect: match effect {
            (Some(value), Some(low), Some(high)) => Some(Figure { value, low, high }),
            _ => None,
        },
        effect_signal: text("effect_signal")?,
        onset_s: double("onset_s")?,
        recovery_s: double("recovery_s")?,
        traces_met: batch.numbers("traces_met")?.long(row).map(|n| n as u64),
        rank: batch
            .numbers("root_cause_rank")?
            .long(row)
            .map(|n| n as u32),
        ..Window::default()
    })
}

pub(crate) fn from_timeline(timeline: &Timeline, began_ns: i64) -> Vec<Window> {
    let window = |(number, of): (usize, &loadgen_timeline::Window)| Window {
        number,
        scenario: of.scenario.clone(),
        anomaly_type: of.anomaly.kind.clone(),
        declared: of.declared.as_ref().map(|anomaly| anomaly.kind.clone()),
        root_cause: of.anomaly.root_cause.clone(),
        root_cause_service: of.anomaly.root_cause_service.clone(),
        msg: of.anomaly.msg.clone(),
        sham_of: of.declared.as_ref().map(|anomaly| anomaly.kind.clone()),
        warm_up: of.warm_up,
        opened_s: seconds_since(began_ns, of.opened_ns),
        closed_s: seconds_since(began_ns, of.closed_ns),
        guard_s: of.guard_ns as f64 / 1e9,
        requests: of.totals.as_ref().map(|totals| totals.sent),
        ..Window::default()
    };
    timeline.windows.iter().enumerate().map(window).collect()
}

/// The timeline has all faults of a window, the table the first.
fn faults(window: &mut Window, timeline: &Timeline, began_ns: i64) {
    let at = |ns: i64| Some(seconds_since(began_ns, ns));
    let fault = |injected: &FaultChanged, cleared: Option<&FaultChanged>| Fault {
        name: injected.fault.clone(),
        service: injected.service.clone(),
        intensity: Some(injected.intensity),
        sham: injected.sham,
        harmless: injected.harmless,
        requested_s: at(injected.requested_ns),
        injected_s: at(injected.at_ns),
        clear_requested_s: cleared.and_then(|cleared| at(cleared.requested_ns)),
        cleared_s: cleared.and_then(|cleared| at(cleared.at_ns)),
    };
    let of_window = |injected: &FaultChanged| injected.scenario == window.scenario;
    let on_timeline: Vec<Fault> = timeline
        .faults
        .iter()
        .filter(|interval| of_window(&interval.injected))
        .map(|interval| fault(&interval.injected, interval.cleared.as_ref()))
        .collect();
    // Faults by hand are in the table and on no timeline.
    if on_timeline.len() > window.faults.len() {
        window.faults = on_timeline;
    }
}

fn count(window: &mut Window, audit: &AuditFile) {
    let figures: Option<&WindowFigures> = audit.figures.windows.get(window.number);
    let Some(figures) = figures.filter(|of| of.scenario == window.scenario) else {
        return;
    };
    window.warm_up = figures.warm_up;
    window.declared = figures.declared.clone();
    window.reasons = figures.reasons.clone();
    window.rank_tied = figures.root_cause_tied;
    if window.root_cause_service.is_none() {
        window.root_cause_service = figures.declared_service.clone();
    }
}

fn add_evidence(window: &mut Window, evidence: &Evidence) {
    let Some(of) = u32::try_from(window.number)
        .ok()
        .and_then(|number| evidence.window(number))
    else {
        return;
    };
    let WindowEvidence {
        family,
        services,
        edges,
        ..
    } = of;
    window.signals = family.iter().map(signal).collect();
    window.services = services.iter().map(service).collect();
    window.edges = edges.iter().map(edge).collect();
}

fn figure(of: &Estimate) -> Figure {
    Figure {
        value: six(of.value),
        low: six(of.low),
        high: six(of.high),
    }
}

fn signal(of: &SignalEvidence) -> SignalRow {
    let deciding: Option<&SignalComparison> = of.deciding();
    SignalRow {
        signal: of.signal.to_string(),
        subject: deciding.map(|c| c.subject.to_string()),
        not_tested: of.not_tested.clone(),
        measure: deciding.and_then(|c| word(&c.measure)),
        unit: deciding.map_or("", |c| c.measure.unit()),
        before: deciding.and_then(|c| c.reference.value).map(six),
        within: deciding.and_then(|c| c.window.value).map(six),
        ratio: deciding.and_then(|c| c.ratio.as_ref()).map(figure),
        effect_kind: deciding.and_then(|c| word(&c.effect_kind)),
        effect: deciding.map(|c| figure(&c.effect)),
        size: deciding.and_then(|c| word(&c.size)),
        p: of.p_family.map(six),
    }
}

fn service(of: &RankedService) -> ServiceRow {
    let strength = of.strength.as_ref();
    ServiceRow {
        service: of.service.clone(),
        rank: of.rank,
        effect: strength.map(|s| figure(&s.effect)),
        measure: strength.and_then(|s| word(&s.measure)),
        q: strength.map(|s| six(s.q)),
        affected: of.affected,
        onset_s: of.onset_s.map(six),
    }
}

fn edge(of: &RankedEdge) -> EdgeRow {
    EdgeRow {
        caller: of.caller.clone(),
        callee: of.callee.clone(),
        effect: of.strength.as_ref().map(|s| figure(&s.effect)),
        onset_s: of.onset_s.map(six),
    }
}
