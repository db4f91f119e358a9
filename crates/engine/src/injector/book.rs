//! What is in force by what was confirmed, as far as it is settled.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use loadgen_scenario::plan::{Fault, FaultKey};

/// One fault of one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) fault: FaultKey,
    /// Apart from the fault of that name, as nothing is injected.
    pub(super) sham: bool,
}

impl Key {
    pub(super) fn of(fault: &Fault) -> Self {
        Self {
            fault: fault.key(),
            sham: fault.sham,
        }
    }
}

/// What is known of a fault of this run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    /// A change is on its way, or was not confirmed: it may be in force or not.
    Changing,
    /// In force with that intensity, or not, as a confirmation or a look showed last; in Unix
    /// nanoseconds.
    Settled {
        since_ns: i64,
        intensity: Option<f64>,
    },
}

/// What is known of all faults of this run.
pub(super) type Known = HashMap<Key, State>;

/// What the changes write down and the looks read.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Known>);

impl Book {
    pub(super) fn set(&self, key: &Key, state: State) {
        self.lock().insert(key.clone(), state);
    }

    pub(super) fn get(&self, key: &Key) -> Option<State> {
        self.lock().get(key).copied()
    }

    /// What a look showed, unless the state has changed since.
    pub(super) fn seen(&self, key: &Key, known: State, shown: State) {
        if let Some(state) = self.lock().get_mut(key).filter(|state| **state == known) {
            *state = shown;
        }
    }

    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
