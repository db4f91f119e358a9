//! Has faults injected and cleared, one change after the other, and writes down what was confirmed.
//!
//! Scenarios that overlap may hold the same fault: it is cleared when the last of them lets go. A
//! fault that could not be cleared would poison every later window, so clearing is tried again
//! before each later change and at the end of the run.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use loadgen_fault::{Drivers, FaultError};
use loadgen_scenario::plan::Fault;
use loadgen_timeline::Clock;
use loadgen_timeline::event::{Event as Line, FaultChanged, FaultFailed};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::event::Event;
use crate::recorder::send;

/// How long changes may take once the run must stop at once.
pub(crate) const HASTY: Duration = Duration::from_millis(500);

/// Attempts to clear a fault at the end of the run, a second apart.
const LAST_ATTEMPTS: u32 = 3;

/// A change of a fault that is due.
#[derive(Debug)]
pub(crate) struct FaultJob {
    pub(crate) scenario: String,
    pub(crate) fault: Fault,
    pub(crate) inject: bool,
    pub(crate) requested_ns: i64,
}

/// A scenario that asked for a fault.
#[derive(Debug)]
struct Holder {
    scenario: String,
    fault: Fault,
    /// When it asked to have the fault cleared; none: it still holds it.
    let_go_ns: Option<i64>,
}

pub(crate) struct Injector {
    drivers: Drivers,
    clock: Clock,
    events: SyncSender<Event>,
    /// Becomes true when the run must stop at once.
    hurry: watch::Receiver<bool>,
    /// Faults that are in force, or may be.
    holders: Vec<Holder>,
}

impl Injector {
    pub(crate) fn new(
        drivers: Drivers,
        clock: Clock,
        events: SyncSender<Event>,
        hurry: watch::Receiver<bool>,
    ) -> Self {
        Self {
            drivers,
            clock,
            events,
            hurry,
            holders: Vec::new(),
        }
    }

    /// Makes the changes that come until there are no more, and leaves no fault behind that can
    /// be cleared.
    pub(crate) async fn run(mut self, mut jobs: UnboundedReceiver<FaultJob>) {
        while let Some(job) = jobs.recv().await {
            if job.inject {
                self.clear().await;
                self.inject(job).await;
            } else {
                for holder in &mut self.holders {
                    if holder.scenario == job.scenario {
                        holder.let_go_ns.get_or_insert(job.requested_ns);
                    }
                }
                self.clear().await;
            }
        }
        let now_ns = self.clock.now_ns();
        for holder in &mut self.holders {
            holder.let_go_ns.get_or_insert(now_ns);
        }
        for attempt in 0..LAST_ATTEMPTS {
            if self.holders.is_empty() || *self.hurry.borrow() && attempt > 0 {
                break;
            }
            if attempt > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            self.clear().await;
        }
    }

    async fn inject(&mut self, job: FaultJob) {
        let result = self.change(&job.fault, true).await;
        self.write_down(&job.scenario, &job.fault, true, job.requested_ns, result);
        // Also after a failure: an injection that was not confirmed may be in force.
        let FaultJob {
            scenario, fault, ..
        } = job;
        self.holders.push(Holder {
            scenario,
            fault,
            let_go_ns: None,
        });
    }

    /// Clears each fault that nobody holds any more.
    async fn clear(&mut self) {
        let mut index = 0;
        while index < self.holders.len() {
            let fault = self.holders[index].fault.clone();
            let same = |h: &Holder| is_same(&h.fault, &fault);
            if self
                .holders
                .iter()
                .any(|h| same(h) && h.let_go_ns.is_none())
            {
                index += 1;
                continue;
            }
            let result = self.change(&fault, false).await;
            let cleared = result.is_ok();
            let reason = result.err();
            let (gone, kept) = self.holders.drain(..).partition(same);
            self.holders = kept;
            for holder in &gone {
                let result = reason.as_deref().map_or(Ok(()), |r| Err(r.to_owned()));
                let requested_ns = holder.let_go_ns.unwrap_or_default();
                self.write_down(&holder.scenario, &holder.fault, false, requested_ns, result);
            }
            if !cleared {
                // Kept for the next attempt, in front, so that this loop goes on behind them.
                index += gone.len();
                self.holders.splice(0..0, gone);
            }
        }
    }

    async fn change(&mut self, fault: &Fault, inject: bool) -> Result<(), String> {
        let drivers = &self.drivers;
        let change = async {
            match inject {
                true => drivers.inject(fault).await,
                false => drivers.clear(fault).await,
            }
        };
        let hurry = &mut self.hurry;
        let out_of_time = async {
            if hurry.wait_for(|hurry| *hurry).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(HASTY).await;
        };
        tokio::select! {
            result = change => result.map_err(|e: FaultError| e.to_string()),
            () = out_of_time => Err("the run was stopped before the change was confirmed".into()),
        }
    }

    fn write_down(
        &self,
        scenario: &str,
        fault: &Fault,
        inject: bool,
        requested_ns: i64,
        result: Result<(), String>,
    ) {
        let at_ns = self.clock.now_ns();
        let scenario = scenario.to_owned();
        let (driver, name) = (fault.driver.clone(), fault.fault.clone());
        let line = match result {
            Ok(()) => {
                let changed = FaultChanged {
                    scenario,
                    driver,
                    fault: name,
                    service: fault.service.clone(),
                    intensity: fault.intensity,
                    sham: fault.sham,
                    requested_ns,
                    at_ns,
                };
                if inject {
                    Line::FaultInjected(changed)
                } else {
                    Line::FaultCleared(changed)
                }
            }
            Err(reason) => Line::FaultFailed(FaultFailed {
                scenario,
                driver,
                fault: name,
                service: fault.service.clone(),
                change: if inject { "inject" } else { "clear" }.into(),
                reason,
                requested_ns,
                at_ns,
            }),
        };
        send(&self.events, line);
    }
}

fn is_same(a: &Fault, b: &Fault) -> bool {
    (&a.driver, &a.service, &a.fault) == (&b.driver, &b.service, &b.fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use loadgen_fault::FaultDriver;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex, mpsc};
    use tokio::sync::mpsc::unbounded_channel;

    /// Counts what it is asked for and fails as it is told.
    #[derive(Clone, Default)]
    struct Counting {
        calls: Arc<Mutex<Vec<&'static str>>>,
        clear_fails: Arc<Mutex<VecDeque<bool>>>,
    }

    impl FaultDriver for Counting {
        fn name(&self) -> &str {
            "counting"
        }
        fn reset(&self) -> BoxFuture<'_, Result<(), FaultError>> {
            async { Ok(()) }.boxed()
        }
        fn inject<'a>(&'a self, _: &'a Fault) -> BoxFuture<'a, Result<(), FaultError>> {
            self.calls.lock().unwrap().push("inject");
            async { Ok(()) }.boxed()
        }
        fn clear<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, Result<(), FaultError>> {
            self.calls.lock().unwrap().push("clear");
            let fails = self
                .clear_fails
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(false);
            let error = FaultError::NoDriver {
                driver: "counting".into(),
                fault: fault.fault.clone(),
            };
            async move { if fails { Err(error) } else { Ok(()) } }.boxed()
        }
    }

    /// `+a` has scenario a ask for the fault, `-a` has it let go.
    async fn play(driver: Counting, script: &[&str]) -> Vec<String> {
        let (events, lines) = mpsc::sync_channel(100);
        let (_hurry, hurry) = watch::channel(false);
        let drivers = Drivers::default().with(driver);
        let injector = Injector::new(drivers, Clock::anchored_now(), events, hurry);
        let (queue, jobs) = unbounded_channel();
        for word in script {
            let fault = Fault {
                driver: "counting".into(),
                fault: "slow".into(),
                service: "cart".into(),
                intensity: 0.5,
                sham: false,
            };
            let (inject, scenario) = (word.starts_with('+'), word[1..].to_owned());
            queue
                .send(FaultJob {
                    scenario,
                    fault,
                    inject,
                    requested_ns: 1,
                })
                .unwrap();
        }
        drop(queue);
        injector.run(jobs).await;
        let word = |event| match event {
            Event::Timeline(Line::FaultInjected(f)) => format!("+{}", f.scenario),
            Event::Timeline(Line::FaultCleared(f)) => format!("-{}", f.scenario),
            Event::Timeline(Line::FaultFailed(f)) => format!("!{}", f.scenario),
            other => format!("{other:?}"),
        };
        lines.try_iter().map(word).collect()
    }

    #[tokio::test]
    async fn a_fault_that_two_scenarios_hold_is_cleared_when_the_last_lets_go() {
        let driver = Counting::default();
        let lines = play(driver.clone(), &["+a", "+b", "-a", "-b"]).await;
        assert_eq!(*driver.calls.lock().unwrap(), ["inject", "inject", "clear"]);
        assert_eq!(lines, ["+a", "+b", "-a", "-b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clear_that_fails_is_tried_again_before_the_next_change() {
        let driver = Counting::default();
        driver.clear_fails.lock().unwrap().push_back(true);
        let lines = play(driver.clone(), &["+a", "-a", "+b", "-b"]).await;
        assert_eq!(lines, ["+a", "!a", "-a", "+b", "-b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_force_at_the_end_is_cleared_with_some_patience() {
        let driver = Counting::default();
        driver.clear_fails.lock().unwrap().extend([true, true]);
        let lines = play(driver.clone(), &["+a"]).await;
        assert_eq!(lines, ["+a", "!a", "!a", "-a"]);
    }
}
