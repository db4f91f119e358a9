//! What timeline and ledger say of the run and of each other, as figures.

use loadgen_timeline::audit::{
    Figures, LedgerFigures, Level, OffPlan, RunFigures, TimelineFigures,
};
use loadgen_timeline::condition::NONE;
use loadgen_timeline::event::{FaultChanged, FaultFailed, RunShard, RunStarted};
use loadgen_timeline::{
    FaultInterval, Inconsistency, InconsistencyKind, LedgerReport, Severity, Timeline, consistency,
};

/// What is known before any telemetry is looked at.
#[derive(Debug, Default)]
pub(crate) struct RunSaid {
    run: Option<RunFigures>,
    timeline: Option<TimelineFigures>,
    ledger: Option<LedgerFigures>,
    /// Each request of the run is known to be in the ledger.
    pub(crate) ledger_is_whole: bool,
    expected_services: Vec<String>,
}

impl RunSaid {
    /// Of both, as far as they are there.
    pub(crate) fn new(timeline: Option<&Timeline>, ledger: Option<&LedgerReport>) -> Self {
        let found = timeline.map_or_else(Vec::new, |timeline| consistency(timeline, ledger));
        Self {
            run: timeline
                .and_then(|timeline| timeline.run.as_ref())
                .map(|run| RunFigures {
                    run_id: run.run_id.clone(),
                    scenario_file: run.scenario_file.clone(),
                    seed: run.seed,
                    time_scale: run.time_scale,
                    began_ns: run.at_ns,
                }),
            timeline: timeline.map(|timeline| timeline_figures(timeline, &found)),
            ledger: ledger.map(|report| ledger_figures(report, &found)),
            ledger_is_whole: ledger.is_some_and(|report| is_whole(report, &found))
                && !timeline.is_some_and(lacks_shards),
            expected_services: timeline.map_or_else(Vec::new, expected_services),
        }
    }

    /// Puts all of it into the figures of an extraction.
    pub(crate) fn put(self, figures: &mut Figures) {
        figures.run = self.run;
        figures.timeline = self.timeline;
        figures.ledger = self.ledger;
        figures.expected_services = self.expected_services;
    }
}

fn timeline_figures(timeline: &Timeline, found: &[Inconsistency]) -> TimelineFigures {
    let run = timeline.run.as_ref();
    let of = |kind: InconsistencyKind| found.iter().filter(move |f| f.kind == kind);
    let off_plan = of(InconsistencyKind::WindowOffPlan).map(|found| OffPlan {
        scenario: found.scenario.clone().unwrap_or_default(),
        level: match found.severity {
            Severity::Info => Level::Info,
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        },
        message: found.message.clone(),
    });
    TimelineFigures {
        finished: timeline.finished.is_some(),
        status: timeline.finished.as_ref().map(|end| end.status),
        integrity: timeline.integrity,
        skipped_lines: timeline.skipped.len() as u64,
        bad_lines: timeline
            .skipped
            .iter()
            .take(10)
            .map(|bad| format!("line {}: {}", bad.line, bad.reason))
            .collect(),
        fault_failures: fault_failures(timeline),
        without_fault: without_fault(timeline),
        off_plan: off_plan.collect(),
        stalls: of(InconsistencyKind::Stalled)
            .map(|found| found.message.clone())
            .collect(),
        shard: run
            .and_then(|run| run.shard.as_ref())
            .map(|shard| format!("{}/{}", shard.index, shard.count)),
        shards: run
            .and_then(|run| run.shards.first())
            .map_or(0, |shard| shard.count),
        missing_shards: run.map_or_else(Vec::new, RunStarted::missing_shards),
        shard_clocks: run.map_or_else(Vec::new, |run| {
            run.shards.iter().filter_map(loose_clock).collect()
        }),
    }
}

/// A clock that is not known to be that of shard 0, in words.
fn loose_clock(shard: &RunShard) -> Option<String> {
    const CLOSE_NS: i64 = 100_000_000;
    let index = shard.index;
    match shard.clock_ahead_ns {
        _ if index == 0 => None,
        Some([least, most]) if -CLOSE_NS <= least && most <= CLOSE_NS => None,
        Some([least, most]) => Some(format!(
            "the clock of shard {index} is from {} ms to {} ms ahead of that of shard 0",
            least / 1_000_000,
            most / 1_000_000
        )),
        None => Some(format!(
            "what the clock of shard {index} differs by from that of shard 0 was not measured"
        )),
    }
}

/// Whether requests of the run were sent by generators whose ledgers are elsewhere.
fn lacks_shards(timeline: &Timeline) -> bool {
    let run = timeline.run.as_ref();
    run.is_some_and(|run| run.shard.is_some() || !run.missing_shards().is_empty())
}

/// Whether nothing that was sent is missing. Records that are too many, or sent at other times than the
/// timeline says, are an error of the audit and take none away.
fn is_whole(report: &LedgerReport, found: &[Inconsistency]) -> bool {
    use InconsistencyKind::{OtherRun, RecordsMissing};
    let is_missing = |found: &Inconsistency| [OtherRun, RecordsMissing].contains(&found.kind);
    !report.torn && report.damage.is_none() && !found.iter().any(is_missing)
}

fn ledger_figures(report: &LedgerReport, found: &[Inconsistency]) -> LedgerFigures {
    use InconsistencyKind::{LedgerTorn, OtherRun, OutsideWindow, RecordsMissing, TooManyRecords};
    // What is damaged, or not proven, stands in fields of its own.
    let kinds = [
        OtherRun,
        LedgerTorn,
        RecordsMissing,
        TooManyRecords,
        OutsideWindow,
    ];
    let found = found.iter().filter(|found| kinds.contains(&found.kind));
    let (explained, differences): (Vec<_>, Vec<_>) =
        found.partition(|found| found.severity == Severity::Info);
    let messages = |found: Vec<&Inconsistency>| -> Vec<String> {
        found.iter().map(|found| found.message.clone()).collect()
    };
    LedgerFigures {
        schema_version: report.schema_version,
        requests: report
            .records
            .values()
            .map(|of| of.records - of.unsent)
            .sum(),
        torn: report.torn,
        damage: report.damage.describe(),
        lost_requests: report.lost_rows(),
        differences: messages(differences),
        missing_at_the_end: messages(explained),
    }
}

fn expected_services(timeline: &Timeline) -> Vec<String> {
    let of_windows = timeline
        .windows
        .iter()
        .filter_map(|w| w.anomaly.root_cause_service.clone());
    let of_faults = timeline.faults.iter().map(|f| f.injected.service.clone());
    // `*` stands for all services of a host.
    let mut expected: Vec<String> = of_windows
        .chain(of_faults)
        .filter(|service| !service.is_empty() && service != "*")
        .collect();
    expected.sort();
    expected.dedup();
    expected
}

/// Scenarios that are labelled with an anomaly of which no fault event says anything.
fn without_fault(timeline: &Timeline) -> Vec<String> {
    let has_fault = |scenario: &str| {
        let injected = timeline.faults.iter().map(|f| &f.injected.scenario);
        let failed = timeline.fault_failures.iter().map(|f| &f.scenario);
        injected.chain(failed).any(|of| of == scenario)
    };
    let windows = timeline.windows.iter();
    windows
        .filter(|window| window.anomaly.kind != NONE && !has_fault(&window.scenario))
        .map(|window| window.scenario.clone())
        .collect()
}

/// Changes of faults that failed, and those that others made.
fn fault_failures(timeline: &Timeline) -> Vec<String> {
    let failures = timeline.fault_failures.iter();
    let noticed = timeline.noticed.iter().map(|seen| seen.describe());
    let doubtful = timeline
        .faults
        .iter()
        .flat_map(|fault| doubts(timeline, fault));
    failures
        .map(|f| {
            format!(
                "{}: can't {} {}: {}",
                f.scenario, f.change, f.fault, f.reason
            )
        })
        .chain(noticed)
        .chain(doubtful)
        .collect()
}

/// What makes a fault's events doubtful.
fn doubts(timeline: &Timeline, fault: &FaultInterval) -> Vec<String> {
    let injected = &fault.injected;
    let FaultChanged {
        scenario,
        fault: name,
        service,
        ..
    } = injected;
    let mut doubts = Vec::new();
    let given_up = |f: &FaultFailed| f.change == "clear" && f.identity() == injected.identity();
    match &fault.cleared {
        Some(cleared) if cleared.at_ns < injected.at_ns => doubts.push(format!(
            "{scenario}: {name} is cleared before it was injected, and counts as never in force"
        )),
        None if timeline.finished.is_some() && !timeline.fault_failures.iter().any(given_up) => {
            doubts.push(format!(
                "{scenario}: {name} is never cleared, and counts as in force until the end of the run"
            ));
        }
        _ => {}
    }
    let window = timeline.windows.iter().find(|w| w.scenario == *scenario);
    let declared = window.map(|w| w.declared.as_ref().unwrap_or(&w.anomaly));
    match declared {
        Some(anomaly) if anomaly.kind != NONE => {
            if let Some(of) = &anomaly.root_cause_service
                && !service.is_empty()
                && of != service
            {
                doubts.push(format!(
                    "{scenario}: {name} is in {service}, and the window says {of}"
                ));
            }
        }
        _ => doubts.push(format!(
            "{scenario}: no window declares {name}, so that nothing says whether it had an effect; \
             its rows are in no file of a class"
        )),
    }
    doubts
}
