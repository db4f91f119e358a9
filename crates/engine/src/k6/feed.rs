//! From lines of the event log to records of requests and counts: pure, so that it serves a run
//! that is on, a log that was kept, and tests alike.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use loadgen_scenario::{
    ArrivalSchedule, Executor, Plan, PlannedScenario, Shard, Stripe, VuSchedule,
};
use loadgen_timeline::{Failure, RequestRecord};

use super::line::{Begin, LogLine, Name};
use super::ticks::Ticks;

const MS: i64 = 1_000_000;

/// Scripts see k6's clock cut to whole milliseconds; the middle of the one that they saw is off by
/// half of it at most, and right on average.
const HALF_A_GRAIN_NS: i64 = MS / 2;

/// Lines of what happened at a moment have come so long after it.
const LINES_DELAY_NS: i64 = 50 * MS;

/// What k6 cuts off at a moment has been cut off so long after it, also on a busy machine.
const CUT_DELAY_NS: i64 = 500 * MS;

/// How far a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Iterations may start.
    No,
    /// None starts any more, but some are on.
    Closed {
        /// Because it has made all that it was to make.
        early: bool,
    },
    /// The last one ended.
    Drained {
        early: bool,
        /// When it did, in Unix nanoseconds.
        at_ns: i64,
    },
}

/// What lines come to.
#[derive(Debug)]
pub(crate) struct Feed {
    plan: Arc<Plan>,
    scenarios: Vec<Scenario>,
    /// Requests on their way, by key.
    in_flight: HashMap<Box<str>, InFlight>,
    /// Iterations that are on, by VU.
    iterations: HashMap<Box<str>, (usize, u64)>,
    /// Requests that ended before it was known when they had been due.
    without_due: Vec<RequestRecord>,
    ready: Vec<RequestRecord>,
}

/// What has been counted of a scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    /// Iterations started: all of this k6's up to the highest number.
    pub(crate) iterations: u64,
    /// Iterations that ended by themselves.
    pub(crate) ended_iterations: u64,
    pub(crate) interrupted_iterations: u64,
    pub(crate) unsent_steps: u64,
    /// End of the last request that ended.
    pub(crate) last_completed_ns: Option<i64>,
    /// End of the last iteration that ended, or was cut off at the end of all.
    pub(crate) last_ended_ns: Option<i64>,
}

#[derive(Debug)]
struct Scenario {
    planned_start_ns: i64,
    planned_end_ns: i64,
    /// When k6 has cut off the last iteration, by the plan.
    last_cut_ns: i64,
    /// The iterations that are this k6's.
    stripe: Stripe,
    /// Iterations to make in all, for executors that count them.
    to_make: Option<u64>,
    /// When its executor began, by k6; until that is known, by the plan.
    opened_ns: i64,
    ticks: Option<Ticks>,
    /// Iterations whose tick is not known yet, with their starts.
    undue: BTreeMap<u64, i64>,
    /// When iterations were due of which the first request has not ended.
    due_ns: HashMap<u64, i64>,
    /// Moments from the start at which k6 cuts iterations off, in order.
    cuts_ns: Vec<i64>,
    /// Iterations that are on.
    open: HashSet<u64>,
    /// Iterations that were given up; lines of them may still come.
    given_up: HashSet<u64>,
    counts: Counts,
}

#[derive(Debug)]
struct InFlight {
    record: RequestRecord,
    /// The first of an iteration that a schedule started.
    is_due_by_schedule: bool,
}

impl Feed {
    /// `zero_ns` is the zero of the plan's times, in Unix nanoseconds; `shard` what of the plan this
    /// k6 does.
    pub(crate) fn new(plan: Arc<Plan>, zero_ns: i64, shard: Shard) -> Self {
        let scenarios = plan.scenarios.iter().map(|planned| {
            let planned_start_ns = zero_ns.saturating_add_unsigned(planned.start_ns);
            let cuts_ns = cuts_ns(planned, shard);
            let stripe = shard.stripe(&planned.executor);
            let schedule = ArrivalSchedule::new(&planned.executor);
            Scenario {
                planned_start_ns,
                planned_end_ns: zero_ns.saturating_add_unsigned(planned.end_ns),
                last_cut_ns: planned_start_ns.saturating_add(last_cut_ns(planned)),
                to_make: shard.iterations_to_make(&planned.executor),
                opened_ns: planned_start_ns,
                ticks: schedule.map(|schedule| Ticks::new(schedule, stripe.clone())),
                stripe,
                undue: BTreeMap::new(),
                due_ns: HashMap::new(),
                cuts_ns,
                open: HashSet::new(),
                given_up: HashSet::new(),
                counts: Counts::default(),
            }
        });
        Self {
            scenarios: scenarios.collect(),
            plan,
            in_flight: HashMap::new(),
            iterations: HashMap::new(),
            without_due: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Takes a line. `now_ns` is when it was read, for what does not say its own time.
    ///
    /// # Errors
    /// The line names something that the plan does not have.
    pub(crate) fn take(&mut self, line: &LogLine<'_>, now_ns: i64) -> Result<(), String> {
        match line {
            LogLine::Open { scenario, at_ms } => {
                let index = self.scenario(scenario)?;
                self.scenarios[index].opened_ns = at_ms * MS + HALF_A_GRAIN_NS;
            }
            LogLine::Begin(begin) => self.begin(begin)?,
            LogLine::End {
                key,
                duration_ns,
                status,
                failure,
                ends_iteration,
            } => {
                // Without its begin, which a log that was cut at the front lacks, there is nothing
                // that it could be the end of.
                if let Some(in_flight) = self.in_flight.remove(*key) {
                    let finished_ns = in_flight.record.sent_ns + duration_ns;
                    self.complete(in_flight, finished_ns, *status, *failure);
                    if *ends_iteration {
                        self.end_iteration(vu(key), finished_ns);
                    }
                }
            }
            LogLine::Unsent {
                vu,
                scenario,
                iteration,
            } => {
                let index = self.scenario(scenario)?;
                self.enter(vu, index, *iteration, now_ns);
                self.scenarios[index].counts.unsent_steps += 1;
            }
            LogLine::IterationEnd { vu } => self.end_iteration(vu, now_ns),
            LogLine::Empty {
                scenario,
                iteration,
            } => {
                let index = self.scenario(scenario)?;
                let scenario = &mut self.scenarios[index];
                scenario.start(*iteration, now_ns);
                scenario.end(*iteration, now_ns);
            }
            LogLine::Run(_) | LogLine::Zero(_) | LogLine::Summary(_) => {}
        }
        Ok(())
    }

    /// Finds out when iterations were due that started by `horizon_ns`. `dropped`, by scenario, is
    /// what k6 had counted as dropped by then. The greatest horizon is the end: nothing is kept back.
    pub(crate) fn resolve(&mut self, horizon_ns: i64, dropped: impl Fn(usize) -> Option<u64>) {
        for (index, scenario) in self.scenarios.iter_mut().enumerate() {
            scenario.resolve(horizon_ns, dropped(index));
        }
        let scenarios = &mut self.scenarios;
        let ready = &mut self.ready;
        self.without_due.retain_mut(|record| {
            let due_ns = &mut scenarios[usize::from(record.scenario)].due_ns;
            match due_ns.remove(&record.iteration) {
                Some(due_ns) => record.intended_ns = due_ns,
                // Nothing more will be known of it.
                None if horizon_ns == i64::MAX => {}
                None => return true,
            }
            ready.push(record.clone());
            false
        });
    }

    /// Requests that ended since the last call.
    pub(crate) fn take_ready(&mut self) -> Vec<RequestRecord> {
        std::mem::take(&mut self.ready)
    }

    pub(crate) fn counts(&self, scenario: usize) -> &Counts {
        &self.scenarios[scenario].counts
    }

    /// How far a scenario is at a moment. What k6 must have cut off by then is given up.
    pub(crate) fn over(&mut self, scenario: usize, now_ns: i64) -> Over {
        let cut_ns = self.scenarios[scenario].last_cut_ns;
        if now_ns >= cut_ns + CUT_DELAY_NS {
            self.interrupt(scenario, cut_ns);
        }
        let scenario = &self.scenarios[scenario];
        let counts = &scenario.counts;
        let over = counts.ended_iterations + counts.interrupted_iterations;
        let early = scenario.to_make.is_some_and(|to_make| over >= to_make);
        let end_ns = scenario.planned_end_ns;
        if !early && now_ns < end_ns + LINES_DELAY_NS {
            return Over::No;
        }
        if !scenario.open.is_empty() {
            return Over::Closed { early };
        }
        // A request's times are as coarse as k6's clock, an iteration's may be its reader's: the later
        // one, so that nothing of the scenario is after its drain.
        let last_ns = counts.last_ended_ns.max(counts.last_completed_ns);
        let at_ns = match last_ns {
            Some(last_ns) if early => last_ns,
            last_ns => last_ns.unwrap_or(end_ns).max(end_ns),
        };
        Over::Drained { early, at_ns }
    }

    /// When no iteration of a scenario starts any more, by the plan.
    pub(crate) fn planned_end_ns(&self, scenario: usize) -> i64 {
        self.scenarios[scenario].planned_end_ns
    }

    /// Gives up what is still on of a scenario: k6 cut it off, or is gone.
    pub(crate) fn interrupt(&mut self, scenario: usize, now_ns: i64) {
        let of_it = |in_flight: &InFlight| usize::from(in_flight.record.scenario) == scenario;
        let in_flight = self.in_flight.iter().filter(|entry| of_it(entry.1));
        let keys: Vec<_> = in_flight.map(|entry| entry.0.clone()).collect();
        for key in keys {
            self.cut_off(&key, now_ns);
        }
        self.iterations.retain(|_, (of, _)| *of != scenario);
        let scenario = &mut self.scenarios[scenario];
        if !scenario.open.is_empty() {
            scenario.counts.last_ended_ns = scenario.counts.last_ended_ns.max(Some(now_ns));
        }
        scenario.counts.interrupted_iterations += scenario.open.len() as u64;
        scenario.given_up.extend(scenario.open.drain());
    }

    fn begin(&mut self, begin: &Begin<'_>) -> Result<(), String> {
        let index = self.scenario(&begin.scenario)?;
        let flow = self.flow(&begin.flow)?;
        let step = self.step(flow, &begin.step)?;
        // Not before its window: that one begins at a time that is not cut to milliseconds.
        let sent_ns =
            (begin.sent_ms * MS + HALF_A_GRAIN_NS).max(self.scenarios[index].planned_start_ns);
        self.cut_off(begin.key, sent_ns);
        let is_first = self.enter(vu(begin.key), index, begin.iteration, sent_ns);
        let scenario = &mut self.scenarios[index];
        scenario.counts.sent += 1;
        let record = RequestRecord {
            trace_id: begin.trace_id,
            span_id: begin.span_id,
            // A plan's lists are far below 65,536; the ledger checks when it is created.
            scenario: index as u16,
            flow: flow as u16,
            step,
            iteration: begin.iteration,
            intended_ns: sent_ns,
            sent_ns,
            finished_ns: sent_ns,
            status: None,
            failure: None,
            path: begin.path.into(),
        };
        let is_due_by_schedule = is_first && scenario.ticks.is_some();
        self.in_flight.insert(
            begin.key.into(),
            InFlight {
                record,
                is_due_by_schedule,
            },
        );
        Ok(())
    }

    /// Notes that a VU is in an iteration. True: it has just begun.
    fn enter(&mut self, vu: &str, scenario: usize, iteration: u64, at_ns: i64) -> bool {
        match self.iterations.get(vu) {
            Some(&now) if now == (scenario, iteration) => return false,
            Some(&(of, before)) => {
                // A VU does one after the other, so the one before was cut off.
                self.scenarios[of].interrupt(before);
            }
            None => {}
        }
        self.iterations.insert(vu.into(), (scenario, iteration));
        self.scenarios[scenario].start(iteration, at_ns)
    }

    fn end_iteration(&mut self, vu: &str, at_ns: i64) {
        if let Some((scenario, iteration)) = self.iterations.remove(vu) {
            self.scenarios[scenario].end(iteration, at_ns);
        }
    }

    /// A request whose end never came.
    fn cut_off(&mut self, key: &str, seen_ns: i64) {
        let Some(in_flight) = self.in_flight.remove(key) else {
            return;
        };
        let sent_ns = in_flight.record.sent_ns;
        let scenario = &self.scenarios[usize::from(in_flight.record.scenario)];
        let mut cuts = scenario.cuts_ns.iter().map(|cut| scenario.opened_ns + cut);
        let cut_ns = cuts.find(|cut| (sent_ns..seen_ns).contains(cut));
        let finished_ns = cut_ns.unwrap_or(seen_ns).max(sent_ns);
        self.complete(in_flight, finished_ns, None, Some(Failure::Interrupted));
    }

    fn complete(
        &mut self,
        in_flight: InFlight,
        finished_ns: i64,
        status: Option<u16>,
        failure: Option<Failure>,
    ) {
        let InFlight {
            mut record,
            is_due_by_schedule,
        } = in_flight;
        record.finished_ns = finished_ns;
        record.status = status;
        record.failure = failure;
        let counts = &mut self.scenarios[usize::from(record.scenario)].counts;
        counts.completed += 1;
        counts.failed += u64::from(failure.is_some());
        counts.last_completed_ns = counts.last_completed_ns.max(Some(finished_ns));
        if is_due_by_schedule {
            self.without_due.push(record);
        } else {
            self.ready.push(record);
        }
    }

    fn scenario(&self, name: &Name<'_>) -> Result<usize, String> {
        let names = self.plan.scenarios.iter().map(|s| s.name.as_str());
        look_up("scenario", name, names)
    }

    fn flow(&self, name: &Name<'_>) -> Result<usize, String> {
        look_up(
            "flow",
            name,
            self.plan.flows.iter().map(|f| f.name.as_str()),
        )
    }

    fn step(&self, flow: usize, name: &Name<'_>) -> Result<u16, String> {
        let steps = self.plan.flows[flow].steps.iter().map(|s| s.name.as_str());
        look_up("step", name, steps).map(|step| step as u16)
    }
}

impl Scenario {
    /// True: the iteration is new.
    fn start(&mut self, iteration: u64, at_ns: i64) -> bool {
        let so_many = self.stripe.among(iteration.saturating_add(1));
        self.counts.iterations = self.counts.iterations.max(so_many);
        self.open.insert(iteration);
        if self.given_up.remove(&iteration) {
            // It was on all the time, and its lines were late.
            self.counts.interrupted_iterations -= 1;
            return false;
        }
        if self.ticks.is_some() {
            self.undue.insert(iteration, at_ns);
        }
        true
    }

    fn end(&mut self, iteration: u64, at_ns: i64) {
        if self.open.remove(&iteration) {
            self.counts.ended_iterations += 1;
            self.counts.last_ended_ns = self.counts.last_ended_ns.max(Some(at_ns));
        }
    }

    fn interrupt(&mut self, iteration: u64) {
        if self.open.remove(&iteration) {
            self.counts.interrupted_iterations += 1;
            self.given_up.insert(iteration);
        }
    }

    fn resolve(&mut self, horizon_ns: i64, dropped: Option<u64>) {
        let Some(ticks) = &mut self.ticks else {
            return;
        };
        while let Some(first) = self.undue.first_entry() {
            if *first.get() > horizon_ns {
                break;
            }
            let (iteration, started_ns) = first.remove_entry();
            let after_open = u64::try_from(started_ns - self.opened_ns).unwrap_or(0);
            let due_ns = match ticks.due_ns(after_open, dropped) {
                // What seems to be due after it started is the grain of k6's clock.
                Some(due) => self.opened_ns.saturating_add_unsigned(due).min(started_ns),
                None => started_ns,
            };
            self.due_ns.insert(iteration, due_ns);
        }
    }
}

/// The VU that a key belongs to.
fn vu(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

fn look_up<'n>(
    what: &str,
    name: &Name<'_>,
    mut names: impl ExactSizeIterator<Item = &'n str>,
) -> Result<usize, String> {
    let length = names.len();
    match name {
        Name::Index(index) if usize::from(*index) < length => Ok(usize::from(*index)),
        Name::Index(index) => Err(format!("the plan has no {what} number {index}")),
        Name::Text(text) => names
            .position(|known| known == text)
            .ok_or_else(|| format!("the plan has no {what} called `{text}`")),
    }
}

/// When k6 cuts iterations off: so long after a VU was taken away, and after the end.
fn cuts_ns(planned: &PlannedScenario, shard: Shard) -> Vec<i64> {
    let length_ns = planned.end_ns - planned.start_ns;
    let mut cuts = vec![length_ns.saturating_add(planned.graceful_stop_ns)];
    if let Executor::RampingVus {
        graceful_ramp_down_ns,
        ..
    } = planned.executor
        && let Some(schedule) = VuSchedule::new(&planned.executor)
    {
        let mut running = 0;
        for (at_ns, vus) in schedule.steps() {
            let vus = shard.vus(vus);
            if vus < running {
                cuts.push(at_ns.saturating_add(graceful_ramp_down_ns));
            }
            running = vus;
        }
    }
    cuts.sort_unstable();
    cuts.into_iter()
        .map(|cut| i64::try_from(cut).unwrap_or(i64::MAX / 2))
        .collect()
}

/// When k6 has cut off the last iteration, from the start: where all VUs were taken away before, so
/// long after the last of them was.
fn last_cut_ns(planned: &PlannedScenario) -> i64 {
    let cut_ns = (planned.end_ns - planned.start_ns).saturating_add(planned.graceful_stop_ns);
    let without_vus_ns = match planned.executor {
        Executor::RampingVus {
            graceful_ramp_down_ns,
            ..
        } => VuSchedule::new(&planned.executor)
            .and_then(|schedule| schedule.steps().last())
            .filter(|(_, vus)| *vus == 0)
            .map(|(at_ns, _)| at_ns.saturating_add(graceful_ramp_down_ns)),
        _ => None,
    };
    let cut_ns = cut_ns.min(without_vus_ns.unwrap_or(u64::MAX));
    i64::try_from(cut_ns).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
