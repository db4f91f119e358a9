//! Reads what a run says of itself: its timeline, faults that were made by hand, and its ledger.

use std::io;
use std::path::PathBuf;

use loadgen_timeline::condition::{Conditions, Label, NONE, TimeSpan, UNKNOWN};
use loadgen_timeline::{LedgerError, LedgerReader, LedgerReport, Timeline, read_timeline as read};

use crate::error::ExtractError;
use crate::options::ExtractOptions;
use crate::scan::Scanned;
use crate::scan::inputs::read_error;
use crate::scan::packed::Packed;
use crate::scan::records::RequestRow;
use crate::scan::spool::hash;

/// The timeline, with the faults that were made by hand; none if none was given.
pub(crate) fn read_timeline(options: &ExtractOptions) -> Result<Option<Timeline>, ExtractError> {
    let timeline = options.timeline.as_deref().map(read).transpose()?;
    let beside = || Some(options.timeline.as_ref()?.with_file_name("faults.jsonl"));
    let path = options
        .faults
        .clone()
        .or_else(|| beside().filter(|path| path.exists()));
    let (Some(path), Some(mut timeline)) = (&path, timeline.clone()) else {
        return Ok(timeline);
    };
    let by_hand = read(path)?;
    if let Some(reason) = why_not_faults(&by_hand, Conditions::new(&timeline).run()) {
        return Err(ExtractError::NotFaults {
            path: path.clone(),
            reason,
        });
    }
    timeline.faults.extend(by_hand.faults);
    timeline.faults.sort_by_key(|fault| fault.injected.at_ns);
    timeline.fault_failures.extend(by_hand.fault_failures);
    Ok(Some(timeline))
}

/// A fault that began longer than this before the run is none of its own.
const DAY_NS: i64 = 86_400_000_000_000;

/// What is wrong with faults that were made by hand: a mistake in them makes labels wrong until the
/// end of the run. `run` is the time of the run.
fn why_not_faults(by_hand: &Timeline, run: Option<TimeSpan>) -> Option<String> {
    if let Some(bad) = by_hand.skipped.first() {
        return Some(format!("line {}: {}", bad.line, bad.reason));
    }
    if by_hand.torn_tail {
        return Some("its last line is cut off, or lacks a newline and can't be read".to_owned());
    }
    let has_others = by_hand.run.is_some()
        || by_hand.finished.is_some()
        || by_hand.last_heartbeat.is_some()
        || by_hand.unknown_events > 0
        || !by_hand.windows.is_empty()
        || !by_hand.noticed.is_empty()
        || !by_hand.stalls.is_empty();
    if has_others || (by_hand.faults.is_empty() && by_hand.fault_failures.is_empty()) {
        return Some("it has other lines, or none of these".to_owned());
    }
    if let Some(stray) = by_hand.stray_clears.first() {
        return Some(format!(
            "`{}` is cleared in `{}` without having been injected: scenario, driver, fault and \
             service have to be the same, and the injection comes first",
            stray.fault, stray.service
        ));
    }
    by_hand.faults.iter().find_map(|fault| {
        let injected = &fault.injected;
        let name = &injected.fault;
        let from = injected.at_ns;
        let to = fault.cleared.as_ref().map(|cleared| cleared.at_ns);
        if [NONE, UNKNOWN, Label::Normal.name()].contains(&name.as_str()) {
            return Some(format!("a fault can't be called `{name}`"));
        }
        if to.is_some_and(|to| to < from) {
            return Some(format!("`{name}` is cleared before it was injected"));
        }
        let (begin, end) = run?;
        let is_elsewhere = from > end || to.unwrap_or(end) < begin || begin - from > DAY_NS;
        is_elsewhere.then(|| {
            format!(
                "`{name}` is not within the run, which went on from {begin} to {end}: times are \
                 Unix nanoseconds"
            )
        })
    })
}

/// The ledger that is named, or that stands beside the timeline of run `run_id`.
pub(crate) fn open_ledger(
    options: &ExtractOptions,
    run_id: Option<&str>,
) -> Result<Option<LedgerReader>, ExtractError> {
    let beside = || Some(options.timeline.as_ref()?.with_file_name("ledger.arrows"));
    let path = match &options.ledger {
        Some(path) => path.clone(),
        None => match beside().filter(|path| path.exists()) {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    match LedgerReader::open(&path, run_id) {
        Ok(ledger) => Ok(Some(ledger)),
        // A run that was killed before its first request leaves an empty one.
        Err(LedgerError::Empty { .. }) if options.ledger.is_none() => Ok(None),
        Err(LedgerError::Read { source, .. }) => Err(read_error(&path, source)),
        Err(error) => Err(read_error(&path, io::Error::other(error))),
    }
}

/// Times and ledgers of other runs, by their timelines. Of a run that can't be read nothing is known.
pub(crate) fn open_others(timelines: &[PathBuf]) -> (Vec<OtherRun>, Vec<LedgerReader>) {
    let (mut runs, mut ledgers) = (Vec::new(), Vec::new());
    for path in timelines {
        let Ok(timeline) = read(path) else { continue };
        let run_id = timeline.run.as_ref().map(|run| run.run_id.as_str());
        ledgers.extend(LedgerReader::open(&path.with_file_name("ledger.arrows"), run_id).ok());
        runs.extend(Conditions::new(&timeline).run().map(|time| OtherRun {
            time,
            run_id: run_id.unwrap_or_default().to_owned(),
        }));
    }
    (runs, ledgers)
}

/// A run whose telemetry may be in the same files.
pub(crate) struct OtherRun {
    time: TimeSpan,
    run_id: String,
}

/// The times of those other runs that began before this one: what nobody known sent while both went
/// on is the earlier run's, so that it is in one dataset only.
pub(crate) fn taken(others: &[OtherRun], own: &Timeline) -> Vec<TimeSpan> {
    let Some((begin, _)) = Conditions::new(own).run() else {
        return Vec::new();
    };
    let own_id = own.run.as_ref().map_or("", |run| &run.run_id);
    let earlier = |other: &&OtherRun| (other.time.0, &*other.run_id) < (begin, own_id);
    let times = others.iter().filter(earlier).map(|other| other.time);
    times.filter(|time| time.1 >= begin).collect()
}

/// Reads the requests of a ledger into partitions. Gives what was found wrong with it.
pub(crate) fn read_ledger(
    mut ledger: LedgerReader,
    of_other_run: bool,
    scanned: &mut Scanned,
) -> io::Result<LedgerReport> {
    while let Some(batch) = ledger.next_batch()? {
        let mut requests = Packed::default();
        for request in batch.rows() {
            let id = u128::from_be_bytes(request.trace_id);
            let trace = [(id >> 64) as u64, id as u64];
            let row = RequestRow {
                trace_high: Some(trace[0]),
                trace_low: Some(trace[1]),
                span_id: Some(u64::from_be_bytes(request.span_id)),
                sent_ns: Some(request.sent_ns),
                finished_ns: Some(request.finished_ns),
                scenario: Some(request.scenario),
                iteration: Some(request.iteration),
                step: Some(request.step),
                sent: Some(request.was_sent()),
                of_other_run: Some(of_other_run),
            };
            row.pack(hash(trace), &mut requests);
        }
        scanned.requests(&requests)?;
    }
    ledger.finish()
}
