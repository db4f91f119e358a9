//! Windows for faults that somebody else makes: where a plan says which anomaly such a fault is,
//! the time in which a look saw it in force is a window of its own, without load of its own.

use std::collections::BTreeMap;

use loadgen_scenario::plan::{ObservedFault, Parameters};
use loadgen_timeline::event::{
    Event, FaultChanged, FaultNoticed, NoticedChange, WindowClosed, WindowOpened,
};

use super::book::Key;

/// Between two looks nobody knows what was in force.
const GUARD_NS: u64 = 1_000_000_000;

/// Makes windows of what looks notice.
#[derive(Debug)]
pub(super) struct Observer {
    observed: Vec<ObservedFault>,
    /// When the run is to end, in Unix nanoseconds.
    end_ns: i64,
    /// Windows that are open, by what they are of.
    open: BTreeMap<Key, FaultChanged>,
    /// Windows so far, by fault.
    numbers: BTreeMap<String, u32>,
}

impl Observer {
    pub(super) fn new(observed: Vec<ObservedFault>, end_ns: i64) -> Self {
        Self {
            observed,
            end_ns,
            open: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The lines that a change is worth; none: the plan says nothing of that fault.
    pub(super) fn take(&mut self, key: &Key, noticed: &FaultNoticed) -> Option<Vec<Event>> {
        let is_it = |o: &&ObservedFault| o.driver == noticed.driver && o.fault == noticed.fault;
        let observed = self.observed.iter().find(is_it)?.clone();
        Some(match noticed.change {
            NoticedChange::Appeared => self.appeared(key, noticed, observed),
            NoticedChange::Gone => self.gone(key, noticed),
            NoticedChange::Lost => return None,
        })
    }

    fn appeared(
        &mut self,
        key: &Key,
        noticed: &FaultNoticed,
        observed: ObservedFault,
    ) -> Vec<Event> {
        let number = self.numbers.entry(noticed.fault.clone()).or_default();
        *number += 1;
        let scenario = format!("{}_{number}", noticed.fault);
        let parameters: Parameters =
            serde_json::from_str(&key.fault.parameters).unwrap_or_default();
        let service = observed.anomaly.root_cause_service.clone();
        let injected = FaultChanged {
            scenario: scenario.clone(),
            driver: noticed.driver.clone(),
            fault: noticed.fault.clone(),
            service: service.unwrap_or_else(|| noticed.service.clone()),
            intensity: noticed.intensity,
            sham: false,
            harmless: false,
            clients: None,
            parameters,
            driver_version: String::new(),
            confirmed_by: "a look at what somebody else injected".to_owned(),
            read_back: serde_json::Value::Null,
            requested_ns: noticed.since_ns,
            at_ns: noticed.at_ns,
        };
        self.open.insert(key.clone(), injected.clone());
        let opened = WindowOpened {
            scenario,
            anomaly: observed.anomaly,
            declared: None,
            warm_up: false,
            planned_start_ns: noticed.at_ns,
            planned_end_ns: self.end_ns.max(noticed.at_ns),
            // Whoever injected it takes it away again.
            may_end_early: true,
            at_ns: noticed.at_ns,
            guard_ns: GUARD_NS,
        };
        vec![Event::WindowOpened(opened), Event::FaultInjected(injected)]
    }

    /// It may have gone at any time since the last look that showed it: that is when the change
    /// counts as asked for.
    fn gone(&mut self, key: &Key, noticed: &FaultNoticed) -> Vec<Event> {
        let Some(injected) = self.open.remove(key) else {
            return Vec::new();
        };
        let closed = closed(&injected.scenario, noticed.at_ns);
        let cleared = FaultChanged {
            requested_ns: noticed.since_ns,
            at_ns: noticed.at_ns,
            ..injected
        };
        vec![
            Event::FaultCleared(cleared),
            Event::WindowClosed(closed.clone()),
            Event::WindowDrained(closed),
        ]
    }

    /// The lines at the end of the run: what is still in force stays so, but nobody looks any more.
    pub(super) fn end(&mut self, at_ns: i64) -> Vec<Event> {
        let open = std::mem::take(&mut self.open).into_values();
        open.flat_map(|injected| {
            let closed = closed(&injected.scenario, at_ns);
            [
                Event::WindowClosed(closed.clone()),
                Event::WindowDrained(closed),
            ]
        })
        .collect()
    }
}

/// The end of a window without load of its own.
fn closed(scenario: &str, at_ns: i64) -> WindowClosed {
    WindowClosed {
        scenario: scenario.to_owned(),
        at_ns,
        last_completed_ns: None,
        sent: 0,
        completed: 0,
        failed: 0,
        dropped: 0,
        iterations: 0,
        interrupted_iterations: 0,
        unsent_steps: 0,
    }
}
