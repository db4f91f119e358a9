//! What a driver must be able to do.

use std::time::Duration;

use async_trait::async_trait;
use loadgen_scenario::FaultCatalogue;
use loadgen_scenario::plan::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::FaultError;

/// How long a change of a fault may take where its driver says nothing else.
pub const CHANGE_LIMIT: Duration = Duration::from_secs(10);

/// A fault as a run wants it, with all that is needed to undo it. It stands in the journal, so that
/// another process can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Injection {
    /// What is injected.
    pub fault: Fault,
    /// The run that injects it.
    pub owner: String,
    /// What [`FaultDriver::prepare`] found; only the driver knows what it means.
    #[serde(default)]
    pub before: Value,
}

/// What shows that a change was made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Confirmation {
    /// How it was confirmed, for people. Nothing: by the target's answer alone.
    pub how: String,
    /// What was read back.
    pub read_back: Value,
}

/// A fault that is gone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cleared {
    /// Whether the owner had it until now.
    pub was_in_force: bool,
    /// What shows that it is gone.
    pub confirmation: Confirmation,
}

/// A fault that a target has.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveFault {
    /// Which, where, and how strong.
    pub fault: Fault,
    /// Who injected it: a run by its id, or nothing for what was made by hand.
    pub owner: String,
}

/// Something that can inject faults.
///
/// A driver remembers nothing of what it has injected: what it needs to undo a fault is in the
/// [`Injection`]. A call that is dropped before its end may have made its change all the same, or
/// may still make it.
#[async_trait]
pub trait FaultDriver: Send + Sync {
    /// The name that plans use.
    fn name(&self) -> &str;

    /// What it can inject, and where.
    fn catalogue(&self) -> FaultCatalogue;

    /// What it works through, with the version, for the timeline. Shows that the driver works.
    async fn version(&self) -> Result<String, FaultError>;

    /// Takes away all faults of an owner that it can find by itself.
    async fn reset(&self, _owner: &str) -> Result<(), FaultError> {
        Ok(())
    }

    /// Looks at what is needed to undo a fault, before anything is changed.
    async fn prepare(&self, _fault: &Fault, _owner: &str) -> Result<Value, FaultError> {
        Ok(Value::Null)
    }

    /// Injects a fault and waits until it is seen to be in force. The same fault of another owner is
    /// an error.
    async fn inject(&self, injection: &Injection) -> Result<Confirmation, FaultError>;

    /// Takes a fault of an owner away and waits until it is seen to be gone. One that is not in
    /// force, or is somebody else's, is no error.
    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError>;

    /// The faults that are in force: those of `held`, which this run has injected, as far as they
    /// still are, and all others that the driver can see.
    async fn state(&self, held: &[Injection]) -> Result<Vec<ActiveFault>, FaultError>;

    /// Says that an owner still wants its faults, where they end by themselves otherwise.
    async fn renew(&self, _owner: &str) -> Result<(), FaultError> {
        Ok(())
    }

    /// How long a change of a fault may take, from its request to its confirmation.
    fn limit(&self, _fault: &Fault) -> Duration {
        CHANGE_LIMIT
    }

    /// Time between two looks at the state.
    fn look_every(&self) -> Duration {
        Duration::from_secs(1)
    }
}
