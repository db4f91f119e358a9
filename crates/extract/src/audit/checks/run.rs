//! Checks of what the run says of itself: timeline, timetable, ledger, faults.

use loadgen_timeline::Integrity;
use loadgen_timeline::audit::{Check, Figures, Level, TimelineFigures};
use loadgen_timeline::event::RunStatus;

use super::{Build, check, count, warn_if};

/// Whether there is a timeline, with its end, as it was written.
pub(super) fn timeline(figures: &Figures) -> Check {
    let limit = "a timeline that has its end";
    let Some(timeline) = &figures.timeline else {
        return check("timeline", Level::Error, "no timeline", limit).advise(
            "Without a timeline a label can only come from headers, which is how labels get lost. \
             Give the timeline.jsonl of the run with --timeline.",
        );
    };
    let problems = timeline_problems(timeline);
    let level = problems.iter().map(|(level, _)| *level).max();
    let level = level.unwrap_or(Level::Ok);
    let figure = match problems.is_empty() {
        true => "whole, and as it was written".to_owned(),
        false => {
            let found: Vec<String> = problems.into_iter().map(|(_, what)| what).collect();
            found.join("; ")
        }
    };
    check("timeline", level, figure, limit)
        .advise(timeline_advice(level, timeline))
        .detail(
            timeline
                .bad_lines
                .iter()
                .chain(&timeline.shard_clocks)
                .cloned(),
        )
}

/// What is not as it should be with a timeline.
fn timeline_problems(timeline: &TimelineFigures) -> Vec<(Level, String)> {
    let mut found = vec![];
    let mut add = |level: Level, what: String| found.push((level, what));
    if timeline.integrity == Integrity::Mismatch {
        add(
            Level::Error,
            "it was changed after it was written".to_owned(),
        );
    }
    if !timeline.finished {
        let what = "the run's end is missing: it was killed or still goes on";
        add(Level::Warning, what.to_owned());
    }
    if timeline.status == Some(RunStatus::Failed) {
        let what = "the run failed: it was killed, or an error ended it";
        add(Level::Warning, what.to_owned());
    }
    if timeline.skipped_lines > 0 {
        let lines = count(timeline.skipped_lines as usize, "line");
        let what = format!("{lines} could not be read");
        add(Level::Warning, what);
    }
    if timeline.integrity == Integrity::NotStated && timeline.finished {
        let what = "that it is as it was written can't be proven: it states no checksum";
        add(Level::Info, what.to_owned());
    }
    if let Some(shard) = &timeline.shard {
        add(
            Level::Warning,
            format!("it is that of one shard of several alone, {shard}"),
        );
    }
    if !timeline.missing_shards.is_empty() {
        let missing: Vec<String> = timeline.missing_shards.iter().map(u32::to_string).collect();
        let what = format!(
            "of {} shards these are missing: {}",
            timeline.shards,
            missing.join(", ")
        );
        add(Level::Warning, what);
    }
    if !timeline.shard_clocks.is_empty() {
        let clocks = count(timeline.shard_clocks.len(), "shard");
        let what =
            format!("of {clocks} the clock is not known to be within 100 ms of that of shard 0");
        add(Level::Info, what);
    }
    found
}

fn timeline_advice(level: Level, timeline: &TimelineFigures) -> &'static str {
    match level {
        Level::Error => {
            "The lines do not have the checksum that the last one states. Labels may be wrong: take \
             the timeline.jsonl as the run left it, or run again."
        }
        Level::Warning if timeline.shard.is_some() || !timeline.missing_shards.is_empty() => {
            "Other shards sent load at the same time, and their requests are in no ledger here: they are \
             labelled by their time. Make one run of all of them with `loadgen merge`."
        }
        Level::Warning => {
            "What the run sent after the last event is not labelled; the window that was open ends there."
        }
        _ if !timeline.shard_clocks.is_empty() => {
            "Labels go by the clock of shard 0, and requests are told by their ids. Synchronise the clocks of \
             the generators' hosts (NTP); a rendezvous measures them."
        }
        _ => "An older loadgen wrote it. Run again with this one where proof is wanted.",
    }
}

/// The generator and its windows as planned against as they were.
pub(super) fn timetable(figures: &Figures) -> Check {
    let (windows, stalls) = match &figures.timeline {
        Some(timeline) => (&timeline.off_plan[..], &timeline.stalls[..]),
        None => (&[][..], &[][..]),
    };
    let worst = windows.iter().map(|w| w.level).max().unwrap_or(Level::Ok);
    let level = worst.max(warn_if(!stalls.is_empty()));
    let figure = format!(
        "{} not as planned, the generator stood still {}",
        count(windows.len(), "window"),
        match stalls.len() {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        }
    );
    let details = windows.iter().map(|w| w.message.clone());
    check("timetable", level, figure, "250 ms or 5 % off, and half the length")
        .advise(
            "The machine was suspended, or had no processor for the generator. Labels go by what \
             happened, but windows that are too short hold too little: run again on a machine that does \
             not sleep, with fewer VUs, or with a larger --time-scale.",
        )
        .detail(details.chain(stalls.iter().cloned()))
}

/// Whether the ledger is whole and of this run.
pub(super) fn ledger(figures: &Figures) -> Check {
    let limit = "a ledger, whole and of this run";
    let Some(ledger) = &figures.ledger else {
        return check("ledger", Level::Info, "none", limit).advise(
            "Labels come from time windows alone. With the run's ledger.arrows beside the timeline each \
             request's label is exact.",
        );
    };
    let mut figure = format!("{} requests", ledger.requests);
    let mut details = ledger.differences.clone();
    if let Some(damage) = &ledger.damage {
        figure += &format!(", about {} lost to damage", ledger.lost_requests);
        details.insert(0, format!("damaged: {damage}"));
    }
    if !ledger.differences.is_empty() {
        let differences = count(ledger.differences.len(), "difference");
        figure += &format!(", {differences} from the timeline");
    }
    if ledger.torn {
        figure += ", cut off at its end";
    }
    let is_proven = ledger.schema_version >= 2;
    if !is_proven {
        figure += ", not proven to be as it was written";
    }
    let level = match details.is_empty() {
        false => Level::Error,
        true if ledger.torn || !is_proven || !ledger.missing_at_the_end.is_empty() => Level::Info,
        true => Level::Ok,
    };
    details.extend(ledger.missing_at_the_end.iter().cloned());
    check("ledger", level, figure, limit)
        .advise(match level {
            Level::Error => {
                "Ledger and timeline are not those of one whole run. Requests that are not in the ledger \
                 are labelled by their time. Take both files as the run left them, or run again."
            }
            _ if !is_proven => {
                "An older loadgen wrote it, without checksums: that it is whole and of this run can't be \
                 proven. Run again with this one where proof is wanted."
            }
            _ => "Requests after the last flush are labelled by their time.",
        })
        .detail(details)
}

/// Faults that could not be injected or cleared, or that others changed.
pub(super) fn faults(figures: &Figures) -> Check {
    let failures = figures.timeline.iter().flat_map(|t| &t.fault_failures);
    let failures: Vec<String> = failures.cloned().collect();
    let without = figures.timeline.iter().flat_map(|t| &t.without_fault);
    let without: Vec<String> = without
        .map(|scenario| {
            format!(
                "{scenario}: no fault is on the timeline; its label stands or falls by the evidence"
            )
        })
        .collect();
    let mut figures = Vec::new();
    if !failures.is_empty() {
        let faults = count(failures.len(), "fault");
        figures.push(format!(
            "{faults} not injected, cleared or kept as asked for, or in doubt"
        ));
    }
    if !without.is_empty() {
        figures.push(format!("{} declared alone", count(without.len(), "window")));
    }
    let figure = match figures.is_empty() {
        true => "all as asked for".to_owned(),
        false => figures.join("; "),
    };
    let level = match failures.is_empty() {
        false => Level::Warning,
        true => super::info_if(!without.is_empty()),
    };
    check("faults", level, figure, "0")
        .advise(match level {
            Level::Warning => {
                "Where a change failed or others made one, rows of that time are `unknown` and in no file of a \
                 class: look at the target's fault API and whether anybody else uses it, and run again. Where \
                 events contradict each other, put them right in the file of --faults."
            }
            _ => {
                "No fault event backs these windows (--no-faults, a k6 that ran alone, faults by other \
                 means). Give the events of faults made by hand with --faults; see the check `evidence` \
                 for what was measured."
            }
        })
        .detail(failures.into_iter().chain(without))
}
