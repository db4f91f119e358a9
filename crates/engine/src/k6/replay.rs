//! A log that was kept, played back as the events of a run.

use std::io;

use loadgen_timeline::event::{
    Engine, Event, Heartbeat, RunFinished, RunShard, RunStarted, RunStatus,
    TIMELINE_SCHEMA_VERSION, WindowClosed,
};

use super::feed::{Feed, Over};
use super::kept::module_lines;
use super::line::{self, LogLine};
use super::log::Replay;
use crate::event::{Consumer, EngineEvent};
use crate::windows::{Action, Windows};

const SECOND_NS: i64 = 1_000_000_000;

/// Lines that are played between two looks at the clock.
const BATCH: usize = 1024;

/// A scenario of which the log has other lines than k6 counted: some are missing, or there twice.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MissingLines {
    /// Its name.
    pub scenario: String,
    /// Iterations that ended, as k6 counted them at its end.
    pub counted: u64,
    /// Of these, those of which the log has the end.
    pub in_log: u64,
}

impl Replay {
    /// Plays the log into the consumers, as a run would have. Says of which scenarios lines are
    /// missing, by what k6 counted.
    ///
    /// # Errors
    /// A consumer or the file failed.
    pub fn play(&self, consumers: &mut [Box<dyn Consumer>]) -> io::Result<Vec<MissingLines>> {
        let mut player = Player {
            replay: self,
            feed: Feed::new(self.plan.clone(), self.zero_ns, self.shard),
            consumers,
            now_ns: self.zero_ns,
            next_beat_ns: self.zero_ns,
            windows: Windows::new(self.plan.clone(), self.zero_ns, 1, true),
        };
        player.send(Event::RunStarted(RunStarted {
            schema_version: TIMELINE_SCHEMA_VERSION,
            run_id: self.run_id.clone(),
            at_ns: self.zero_ns,
            scenario_file: self.plan.scenario_file.clone(),
            scenario_sha256: self.plan.scenario_sha256.clone(),
            seed: self.plan.seed,
            time_scale: self.plan.time_scale,
            engine: Engine::K6,
            engine_version: None,
            target: self.base_url.clone(),
            loadgen_version: self.module_version.clone(),
            shard: RunShard::of(self.shard),
            shards: Vec::new(),
        }))?;
        player.advance(self.zero_ns)?;
        for (index, line) in module_lines(&self.path)?.enumerate() {
            let (_, payload) = line?;
            if let Ok(line) = line::parse(&payload) {
                player.take(&line)?;
            }
            if index % BATCH == 0 {
                player.hand_over(false)?;
            }
        }
        let missing = player.missing();
        player.end()?;
        for consumer in consumers {
            consumer.finish()?;
        }
        Ok(missing)
    }

    fn planned_ns(&self, plan_ns: u64) -> i64 {
        self.zero_ns.saturating_add_unsigned(plan_ns)
    }

    /// What k6 says at the end that it dropped; none: it did not come to say so.
    fn dropped(&self, scenario: usize) -> Option<u64> {
        let counts = self
            .counts
            .as_ref()?
            .get(&self.plan.scenarios[scenario].name);
        Some(counts.map_or(0, |counts| counts.dropped_iterations))
    }
}

struct Player<'r, 'c> {
    replay: &'r Replay,
    feed: Feed,
    consumers: &'c mut [Box<dyn Consumer>],
    /// The latest time that a line has told.
    now_ns: i64,
    next_beat_ns: i64,
    windows: Windows,
}

impl Player<'_, '_> {
    fn take(&mut self, line: &LogLine<'_>) -> io::Result<()> {
        if let LogLine::Begin(begin) = line {
            self.advance(begin.sent_ms * 1_000_000)?;
        }
        // Lines that the plan does not bear out were counted when the log was looked through.
        let _ = self.feed.take(line, self.now_ns);
        if let LogLine::End { .. } = line {
            let ends = self
                .scenarios()
                .filter_map(|s| self.feed.counts(s).last_completed_ns);
            self.advance(ends.max().unwrap_or(self.now_ns))?;
        }
        Ok(())
    }

    /// Moves the clock on, with what happens on the way.
    fn advance(&mut self, to_ns: i64) -> io::Result<()> {
        if to_ns < self.now_ns {
            return Ok(());
        }
        loop {
            let edge_ns = self.windows.next_ns().unwrap_or(i64::MAX);
            let next_ns = edge_ns.min(self.next_beat_ns);
            if next_ns > to_ns {
                break;
            }
            self.now_ns = next_ns;
            if edge_ns == next_ns {
                let actions = self.windows.reach(next_ns);
                self.act(actions)?;
            } else {
                self.beat()?;
                self.next_beat_ns += SECOND_NS;
            }
        }
        self.now_ns = to_ns;
        self.look_for_ends()
    }

    /// Scenarios of which k6 counted other numbers of iterations than the log has ends of. Of some
    /// more than k6 counted, a last line can be there although k6 cut the iteration off.
    fn missing(&self) -> Vec<MissingLines> {
        let Some(counts) = &self.replay.counts else {
            return Vec::new();
        };
        let scenarios = self.replay.plan.scenarios.iter().enumerate();
        let missing = scenarios.filter_map(|(index, scenario)| {
            let counted = counts.get(&scenario.name)?.iterations;
            let in_log = self.feed.counts(index).ended_iterations;
            let is_doubled = in_log > counted + (counted / 20).max(2);
            (in_log < counted || is_doubled).then(|| MissingLines {
                scenario: scenario.name.clone(),
                counted,
                in_log,
            })
        });
        missing.collect()
    }

    fn act(&mut self, actions: Vec<Action>) -> io::Result<()> {
        for action in actions {
            match action {
                Action::Open { scenario, at_ns } => {
                    let opened = self.windows.opened(scenario, at_ns);
                    self.send(Event::WindowOpened(opened))?;
                }
                Action::Close { scenario, at_ns } => {
                    self.send(Event::WindowClosed(self.totals(scenario, at_ns)))?;
                }
                Action::Drain { scenario, at_ns } => {
                    self.hand_over(false)?;
                    self.send(Event::WindowDrained(self.totals(scenario, at_ns)))?;
                }
                // k6 did what it did, and counted what it dropped.
                Action::Inject { .. }
                | Action::LetGo { .. }
                | Action::Signal { .. }
                | Action::DropTheRest { .. } => {}
            }
        }
        Ok(())
    }

    fn scenarios(&self) -> std::ops::Range<usize> {
        0..self.replay.plan.scenarios.len()
    }

    fn look_for_ends(&mut self) -> io::Result<()> {
        for index in self.scenarios() {
            let sends = self.replay.plan.scenarios[index].executor.sends();
            if !sends || !self.windows.is_on(index) {
                continue;
            }
            if let Over::Drained { early, at_ns } = self.feed.over(index, self.now_ns) {
                if early {
                    self.closed(index, at_ns)?;
                }
                if self.windows.has_closed(index) {
                    self.drained(index, at_ns)?;
                }
            }
        }
        Ok(())
    }

    fn closed(&mut self, index: usize, at_ns: i64) -> io::Result<()> {
        let actions = self.windows.closed(index, self.now_ns, Some(at_ns));
        self.act(actions)
    }

    fn drained(&mut self, index: usize, at_ns: i64) -> io::Result<()> {
        let actions = self.windows.drained(index, at_ns);
        self.act(actions)
    }

    fn beat(&mut self) -> io::Result<()> {
        self.hand_over(false)?;
        let mut beat = Heartbeat {
            at_ns: self.now_ns,
            sent: 0,
            completed: 0,
            failed: 0,
            // k6 says only at the end what it dropped.
            dropped: 0,
        };
        for index in self.scenarios() {
            let counts = self.feed.counts(index);
            beat.sent += counts.sent;
            beat.completed += counts.completed;
            beat.failed += counts.failed;
            if self.windows.has_closed(index) {
                beat.dropped += self.replay.dropped(index).unwrap_or(0);
            }
        }
        self.send(Event::Heartbeat(beat))
    }

    fn hand_over(&mut self, everything: bool) -> io::Result<()> {
        let horizon_ns = if everything {
            i64::MAX
        } else {
            self.now_ns - SECOND_NS
        };
        let replay = self.replay;
        self.feed.resolve(horizon_ns, |index| replay.dropped(index));
        let records = self.feed.take_ready();
        if records.is_empty() {
            return Ok(());
        }
        self.give(&EngineEvent::Requests(records))
    }

    /// The log is at its end.
    fn end(mut self) -> io::Result<()> {
        if self.replay.status == Some(RunStatus::Completed) {
            // Nothing is said between the last request and the end of the last window.
            // Where iterations decide, k6 ends before the time that it would have had.
            let planned_ns = self.replay.plan.end_ns();
            let ran_ns = self.replay.ran_ns.unwrap_or(planned_ns);
            let end_ns = self.replay.planned_ns(planned_ns.min(ran_ns));
            self.advance(end_ns.max(self.now_ns))?;
        }
        let was_killed = self.replay.status.is_none();
        for index in self.scenarios() {
            self.feed.interrupt(index, self.now_ns);
            if was_killed || !self.windows.is_on(index) {
                continue;
            }
            // As in a run that a signal ends: what is open is closed now.
            self.closed(index, self.now_ns)?;
            let end_ns = self.feed.planned_end_ns(index).min(self.now_ns);
            let last_ns = self.feed.counts(index).last_ended_ns;
            self.drained(index, last_ns.map_or(end_ns, |last| last.max(end_ns)))?;
        }
        self.beat()?;
        self.hand_over(true)?;
        if let Some(status) = self.replay.status {
            let at_ns = self.now_ns;
            self.send(Event::RunFinished(RunFinished {
                at_ns,
                status,
                sha256: None,
            }))?;
        }
        Ok(())
    }

    fn totals(&self, index: usize, at_ns: i64) -> WindowClosed {
        let counts = self.feed.counts(index);
        let scenario = &self.replay.plan.scenarios[index];
        WindowClosed {
            scenario: scenario.name.clone(),
            at_ns,
            last_completed_ns: counts.last_completed_ns,
            sent: counts.sent,
            completed: counts.completed,
            failed: counts.failed,
            dropped: self.replay.dropped(index).unwrap_or(0),
            iterations: counts.iterations,
            interrupted_iterations: counts.interrupted_iterations,
            unsent_steps: counts.unsent_steps,
        }
    }

    fn send(&mut self, line: Event) -> io::Result<()> {
        self.give(&EngineEvent::Timeline(line))
    }

    fn give(&mut self, event: &EngineEvent) -> io::Result<()> {
        self.consumers
            .iter_mut()
            .try_for_each(|consumer| consumer.take(event))
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
