//! A driver together with the journal of its run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loadgen_scenario::plan::{Fault, FaultKey};
use tracing::info;

use crate::journal::{Entry, Journal};
use crate::{ActiveFault, Cleared, Confirmation, FaultDriver, FaultError, Injection};

/// A driver that writes down what must be undone before it changes anything, and knows what it has
/// injected.
pub struct JournaledDriver {
    driver: Arc<dyn FaultDriver>,
    /// None: the faults end with the target, which ends with the run.
    journal: Option<Arc<Journal>>,
    version: String,
    known: Mutex<BTreeMap<FaultKey, Known>>,
}

/// A fault that was injected, or was to be.
struct Known {
    injection: Injection,
    /// It may be in force.
    is_open: bool,
    /// Where the journal says so.
    entry: Option<Entry>,
    /// Injections that are not answered.
    on_their_way: usize,
}

impl std::fmt::Debug for JournaledDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.driver.name())
    }
}

impl JournaledDriver {
    pub(crate) fn new(
        driver: Arc<dyn FaultDriver>,
        journal: Option<Arc<Journal>>,
        version: String,
    ) -> Self {
        Self {
            driver,
            journal,
            version,
            known: Mutex::default(),
        }
    }

    /// The name that plans use.
    pub fn name(&self) -> &str {
        self.driver.name()
    }

    /// What it works through, with the version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How long a change of a fault may take, from its request to its confirmation.
    pub fn limit(&self, fault: &Fault) -> Duration {
        self.driver.limit(fault)
    }

    /// Time between two looks at the state.
    pub fn look_every(&self) -> Duration {
        self.driver.look_every()
    }

    /// Injects a fault for an owner and waits until it is seen to be in force.
    ///
    /// # Errors
    /// It can't be done, or was not confirmed; or the journal can't be written.
    pub async fn inject(&self, fault: &Fault, owner: &str) -> Result<Confirmation, FaultError> {
        let key = fault.key();
        let open = {
            let known = self.known();
            let open = known.get(&key).filter(|known| known.is_open);
            open.map(|known| (known.injection.before.clone(), known.entry))
        };
        let was_open = open.is_some();
        let (before, entry) = match open {
            // What was there before the first injection is what is to be there after the last.
            Some((before, entry)) => (before, entry),
            None => (self.driver.prepare(fault, owner).await?, None),
        };
        let injection = Injection {
            fault: fault.clone(),
            owner: owner.to_owned(),
            before,
        };
        let entry = match (&self.journal, entry) {
            (Some(journal), None) => Some(journal.clone().begin(injection.clone()).await?),
            (_, entry) => entry,
        };
        let on_their_way = self.known().get(&key).map_or(0, |known| known.on_their_way);
        let known = Known {
            injection: injection.clone(),
            is_open: true,
            entry,
            on_their_way: on_their_way + 1,
        };
        self.known().insert(key.clone(), known);
        let on_its_way = OnItsWay {
            of: self,
            key: &key,
        };
        let result = self.driver.inject(&injection).await;
        drop(on_its_way);
        self.tell("inject", fault, result.as_ref().err());
        if !was_open && result.as_ref().is_err_and(FaultError::changed_nothing) {
            self.end(&key).await?;
        }
        result
    }

    /// Takes a fault away and waits until it is seen to be gone. One that was never injected is no
    /// error.
    ///
    /// # Errors
    /// It is not seen to be gone.
    pub async fn clear(&self, fault: &Fault) -> Result<Cleared, FaultError> {
        let key = fault.key();
        let Some(injection) = self.known().get(&key).map(|known| known.injection.clone()) else {
            return Ok(Cleared::default());
        };
        let cleared = self.driver.clear(&injection).await;
        self.tell("clear", fault, cleared.as_ref().err());
        let cleared = cleared?;
        self.end(&key).await?;
        Ok(cleared)
    }

    fn tell(&self, change: &str, fault: &Fault, error: Option<&FaultError>) {
        let Fault { fault, service, .. } = fault;
        let error = error.map(ToString::to_string);
        info!(driver = self.name(), change, fault, service, error);
    }

    /// All faults that are in force, as far as the driver can see.
    ///
    /// # Errors
    /// It can't look.
    pub async fn state(&self) -> Result<Vec<ActiveFault>, FaultError> {
        // Also those that are cleared: an injection that had been given up may come late.
        let known: Vec<Injection> = {
            let known = self.known();
            known
                .values()
                .map(|known| known.injection.clone())
                .collect()
        };
        self.driver.state(&known).await
    }

    /// Says that an owner still wants its faults, where there are any.
    ///
    /// # Errors
    /// The target could not be told.
    pub async fn renew(&self, owner: &str) -> Result<(), FaultError> {
        let has_any = self.known().values().any(|known| known.is_open);
        match has_any {
            true => self.driver.renew(owner).await,
            false => Ok(()),
        }
    }

    /// Takes away all faults of an owner that the driver can find.
    pub(crate) async fn reset(&self, owner: &str) -> Result<(), FaultError> {
        self.driver.reset(owner).await
    }

    /// Writes down that nothing is left to undo, unless an injection may still come.
    async fn end(&self, key: &FaultKey) -> Result<(), FaultError> {
        let entry = match self.known().get_mut(key) {
            Some(known) if known.on_their_way == 0 => {
                known.is_open = false;
                known.entry.take()
            }
            _ => None,
        };
        match (&self.journal, entry) {
            (Some(journal), Some(entry)) => journal.clone().end(entry).await,
            _ => Ok(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<FaultKey, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an injection for as long as it lives.
struct OnItsWay<'d> {
    of: &'d JournaledDriver,
    key: &'d FaultKey,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(known) = self.of.known().get_mut(self.key) {
            known.on_their_way = known.on_their_way.saturating_sub(1);
        }
    }
}
