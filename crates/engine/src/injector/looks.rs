//! Looks at what faults a target has: before the run, as often as the driver likes while it goes on,
//! and after each change. What somebody else put in or took away is written down.
//!
//! Which moment of a look its answer is of is not known, so a fault of this run is compared only if
//! nothing was on its way to change it from the question to the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use loadgen_fault::{ActiveFault, Drivers, JournaledDriver};
use loadgen_timeline::event::{Event, FaultNoticed, NoticedChange};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::Common;
use super::book::{Key, Known, State};
use super::observer::Observer;

/// Time between two renewals of leases.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long the look before the run may take; it delays the load.
const FIRST_LIMIT: Duration = Duration::from_secs(5);
/// How long the look after the run may take.
const LAST_LIMIT: Duration = Duration::from_secs(2);

/// By driver what it saw before the run; none: the look failed.
pub(crate) type FirstLook = Vec<Option<Vec<ActiveFault>>>;

/// Looks before the run. A look that fails says nothing.
pub(crate) async fn first_look(drivers: &Drivers) -> FirstLook {
    let look = |driver: &Arc<JournaledDriver>| {
        let driver = driver.clone();
        async move {
            let seen = tokio::time::timeout(FIRST_LIMIT, driver.state()).await;
            seen.ok().and_then(Result::ok)
        }
    };
    join_all(drivers.iter().map(look)).await
}

/// The looks of one driver.
pub(super) struct Looks {
    driver: Arc<JournaledDriver>,
    common: Common,
    comparison: Comparison,
    observer: Observer,
}

impl Looks {
    pub(super) fn new(
        driver: Arc<JournaledDriver>,
        common: Common,
        zero_ns: i64,
        observer: Observer,
    ) -> Self {
        let comparison = Comparison {
            driver: driver.name().to_owned(),
            owner: common.owner.to_string(),
            last_ns: zero_ns,
            strangers: BTreeMap::new(),
        };
        Self {
            driver,
            common,
            comparison,
            observer,
        }
    }

    /// Looks until it is told to end, and once more then. Faults of this run that should not be
    /// there are told to `strays`.
    pub(super) async fn run(
        mut self,
        first: Option<Vec<ActiveFault>>,
        strays: UnboundedSender<Key>,
        mut end: watch::Receiver<bool>,
    ) {
        let zero_ns = self.comparison.last_ns;
        if let Some(seen) = first {
            self.take(&seen, zero_ns, zero_ns, &strays);
        }
        let every = self.driver.look_every();
        let mut changed = self.common.changed.subscribe();
        let mut tick = tokio::time::interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewal = tokio::time::interval(RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_renewal = tokio::select! {
                biased;
                _ = end.wait_for(|end| *end) => break,
                _ = changed.changed() => false,
                _ = tick.tick() => false,
                _ = renewal.tick() => true,
            };
            if is_renewal {
                // One that fails is followed by the next; a lease lasts longer.
                let renewed = self.driver.renew(&self.common.owner);
                let _ = tokio::time::timeout(RENEW_EVERY, renewed).await;
                continue;
            }
            tokio::select! {
                biased;
                _ = end.wait_for(|end| *end) => break,
                () = self.look(&strays) => {}
            }
        }
        let _ = tokio::time::timeout(LAST_LIMIT, self.look(&strays)).await;
        for line in self.observer.end(self.common.now_ns()) {
            self.common.send(line);
        }
    }

    async fn look(&mut self, strays: &UnboundedSender<Key>) {
        let asked_ns = self.common.now_ns();
        // One that fails says nothing.
        if let Ok(seen) = self.driver.state().await {
            self.take(&seen, asked_ns, self.common.now_ns(), strays);
        }
    }

    fn take(
        &mut self,
        seen: &[ActiveFault],
        asked_ns: i64,
        answered_ns: i64,
        strays: &UnboundedSender<Key>,
    ) {
        // After the answer: a change that was on its way meanwhile is in the book.
        let known = self.common.book.known();
        let result = self.comparison.look(seen, &known, asked_ns, answered_ns);
        for (key, noticed) in result.noticed {
            let lines = self.observer.take(&key, &noticed);
            for line in lines.unwrap_or_else(|| vec![Event::FaultNoticed(noticed)]) {
                self.common.send(line);
            }
        }
        for (key, compared, shown) in result.shown {
            self.common.book.seen(&key, compared, shown);
        }
        for stray in result.strays {
            // Whoever clears it is gone only at the end of the run.
            let _ = strays.send(stray);
        }
    }
}

/// What a look showed.
#[derive(Debug, Default, PartialEq)]
struct LookResult {
    noticed: Vec<(Key, FaultNoticed)>,
    /// Faults of this run: what was known, and what is known now.
    shown: Vec<(Key, State, State)>,
    /// Faults of this run that should not be there.
    strays: Vec<Key>,
}

/// Holds what looks show against what is known, without a clock and without a target.
#[derive(Debug)]
struct Comparison {
    driver: String,
    owner: String,
    /// When the last look began whose answer came; or when the run did.
    last_ns: i64,
    /// Faults that are not as this run has them, as they were seen last.
    strangers: BTreeMap<Key, ActiveFault>,
}

impl Comparison {
    fn look(
        &mut self,
        seen: &[ActiveFault],
        known: &Known,
        asked_ns: i64,
        answered_ns: i64,
    ) -> LookResult {
        let mut result = LookResult::default();
        let seen: BTreeMap<Key, &ActiveFault> =
            seen.iter().map(|a| (Key::of(&a.fault), a)).collect();
        let of_driver = known
            .keys()
            .filter(|key| key.fault.driver == self.driver && !key.sham);
        let mut keys: Vec<Key> = of_driver.chain(seen.keys()).cloned().collect();
        keys.extend(self.strangers.keys().cloned());
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let state = known.get(&key).copied();
            let active = seen.get(&key).copied();
            self.compare(key, state, active, asked_ns, answered_ns, &mut result);
        }
        self.last_ns = asked_ns;
        result
    }

    fn compare(
        &mut self,
        key: Key,
        state: Option<State>,
        active: Option<&ActiveFault>,
        asked_ns: i64,
        answered_ns: i64,
        result: &mut LookResult,
    ) {
        let (known_ns, expected) = match state {
            Some(State::Changing) => return,
            Some(State::Settled { since_ns, .. }) if since_ns > asked_ns => return,
            Some(State::Settled {
                since_ns,
                intensity,
            }) => (since_ns, intensity),
            None => (i64::MIN, None),
        };
        let is_ours = active.is_some_and(|active| active.owner == self.owner);
        let notice = |change, active: Option<&ActiveFault>, since_ns| FaultNoticed {
            driver: key.fault.driver.clone(),
            fault: key.fault.fault.clone(),
            service: key.fault.service.clone(),
            intensity: active.map_or(0.0, |active| active.fault.intensity),
            owner: active.map_or_else(String::new, |active| active.owner.clone()),
            change,
            since_ns,
            at_ns: answered_ns,
        };
        if let (Some(intensity), Some(compared)) = (expected, state) {
            let is_as_injected = is_ours && active.is_some_and(|a| a.fault.intensity == intensity);
            if is_as_injected {
                let shown = State::Settled {
                    since_ns: asked_ns,
                    intensity: expected,
                };
                result.shown.push((key, compared, shown));
                return;
            }
            let lost = notice(NoticedChange::Lost, active, known_ns);
            result.noticed.push((key.clone(), lost));
            let shown = State::Settled {
                since_ns: answered_ns,
                intensity: None,
            };
            if let Some(active) = active {
                self.strangers.insert(key.clone(), active.clone());
            }
            result.shown.push((key, compared, shown));
            return;
        }
        let since_ns = known_ns.max(self.last_ns);
        match active {
            Some(active) => {
                if is_ours {
                    result.strays.push(key.clone());
                }
                if self.strangers.get(&key) != Some(active) {
                    let appeared = notice(NoticedChange::Appeared, Some(active), since_ns);
                    result.noticed.push((key.clone(), appeared));
                    self.strangers.insert(key, active.clone());
                }
            }
            None => {
                if self.strangers.remove(&key).is_some() {
                    let gone = notice(NoticedChange::Gone, None, since_ns);
                    result.noticed.push((key.clone(), gone));
                }
            }
        }
    }
}
