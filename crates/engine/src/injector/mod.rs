//! Has faults injected and cleared, and writes down what was confirmed, and what somebody else
//! changed.
//!
//! Changes of one fault come one after the other ([`changes`]); those of different faults do not
//! wait for each other, so that one that is never answered holds up nothing else. Looks at the
//! target ([`looks`]) go on beside them.

mod book;
mod changes;
mod looks;
mod observer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use loadgen_fault::{CHANGE_LIMIT, Drivers};
use loadgen_scenario::plan::{Fault, ObservedFault};
use loadgen_timeline::Clock;
use loadgen_timeline::event::{Event, FaultFailed};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::book::{Book, Key};
use self::changes::{Change, Changes};
pub(crate) use self::looks::{FirstLook, first_look};
use self::observer::Observer;
use crate::event::EngineEvent;
use crate::recorder::send;

/// How long changes may take once the run must stop at once.
pub(crate) const HASTY: Duration = Duration::from_millis(500);

/// A change of a fault that is due.
#[derive(Debug)]
pub(crate) enum FaultJob {
    /// A scenario's window opened.
    Inject {
        scenario: String,
        fault: Fault,
        /// When, in Unix nanoseconds.
        opened_ns: i64,
        /// When it is to close.
        until_ns: i64,
    },
    /// It closed.
    LetGo { scenario: String, fault: Fault },
}

/// What changes and looks have in common.
#[derive(Clone)]
struct Common {
    /// The run.
    owner: Arc<str>,
    clock: Clock,
    events: SyncSender<EngineEvent>,
    book: Arc<Book>,
    /// Marks that something was changed, so that it is looked at.
    changed: watch::Sender<()>,
    /// When everything must be over; none: the run goes on.
    deadline: watch::Sender<Option<Instant>>,
}

impl Common {
    fn now_ns(&self) -> i64 {
        self.clock.unix_ns(Instant::now().into_std())
    }

    fn send(&self, line: Event) {
        send(&self.events, line);
    }

    /// Waits until everything must be over.
    async fn out_of_time(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let at = *deadline.borrow_and_update();
            let over = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // The sender lives as long as `self`, so a change can be waited for.
            tokio::select! {
                () = over => return,
                _ = deadline.changed() => {}
            }
        }
    }
}

/// Everything must be over by then, or by an earlier time that was set before.
pub(crate) fn must_end(deadline: &watch::Sender<Option<Instant>>, after: Duration) {
    let at = Instant::now() + after;
    deadline.send_if_modified(|known| {
        let is_sooner = known.is_none_or(|known| at < known);
        if is_sooner {
            *known = Some(at);
        }
        is_sooner
    });
}

pub(crate) struct Injector {
    drivers: Drivers,
    common: Common,
    observed: Vec<ObservedFault>,
}

impl Injector {
    /// `owner` is the run; `deadline` tells when everything must be over.
    pub(crate) fn new(
        drivers: Drivers,
        owner: &str,
        clock: Clock,
        events: SyncSender<EngineEvent>,
        deadline: watch::Sender<Option<Instant>>,
        observed: Vec<ObservedFault>,
    ) -> Self {
        let (changed, _) = watch::channel(());
        let common = Common {
            owner: owner.into(),
            clock,
            events,
            book: Arc::default(),
            changed,
            deadline,
        };
        Self {
            drivers,
            common,
            observed,
        }
    }

    /// Makes the changes that come until there are no more, and leaves no fault behind that can be
    /// cleared. `first` is what was seen before the run, which began at `zero_ns` and is to end at
    /// `end_ns`.
    pub(crate) async fn run(
        self,
        first: FirstLook,
        zero_ns: i64,
        end_ns: i64,
        mut jobs: UnboundedReceiver<FaultJob>,
    ) {
        let (strays, mut stray) = unbounded_channel();
        let (end_looks, _) = watch::channel(false);
        let looks: Vec<JoinHandle<()>> = self
            .drivers
            .iter()
            .zip(first)
            .map(|(driver, first)| {
                let look = looks::Looks::new(
                    driver.clone(),
                    self.common.clone(),
                    zero_ns,
                    Observer::new(self.observed.clone(), end_ns),
                );
                tokio::spawn(look.run(first, strays.clone(), end_looks.subscribe()))
            })
            .collect();
        let mut faults: HashMap<Key, (UnboundedSender<Change>, JoinHandle<()>)> = HashMap::new();
        // How long clearing is tried at the end of the run.
        let mut end_limit = CHANGE_LIMIT;
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => end_limit = end_limit.max(self.take(job, &mut faults)),
                    None => break,
                },
                Some(key) = stray.recv() => {
                    if let Some((changes, _)) = faults.get(&key) {
                        let _ = changes.send(Change::Stray);
                    }
                }
            }
        }
        must_end(&self.common.deadline, end_limit);
        let (senders, tasks): (Vec<_>, Vec<_>) = faults.into_values().unzip();
        drop(senders);
        for task in tasks {
            let _ = task.await;
        }
        // What was taken away since the last look is seen by one more.
        end_looks.send_replace(true);
        for look in looks {
            let _ = look.await;
        }
    }

    /// Has a change made; returns how long it may take.
    fn take(
        &self,
        job: FaultJob,
        faults: &mut HashMap<Key, (UnboundedSender<Change>, JoinHandle<()>)>,
    ) -> Duration {
        let (fault, change) = match job {
            FaultJob::Inject {
                scenario,
                fault,
                opened_ns,
                until_ns,
            } => (
                fault.clone(),
                Change::Inject {
                    scenario,
                    fault,
                    opened_ns,
                    until_ns,
                },
            ),
            FaultJob::LetGo { scenario, fault } => (fault, Change::LetGo { scenario }),
        };
        let driver = match self.drivers.driver(&fault) {
            Ok(driver) => driver.clone(),
            Err(error) => {
                if let Change::Inject {
                    scenario,
                    opened_ns,
                    ..
                } = change
                {
                    self.common.send(Event::FaultFailed(FaultFailed {
                        scenario,
                        driver: fault.driver,
                        fault: fault.fault,
                        service: fault.service,
                        change: "inject".into(),
                        reason: error.to_string(),
                        requested_ns: opened_ns,
                        at_ns: self.common.now_ns(),
                    }));
                }
                return Duration::ZERO;
            }
        };
        let limit = driver.limit(&fault);
        let (changes, _) = faults.entry(Key::of(&fault)).or_insert_with(|| {
            let (changes, incoming) = unbounded_channel();
            let made = Changes::new(driver, fault, self.common.clone(), incoming);
            (changes, tokio::spawn(made.run()))
        });
        let _ = changes.send(change);
        limit
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
