//! One timeline of those of several generators that shared a run, as pure functions.
//!
//! Each shard has the same windows, to within the moment that it came to them. So an edge of a
//! merged window is where the first shard came to it: no request of a scenario is older than its
//! window, and neighbouring windows still meet. A window that all shards left early ends with the
//! last of them. Counts are added up. Events of faults are those of the shard that drove them.

use std::collections::BTreeMap;

use crate::event::{
    Event, Heartbeat, RunFinished, RunShard, RunStarted, RunStatus, WindowClosed, WindowOpened,
};

/// Shards that began further apart than this did not share a run, in nanoseconds. Those that agreed
/// on a moment begin within milliseconds.
const TOGETHER_NS: i64 = 1_000_000_000;

const SECOND_NS: i64 = 1_000_000_000;

/// The timeline of a shard.
#[derive(Debug, Clone)]
pub struct ShardTimeline {
    /// Where it is from, for messages.
    pub name: String,
    /// Its lines.
    pub events: Vec<Event>,
}

/// Why timelines can't be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Its first line is missing.
    #[error("{name}: its timeline does not say which run it is of")]
    NoRun {
        /// The shard.
        name: String,
    },
    /// It is a run by itself.
    #[error("{name} is a whole run and no shard of one: only shards can be merged")]
    Whole {
        /// The run.
        name: String,
    },
    /// It is not of the run that the first is of.
    #[error("{name} is not of the same run as {first}: {what} is {found} and not {expected}")]
    OtherRun {
        /// The shard.
        name: String,
        /// The one that it is held against.
        first: String,
        /// What differs.
        what: &'static str,
        /// As it is in the shard.
        found: String,
        /// As it is in the first.
        expected: String,
    },
    /// It began at another time.
    #[error(
        "{name} began {:.1} s {} {first}: shards of a run begin together",
        off_ns.unsigned_abs() as f64 / 1e9,
        if *off_ns < 0 { "before" } else { "after" }
    )]
    OtherStart {
        /// The shard.
        name: String,
        /// The one that it is held against.
        first: String,
        /// How much later, in nanoseconds.
        off_ns: i64,
    },
    /// Two are the same one.
    #[error("shard {index} is there twice: {first} and {second}")]
    Twice {
        /// Its number.
        index: u32,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// Two say that they had the faults injected.
    #[error("both {first} and {second} drove the faults of the run")]
    TwoDrivers {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// Some are not there.
    #[error(
        "of {count} shards {} missing: {}",
        if missing.len() == 1 { "1 is" } else { "these are" },
        missing.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    Missing {
        /// Their numbers.
        missing: Vec<u32>,
        /// How many there should be.
        count: u32,
    },
}

/// Merges the timelines of the shards of a run. Some may be missing; see [`missing`].
///
/// # Errors
/// All reasons why they can't be.
pub fn merge(shards: &[ShardTimeline]) -> Result<Vec<Event>, Vec<MergeError>> {
    let (parts, errors) = parts(shards);
    if !errors.is_empty() || parts.is_empty() {
        return Err(errors);
    }
    let zero_ns = parts.iter().map(|part| part.run.at_ns).min();
    let zero_ns = zero_ns.unwrap_or_default();
    let started = RunStarted {
        at_ns: zero_ns,
        shard: None,
        shards: parts.iter().map(|part| part.shard.clone()).collect(),
        ..parts[0].run.clone()
    };
    let mut events = windows(&parts);
    events.extend(
        heartbeats(&parts, zero_ns)
            .into_iter()
            .map(Event::Heartbeat),
    );
    for part in &parts {
        events.extend(of_one_generator(part));
    }
    events.sort_by_key(|event| (event.at_ns(), rank(event)));
    let last_ns = events
        .iter()
        .chain(parts.iter().flat_map(|part| part.events))
        .map(Event::at_ns);
    let finished = RunFinished {
        at_ns: last_ns.max().unwrap_or(zero_ns),
        status: status(&parts),
        sha256: None,
    };
    events.insert(0, Event::RunStarted(started));
    events.push(Event::RunFinished(finished));
    Ok(events)
}

/// What a merged timeline lacks.
pub fn missing(run: &RunStarted) -> Option<MergeError> {
    let missing = run.missing_shards();
    (!missing.is_empty()).then(|| MergeError::Missing {
        missing,
        count: run.shards.first().map_or(0, |shard| shard.count),
    })
}

/// A shard that belongs to the run.
struct Part<'t> {
    name: &'t str,
    run: &'t RunStarted,
    shard: &'t RunShard,
    events: &'t [Event],
}

/// The shards in the order of their numbers, and what is wrong with them.
fn parts(shards: &[ShardTimeline]) -> (Vec<Part<'_>>, Vec<MergeError>) {
    let mut errors = Vec::new();
    let mut parts: Vec<Part<'_>> = Vec::new();
    for timeline in shards {
        let name = &timeline.name;
        let run = timeline.events.iter().find_map(|event| match event {
            Event::RunStarted(run) => Some(run),
            _ => None,
        });
        let Some(run) = run else {
            errors.push(MergeError::NoRun { name: name.clone() });
            continue;
        };
        let Some(shard) = &run.shard else {
            errors.push(MergeError::Whole { name: name.clone() });
            continue;
        };
        let part = Part {
            name,
            run,
            shard,
            events: &timeline.events,
        };
        if let Some(first) = parts.first() {
            errors.extend(differences(first, &part));
        }
        let twin = parts.iter().find(|other| other.shard.index == shard.index);
        if let Some(twin) = twin {
            errors.push(MergeError::Twice {
                index: shard.index,
                first: twin.name.to_owned(),
                second: name.clone(),
            });
        }
        parts.push(part);
    }
    let mut drivers = parts.iter().filter(|part| part.shard.drives_faults);
    if let (Some(one), Some(other)) = (drivers.next(), drivers.next()) {
        errors.push(MergeError::TwoDrivers {
            first: one.name.to_owned(),
            second: other.name.to_owned(),
        });
    }
    parts.sort_by_key(|part| part.shard.index);
    (parts, errors)
}

fn differences(first: &Part<'_>, other: &Part<'_>) -> Vec<MergeError> {
    let facts = |part: &Part<'_>| {
        let run = part.run;
        [
            ("the run's id", run.run_id.clone()),
            ("the number of shards", part.shard.count.to_string()),
            ("the scenario file's SHA-256", run.scenario_sha256.clone()),
            ("the seed", run.seed.to_string()),
            ("the time scale", run.time_scale.to_string()),
            ("the engine", format!("{:?}", run.engine)),
            ("the target", run.target.clone()),
        ]
    };
    let pairs = facts(first).into_iter().zip(facts(other));
    let differing = pairs.filter(|(expected, found)| expected.1 != found.1);
    let mut errors: Vec<MergeError> = differing
        .map(|((what, expected), (_, found))| MergeError::OtherRun {
            name: other.name.to_owned(),
            first: first.name.to_owned(),
            what,
            found,
            expected,
        })
        .collect();
    let off_ns = other.run.at_ns - first.run.at_ns;
    if errors.is_empty() && off_ns.abs() > TOGETHER_NS {
        errors.push(MergeError::OtherStart {
            name: other.name.to_owned(),
            first: first.name.to_owned(),
            off_ns,
        });
    }
    errors
}

/// What the shards say of a window.
#[derive(Default)]
struct OfWindow<'t> {
    opened: Vec<&'t WindowOpened>,
    closed: Vec<&'t WindowClosed>,
    drained: Vec<&'t WindowClosed>,
}

fn windows(parts: &[Part<'_>]) -> Vec<Event> {
    let mut windows: BTreeMap<&str, OfWindow<'_>> = BTreeMap::new();
    for event in parts.iter().flat_map(|part| part.events) {
        match event {
            Event::WindowOpened(w) => windows.entry(&w.scenario).or_default().opened.push(w),
            Event::WindowClosed(w) => windows.entry(&w.scenario).or_default().closed.push(w),
            Event::WindowDrained(w) => windows.entry(&w.scenario).or_default().drained.push(w),
            _ => {}
        }
    }
    let mut events = Vec::new();
    for window in windows.values() {
        let Some(opened) = window.opened.iter().min_by_key(|w| w.at_ns) else {
            continue;
        };
        events.push(Event::WindowOpened((*opened).clone()));
        events.extend(closed_ns(window).map(|at_ns| {
            let totals = add_up(&window.closed, at_ns);
            Event::WindowClosed(totals)
        }));
        // One of a shard that was killed has not drained: then the counts are not final.
        if window.drained.len() == window.opened.len()
            && let Some(at_ns) = window.drained.iter().map(|w| w.at_ns).max()
        {
            events.push(Event::WindowDrained(add_up(&window.drained, at_ns)));
        }
    }
    events
}

/// When a window closed; none: no shard says so.
fn closed_ns(window: &OfWindow<'_>) -> Option<i64> {
    let planned_ns = window.opened.iter().map(|w| w.planned_end_ns).min()?;
    let times = || window.closed.iter().map(|w| w.at_ns);
    let at_its_end = times().filter(|at_ns| *at_ns >= planned_ns).min();
    at_its_end.or_else(|| times().max())
}

fn add_up(totals: &[&WindowClosed], at_ns: i64) -> WindowClosed {
    let sum = |of: fn(&WindowClosed) -> u64| totals.iter().map(|one| of(one)).sum();
    WindowClosed {
        scenario: totals
            .first()
            .map_or_else(String::new, |one| one.scenario.clone()),
        at_ns,
        last_completed_ns: totals.iter().filter_map(|one| one.last_completed_ns).max(),
        sent: sum(|one| one.sent),
        completed: sum(|one| one.completed),
        failed: sum(|one| one.failed),
        dropped: sum(|one| one.dropped),
        iterations: sum(|one| one.iterations),
        interrupted_iterations: sum(|one| one.interrupted_iterations),
        unsent_steps: sum(|one| one.unsent_steps),
    }
}

/// One for each second, with the latest totals that each shard had told by then.
fn heartbeats(parts: &[Part<'_>], zero_ns: i64) -> Vec<Heartbeat> {
    let mut told: Vec<(usize, Heartbeat)> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        told.extend(part.events.iter().filter_map(|event| match event {
            Event::Heartbeat(beat) => Some((index, *beat)),
            _ => None,
        }));
    }
    told.sort_by_key(|(_, beat)| beat.at_ns);
    let second = |beat: &Heartbeat| (beat.at_ns - zero_ns + SECOND_NS / 2).div_euclid(SECOND_NS);
    let mut latest: Vec<Option<Heartbeat>> = vec![None; parts.len()];
    let mut beats = Vec::new();
    for (position, (index, beat)) in told.iter().enumerate() {
        latest[*index] = Some(*beat);
        let next = told.get(position + 1);
        if next.is_some_and(|(_, next)| second(next) == second(beat)) {
            continue;
        }
        let sum = |of: fn(&Heartbeat) -> u64| latest.iter().flatten().map(of).sum();
        beats.push(Heartbeat {
            at_ns: beat.at_ns,
            sent: sum(|beat| beat.sent),
            completed: sum(|beat| beat.completed),
            failed: sum(|beat| beat.failed),
            dropped: sum(|beat| beat.dropped),
        });
    }
    beats
}

/// What is taken over from one shard as it is.
fn of_one_generator(part: &Part<'_>) -> Vec<Event> {
    let shard = Some(part.shard.index);
    let taken = part.events.iter().filter_map(|event| match event {
        // Each reads the flags by itself; what the one that drives faults has read stands for all.
        Event::FaultInjected(_)
        | Event::FaultCleared(_)
        | Event::FaultFailed(_)
        | Event::FaultNoticed(_)
        | Event::FlagChanged(_)
        | Event::FlagLost(_)
        | Event::VusChanged(_) => part.shard.drives_faults.then(|| event.clone()),
        Event::ClockStepped(step) => {
            let mut step = *step;
            step.shard = shard;
            Some(Event::ClockStepped(step))
        }
        Event::GeneratorStalled(stall) => {
            let mut stall = *stall;
            stall.shard = shard;
            Some(Event::GeneratorStalled(stall))
        }
        Event::RunStarted(_)
        | Event::WindowOpened(_)
        | Event::WindowClosed(_)
        | Event::WindowDrained(_)
        | Event::Heartbeat(_)
        | Event::RunFinished(_) => None,
    });
    taken.collect()
}

/// How the run ended: as the shard did that came off worst. One that was killed together with its
/// guard has no end.
fn status(parts: &[Part<'_>]) -> RunStatus {
    let of_part = |part: &Part<'_>| {
        let end = part.events.iter().find_map(|event| match event {
            Event::RunFinished(end) => Some(end.status),
            _ => None,
        });
        end.unwrap_or(RunStatus::Failed)
    };
    let of_parts: Vec<RunStatus> = parts.iter().map(of_part).collect();
    let worst = [RunStatus::Failed, RunStatus::Interrupted];
    let found = worst.into_iter().find(|status| of_parts.contains(status));
    found.unwrap_or(RunStatus::Completed)
}

/// At one time: what ends before what begins, and what has drained after all.
fn rank(event: &Event) -> u8 {
    match event {
        Event::WindowClosed(_) => 0,
        Event::WindowOpened(_) => 1,
        Event::WindowDrained(_) => 3,
        _ => 2,
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
