//! The changes of one fault of one service, one after the other.
//!
//! Scenarios that overlap may hold the same fault: it is cleared when the last of them lets go. An
//! injection is made within its window or not at all. A clear is tried until it is confirmed, or
//! until the run must be over: a fault that stays would poison every later window.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use loadgen_fault::{Cleared, Confirmation, FaultError, JournaledDriver};
use loadgen_scenario::plan::Fault;
use loadgen_timeline::event::{Event, FaultChanged, FaultFailed, FaultNoticed, NoticedChange};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, Timeout};

use super::Common;
use super::book::{Key, State};

/// Pause before the second attempt to clear; it doubles with each …
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is to be changed.
#[derive(Debug)]
pub(super) enum Change {
    Inject {
        scenario: String,
        fault: Fault,
        opened_ns: i64,
        until_ns: i64,
    },
    LetGo {
        scenario: String,
    },
    /// It was seen in force although it should not be: an injection that had been given up came
    /// late.
    Stray,
}

/// A scenario that asked for the fault.
#[derive(Debug)]
struct Holder {
    scenario: String,
    has_let_go: bool,
}

/// A clear that is not confirmed.
#[derive(Debug)]
struct Clearing {
    /// The first attempt.
    requested_ns: i64,
    attempts: u32,
    next: Instant,
    error: String,
}

/// An injection that was given up.
#[derive(Debug)]
struct GivenUp {
    /// None: it is written down already that it could not be cleared.
    scenario: Option<String>,
    /// Tells when it has been answered, and can't be made any more.
    answered: oneshot::Receiver<()>,
}

/// Whether an injection that was not confirmed was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    No,
    Perhaps,
    /// Perhaps, and if not it may still be.
    Later,
}

/// What is to be done next.
enum Next {
    /// None: there are no more.
    Change(Option<Change>),
    Retry,
    /// An injection that had been given up was answered: its place among those.
    Answered(usize),
}

pub(super) struct Changes {
    driver: Arc<JournaledDriver>,
    /// As it was injected last: windows may differ in intensity.
    fault: Fault,
    key: Key,
    common: Common,
    incoming: UnboundedReceiver<Change>,
    /// Changes that came during another one.
    waiting: VecDeque<Change>,
    /// All that will come have come.
    is_over: bool,
    /// Scenarios for which the fault is in force, or may be.
    holders: Vec<Holder>,
    clearing: Option<Clearing>,
    /// Injections that were given up, and may still be made.
    given_up: Vec<GivenUp>,
    /// Scenarios of injections that were answered after they had been given up.
    late: Vec<String>,
}

impl Changes {
    pub(super) fn new(
        driver: Arc<JournaledDriver>,
        fault: Fault,
        common: Common,
        incoming: UnboundedReceiver<Change>,
    ) -> Self {
        Self {
            driver,
            key: Key::of(&fault),
            fault,
            common,
            incoming,
            waiting: VecDeque::new(),
            is_over: false,
            holders: Vec::new(),
            clearing: None,
            given_up: Vec::new(),
            late: Vec::new(),
        }
    }

    /// Goes on until nobody asks for changes any more and all is cleared or given up.
    pub(super) async fn run(mut self) {
        let common = self.common.clone();
        let out_of_time = common.out_of_time();
        tokio::pin!(out_of_time);
        while !self.is_over || self.clearing.is_some() || !self.given_up.is_empty() {
            let next = tokio::select! {
                biased;
                () = &mut out_of_time => return self.give_up(),
                next = self.next() => next,
            };
            match next {
                Next::Change(change) => self.take(change).await,
                Next::Retry => self.clear().await,
                Next::Answered(index) => {
                    self.late.extend(self.given_up.remove(index).scenario);
                    // It may have come behind the clear.
                    self.clear_unless_held();
                }
            }
        }
    }

    /// Waits for what is to be done next.
    async fn next(&mut self) -> Next {
        if let Some(change) = self.waiting.pop_front() {
            return Next::Change(Some(change));
        }
        let retry = self.clearing.as_ref().map(|clearing| clearing.next);
        let retry = async {
            match retry {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let given_up = &mut self.given_up;
        let answered = async {
            match given_up.is_empty() {
                true => std::future::pending().await,
                false => {
                    select_all(given_up.iter_mut().map(|g| &mut g.answered))
                        .await
                        .1
                }
            }
        };
        tokio::select! {
            biased;
            change = self.incoming.recv(), if !self.is_over => Next::Change(change),
            () = retry => Next::Retry,
            index = answered => Next::Answered(index),
        }
    }

    async fn take(&mut self, change: Option<Change>) {
        match change {
            Some(Change::Inject {
                scenario,
                fault,
                opened_ns,
                until_ns,
            }) => {
                // A clear that is still to be confirmed is tried once more before that.
                if self.clearing.is_some() {
                    self.clear().await;
                }
                self.fault = fault;
                self.inject(scenario, opened_ns, until_ns).await;
            }
            Some(Change::LetGo { scenario }) => {
                let mut of_it = self.holders.iter_mut().filter(|h| h.scenario == scenario);
                if let Some(holder) = of_it.next() {
                    holder.has_let_go = true;
                    self.clear_unless_held();
                }
            }
            Some(Change::Stray) => {
                let given_up = self.given_up.iter();
                self.late
                    .extend(given_up.filter_map(|g| g.scenario.clone()));
                self.clear_unless_held();
            }
            None => {
                self.is_over = true;
                for holder in &mut self.holders {
                    holder.has_let_go = true;
                }
                if !self.holders.is_empty() {
                    self.clear_unless_held();
                }
            }
        }
    }

    /// Has the fault cleared at once, if nobody holds it.
    fn clear_unless_held(&mut self) {
        if self.holders.iter().all(|holder| holder.has_let_go) && self.clearing.is_none() {
            self.clearing = Some(Clearing {
                requested_ns: 0,
                attempts: 0,
                next: Instant::now(),
                error: String::new(),
            });
        }
    }

    async fn inject(&mut self, scenario: String, opened_ns: i64, until_ns: i64) {
        let requested_ns = self.common.now_ns();
        // Counted from the opening of the window.
        let limit = self.driver.limit(&self.fault);
        let limit_ns =
            opened_ns.saturating_add(i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX));
        let left_ns = until_ns.min(limit_ns) - requested_ns;
        let out_of_time = match until_ns <= limit_ns {
            true => "its window was over".to_owned(),
            false => format!("{} s had passed", limit.as_secs()),
        };
        while let Ok(change) = self.incoming.try_recv() {
            self.waiting.push_back(change);
        }
        if left_ns <= 0 || self.has_let_go(&scenario) {
            let reason = format!("it was not asked for: {out_of_time} before it could be");
            return self.injection_failed(&scenario, reason, requested_ns);
        }
        // From now on the fault is to be in force, so that a clear can't be tried any more.
        if let Some(mut clearing) = self.clearing.take() {
            clearing.error += &format!("; `{scenario}` has the same fault injected");
            self.clear_failed(&clearing);
        }
        if !self.fault.sham {
            self.common.book.set(&self.key, State::Changing);
        }
        let (answer, mut answered) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let request = self.request(true);
        // Not dropped when it is given up: it is waited for, so that it is known when it can't come
        // late any more.
        tokio::spawn(async move {
            let _ = answer.send(request.await);
            let _ = end.send(());
        });
        let left = Duration::from_nanos(u64::try_from(left_ns).unwrap_or(0));
        let over = tokio::time::sleep(left);
        tokio::pin!(over);
        let common = self.common.clone();
        let stop = common.out_of_time();
        tokio::pin!(stop);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut answered => break match result {
                    Ok(Ok(Ok(made))) => Ok(made.confirmation),
                    Ok(Ok(Err(error))) if error.changed_nothing() => {
                        Err((error.to_string(), Made::No))
                    }
                    Ok(Ok(Err(error))) => Err((error.to_string(), Made::Perhaps)),
                    Ok(Err(_)) => Err(("no answer in time".to_owned(), Made::Perhaps)),
                    Err(_) => Err(("the driver broke down".to_owned(), Made::Perhaps)),
                },
                () = &mut stop => {
                    let reason = "the run was stopped before it was confirmed";
                    break Err((reason.to_owned(), Made::Later));
                }
                () = &mut over => {
                    break Err((format!("{out_of_time} before it was confirmed"), Made::Later));
                }
                Some(change) = self.incoming.recv() => {
                    self.waiting.push_back(change);
                    if self.has_let_go(&scenario) {
                        let reason = "its window was over before it was confirmed";
                        break Err((reason.to_owned(), Made::Later));
                    }
                }
            }
        };
        self.injected(scenario, requested_ns, result, ended);
    }

    /// What follows from an injection that was made, was not, or is not known to be.
    fn injected(
        &mut self,
        scenario: String,
        requested_ns: i64,
        result: Result<Confirmation, (String, Made)>,
        ended: oneshot::Receiver<()>,
    ) {
        match result {
            Ok(confirmation) => {
                let at_ns = self.common.now_ns();
                let changed = self.changed(&scenario, requested_ns, at_ns, &confirmation);
                self.common.send(Event::FaultInjected(changed));
                self.settled(at_ns, Some(self.fault.intensity));
                self.holders.push(Holder {
                    scenario,
                    has_let_go: false,
                });
            }
            Err((reason, Made::No)) => {
                self.injection_failed(&scenario, reason, requested_ns);
                let is_held = self.holders.iter().any(|holder| !holder.has_let_go);
                let intensity = is_held.then_some(self.fault.intensity);
                self.settled(self.common.now_ns(), intensity);
            }
            Err((reason, made)) => {
                self.injection_failed(&scenario, reason, requested_ns);
                if made == Made::Later {
                    self.given_up.push(GivenUp {
                        scenario: Some(scenario.clone()),
                        answered: ended,
                    });
                }
                self.holders.push(Holder {
                    scenario,
                    has_let_go: true,
                });
                self.clear_unless_held();
            }
        }
    }

    /// Whether a change that waits says that the window of a scenario has closed.
    fn has_let_go(&self, scenario: &str) -> bool {
        let is_it =
            |change: &Change| matches!(change, Change::LetGo { scenario: s } if s == scenario);
        self.waiting.iter().any(is_it)
    }

    /// One attempt.
    async fn clear(&mut self) {
        let Some(mut clearing) = self.clearing.take() else {
            return;
        };
        let before = self.common.book.get(&self.key);
        if !self.fault.sham {
            self.common.book.set(&self.key, State::Changing);
        }
        if clearing.attempts == 0 {
            clearing.requested_ns = self.common.now_ns();
        }
        clearing.attempts += 1;
        let request = self.request(false);
        let result = tokio::select! {
            result = request => match result {
                Ok(result) => result.map_err(|e| e.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            },
            () = self.common.out_of_time() => Err("it was not confirmed in time".to_owned()),
        };
        match result {
            Ok(cleared) => {
                let at_ns = self.common.now_ns();
                if let Some(State::Settled {
                    since_ns,
                    intensity: Some(_),
                }) = before
                    && !cleared.was_in_force
                {
                    self.was_gone(since_ns, at_ns);
                }
                for holder in std::mem::take(&mut self.holders) {
                    let requested_ns = clearing.requested_ns;
                    let confirmation = &cleared.confirmation;
                    let changed = self.changed(&holder.scenario, requested_ns, at_ns, confirmation);
                    self.common.send(Event::FaultCleared(changed));
                }
                self.late.clear();
                self.settled(at_ns, None);
            }
            Err(error) => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << (clearing.attempts - 1).min(10));
                clearing.next = Instant::now() + doubled.min(LONGEST_PAUSE);
                clearing.error = error;
                self.clearing = Some(clearing);
            }
        }
    }

    /// The fault was not there any more when it was to be cleared.
    fn was_gone(&self, since_ns: i64, at_ns: i64) {
        self.common.send(Event::FaultNoticed(FaultNoticed {
            driver: self.fault.driver.clone(),
            fault: self.fault.fault.clone(),
            service: self.fault.service.clone(),
            intensity: 0.0,
            owner: String::new(),
            change: NoticedChange::Lost,
            since_ns,
            at_ns,
        }));
    }

    /// The run must be over.
    fn give_up(mut self) {
        const REASON: &str = "the run was stopped before it could be asked for";
        let now_ns = self.common.now_ns();
        while let Ok(change) = self.incoming.try_recv() {
            self.waiting.push_back(change);
        }
        for change in std::mem::take(&mut self.waiting) {
            if let Change::Inject { scenario, .. } = change {
                self.injection_failed(&scenario, REASON.to_owned(), now_ns);
            }
        }
        let asked = self
            .clearing
            .take()
            .filter(|clearing| clearing.attempts > 0);
        let clearing = asked.unwrap_or_else(|| Clearing {
            requested_ns: now_ns,
            attempts: 0,
            next: Instant::now(),
            error: REASON.to_owned(),
        });
        self.clear_failed(&clearing);
    }

    fn clear_failed(&mut self, clearing: &Clearing) {
        let tried = match clearing.attempts {
            0 => String::new(),
            1 => "; given up after 1 attempt".to_owned(),
            n => format!("; given up after {n} attempts"),
        };
        let reason = format!("{}{tried}", clearing.error);
        let mut scenarios: Vec<String> = std::mem::take(&mut self.holders)
            .into_iter()
            .map(|holder| holder.scenario)
            .collect();
        scenarios.append(&mut self.late);
        for given_up in &mut self.given_up {
            given_up
                .scenario
                .take_if(|scenario| scenarios.contains(scenario));
        }
        scenarios.sort_unstable();
        scenarios.dedup();
        for scenario in scenarios {
            self.failed(&scenario, "clear", reason.clone(), clearing.requested_ns);
        }
    }

    fn injection_failed(&self, scenario: &str, reason: String, requested_ns: i64) {
        self.failed(scenario, "inject", reason, requested_ns);
    }

    fn failed(&self, scenario: &str, change: &str, reason: String, requested_ns: i64) {
        self.common.send(Event::FaultFailed(FaultFailed {
            scenario: scenario.to_owned(),
            driver: self.fault.driver.clone(),
            fault: self.fault.fault.clone(),
            service: self.fault.service.clone(),
            change: change.to_owned(),
            reason,
            requested_ns,
            at_ns: self.common.now_ns(),
        }));
    }

    fn changed(
        &self,
        scenario: &str,
        requested_ns: i64,
        at_ns: i64,
        confirmation: &Confirmation,
    ) -> FaultChanged {
        FaultChanged {
            scenario: scenario.to_owned(),
            driver: self.fault.driver.clone(),
            fault: self.fault.fault.clone(),
            service: self.fault.service.clone(),
            intensity: self.fault.intensity,
            sham: self.fault.sham,
            harmless: self.fault.harmless,
            clients: self.fault.clients,
            parameters: self.fault.parameters.clone(),
            driver_version: self.driver.version().to_owned(),
            confirmed_by: confirmation.how.clone(),
            read_back: confirmation.read_back.clone(),
            requested_ns,
            at_ns,
        }
    }

    fn settled(&self, since_ns: i64, intensity: Option<f64>) {
        if !self.fault.sham {
            let state = State::Settled {
                since_ns,
                intensity,
            };
            self.common.book.set(&self.key, state);
        }
        self.common.changed.send_replace(());
    }

    /// Asks the driver for the change. A sham asks it for something that changes nothing, and goes
    /// the same way.
    fn request(
        &self,
        inject: bool,
    ) -> Timeout<impl Future<Output = Result<Cleared, FaultError>> + Send + 'static> {
        let (driver, fault) = (self.driver.clone(), self.fault.clone());
        let owner = self.common.owner.clone();
        tokio::time::timeout(driver.limit(&fault), async move {
            let there = |confirmation| Cleared {
                was_in_force: true,
                confirmation,
            };
            match (fault.sham, inject) {
                (true, _) => driver.state().await.map(|_| there(Confirmation::default())),
                (false, true) => driver.inject(&fault, &owner).await.map(there),
                (false, false) => driver.clear(&fault).await,
            }
        })
    }
}
