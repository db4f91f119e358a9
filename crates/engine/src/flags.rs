//! Feature flags that are read while a run goes on, and how many VUs follow from them. Reading is a
//! task for each flag; what is made of it is pure.

use std::sync::Arc;

use loadgen_fault::FlagReader;
use loadgen_scenario::{Executor, Plan};
use loadgen_timeline::Clock;
use loadgen_timeline::event::{Event, FlagChanged, FlagLost, VusChanged};
use tokio::sync::mpsc::UnboundedSender;

/// A look at a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// Its index in the plan.
    pub(crate) flag: usize,
    /// Unix nanoseconds.
    pub(crate) at_ns: i64,
    /// What it says, or why that can't be read.
    pub(crate) value: Result<u64, String>,
}

/// Looks at a flag again and again until nobody wants to know any more.
pub(crate) async fn look(
    reader: FlagReader,
    flag: usize,
    clock: Clock,
    looks: UnboundedSender<Look>,
) {
    loop {
        let value = reader.read().await.map_err(|error| error.to_string());
        let at_ns = clock.now_ns();
        if looks.send(Look { flag, at_ns, value }).is_err() {
            return;
        }
        tokio::time::sleep(reader.every()).await;
    }
}

/// What the flags of a run say.
#[derive(Debug)]
pub(crate) struct Flags {
    plan: Arc<Plan>,
    /// By flag.
    known: Vec<Known>,
    /// By scenario: the VUs that the timeline has last; none: its window is not open, or its
    /// executor no one's that follows a flag.
    vus: Vec<Option<u32>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// What it said last.
    value: Option<u64>,
    /// The last look failed.
    is_lost: bool,
}

impl Flags {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self {
            known: vec![Known::default(); plan.flags.len()],
            vus: vec![None; plan.scenarios.len()],
            plan,
        }
    }

    /// Takes what a look has shown. Returns what the timeline is told.
    pub(crate) fn take(&mut self, look: &Look) -> Vec<Event> {
        let mut told = Vec::new();
        let Some(known) = self.known.get_mut(look.flag) else {
            return told;
        };
        let flag = || self.plan.flags[look.flag].name.clone();
        let at_ns = look.at_ns;
        match &look.value {
            Ok(value) => {
                if known.is_lost || known.value != Some(*value) {
                    told.push(Event::FlagChanged(FlagChanged {
                        flag: flag(),
                        value: *value,
                        at_ns,
                    }));
                }
                *known = Known {
                    value: Some(*value),
                    is_lost: false,
                };
            }
            Err(reason) => {
                if !known.is_lost {
                    told.push(Event::FlagLost(FlagLost {
                        flag: flag(),
                        reason: reason.clone(),
                        at_ns,
                    }));
                }
                known.is_lost = true;
            }
        }
        for scenario in 0..self.vus.len() {
            if self.vus[scenario].is_some() {
                told.extend(self.told_vus(scenario, at_ns));
            }
        }
        told
    }

    /// A scenario's window has opened.
    pub(crate) fn opened(&mut self, scenario: usize, at_ns: i64) -> Option<Event> {
        self.told_vus(scenario, at_ns)
    }

    /// A scenario's window has closed.
    pub(crate) fn closed(&mut self, scenario: usize) {
        self.vus[scenario] = None;
    }

    /// How many VUs a scenario is to run; none: no flag says it.
    pub(crate) fn vus(&self, scenario: usize) -> Option<u32> {
        match self.plan.scenarios[scenario].executor {
            Executor::ExternallyControlled {
                vus, max_vus, flag, ..
            } => {
                let said = self.known.get(flag).and_then(|known| known.value);
                let said = said.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
                Some(said.unwrap_or(vus).min(max_vus))
            }
            _ => None,
        }
    }

    /// The line that says how many VUs a scenario runs, where the timeline has another number.
    fn told_vus(&mut self, scenario: usize, at_ns: i64) -> Option<Event> {
        let vus = self.vus(scenario)?;
        if self.vus[scenario] == Some(vus) {
            return None;
        }
        self.vus[scenario] = Some(vus);
        Some(Event::VusChanged(VusChanged {
            scenario: self.plan.scenarios[scenario].name.clone(),
            vus,
            at_ns,
        }))
    }
}

#[cfg(test)]
mod tests {
    use loadgen_scenario::{PlanOptions, plan_str};

    use super::*;

    fn flags() -> Flags {
        let text = "
version: 1
flags: {users: {flag: loadGeneratorVUs, flagd_file: flags.json}}
flows: {default: {steps: [{path: /}]}}
scenarios:
  a: {executor: externally-controlled, vus: 5, max_vus: 50, duration: 1m, vus_from: users}
  b: {executor: externally-controlled, vus: 2, max_vus: 9, duration: 1m, vus_from: users}
  c: {executor: constant-vus, vus: 1, duration: 1m}
";
        let plan = plan_str("flags.yaml", text, &PlanOptions::default()).unwrap();
        Flags::new(Arc::new(plan))
    }

    fn look(at_ns: i64, value: Result<u64, &str>) -> Look {
        let value = value.map_err(str::to_owned);
        Look {
            flag: 0,
            at_ns,
            value,
        }
    }

    fn told(lines: impl IntoIterator<Item = Event>) -> Vec<String> {
        let text = |line| match line {
            Event::FlagChanged(f) => format!("{} {} is {}", f.at_ns, f.flag, f.value),
            Event::FlagLost(f) => format!("{} {} lost: {}", f.at_ns, f.flag, f.reason),
            Event::VusChanged(v) => format!("{} {} runs {}", v.at_ns, v.scenario, v.vus),
            other => format!("{other:?}"),
        };
        lines.into_iter().map(text).collect()
    }

    #[test]
    fn until_a_flag_is_read_the_file_says_how_many() {
        let mut flags = flags();
        assert_eq!(told(flags.opened(0, 1)), ["1 a runs 5"]);
        assert_eq!(told(flags.opened(2, 1)), [""; 0]);
        assert_eq!(flags.vus(2), None);
        let lines = flags.take(&look(2, Err("no route")));
        assert_eq!(told(lines), ["2 users lost: no route"]);
        assert_eq!(flags.vus(0), Some(5));
    }

    #[test]
    fn each_change_is_told_once_and_of_open_windows_only() {
        let mut flags = flags();
        assert_eq!(told(flags.take(&look(1, Ok(10)))), ["1 users is 10"]);
        assert_eq!(told(flags.opened(0, 2)), ["2 a runs 10"]);
        assert_eq!(told(flags.take(&look(3, Ok(10)))), [""; 0]);
        let lines = flags.take(&look(4, Ok(0)));
        assert_eq!(told(lines), ["4 users is 0", "4 a runs 0"]);
        flags.closed(0);
        assert_eq!(told(flags.take(&look(5, Ok(7)))), ["5 users is 7"]);
        assert_eq!(told(flags.opened(1, 6)), ["6 b runs 7"]);
    }

    #[test]
    fn more_than_max_vus_are_not_run() {
        let mut flags = flags();
        flags.take(&look(1, Ok(u64::MAX)));
        assert_eq!((flags.vus(0), flags.vus(1)), (Some(50), Some(9)));
    }

    #[test]
    fn what_a_flag_said_last_holds_while_it_is_away() {
        let mut flags = flags();
        flags.opened(0, 1);
        flags.take(&look(2, Ok(10)));
        assert_eq!(
            told(flags.take(&look(3, Err("gone")))),
            ["3 users lost: gone"]
        );
        assert_eq!(told(flags.take(&look(4, Err("gone still")))), [""; 0]);
        assert_eq!(flags.vus(0), Some(10));
        // That it is back is told, though it says the same.
        assert_eq!(told(flags.take(&look(5, Ok(10)))), ["5 users is 10"]);
    }
}
