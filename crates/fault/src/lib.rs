//! Fault drivers: what really injects a fault into a target and takes it away again.
//!
//! A plan names a fault, a service and an intensity; a driver turns that into a change of the
//! real system and returns only when the system has confirmed it. That confirmation is what the
//! timeline records. Each fault has an owner, the run that injected it, and a driver changes
//! nothing that is somebody else's. The demo shop has a driver ([`shop`]); others are added beside
//! it.

pub mod shop;

use std::sync::Arc;

use futures::future::BoxFuture;
use loadgen_scenario::FaultCatalogue;
use loadgen_scenario::plan::{Fault, Plan};

/// Why a fault could not be injected or cleared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// Nobody here can inject it.
    #[error("no driver `{driver}` is set up for this target, so `{fault}` can't be injected")]
    NoDriver {
        /// The driver that the plan asks for.
        driver: String,
        /// The fault.
        fault: String,
    },
    /// The target could not be reached, or did not answer in time.
    #[error("can't reach {url}: {}", reason(source))]
    Unreachable {
        /// Address of the admin endpoint.
        url: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// The target said no.
    #[error("{url} answered {status}: {message}")]
    Refused {
        /// Address of the admin endpoint.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// The target's answer can't be understood.
    #[error("{url} answered what can't be understood: {reason}")]
    Unclear {
        /// Address of the admin endpoint.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// The last cause: the others only say that there is one.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let causes = std::iter::successors(std::error::Error::source(error), |e| e.source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// A fault that a target has.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveFault {
    /// Which.
    pub fault: String,
    /// The service that has it.
    pub service: String,
    /// How strong, above 0 up to 1.
    pub intensity: f64,
    /// Who injected it: a run by its id, or nothing for what was made by hand.
    pub owner: String,
}

/// Something that can inject faults.
///
/// A call that is dropped before its end may have made its change all the same, or may still make
/// it.
pub trait FaultDriver: Send + Sync {
    /// The name that plans use.
    fn name(&self) -> &str;

    /// What it can inject, and where.
    fn catalogue(&self) -> FaultCatalogue;

    /// Takes away all faults of an owner, and shows that the driver works.
    fn reset<'a>(&'a self, owner: &'a str) -> BoxFuture<'a, Result<(), FaultError>>;

    /// Injects a fault for an owner and waits until it is in force. The same fault of another owner
    /// is an error.
    fn inject<'a>(
        &'a self,
        fault: &'a Fault,
        owner: &'a str,
    ) -> BoxFuture<'a, Result<(), FaultError>>;

    /// Takes a fault of an owner away and waits until it is gone. Says whether the owner had it:
    /// one that is not in force, or is somebody else's, is no error.
    fn clear<'a>(
        &'a self,
        fault: &'a Fault,
        owner: &'a str,
    ) -> BoxFuture<'a, Result<bool, FaultError>>;

    /// All faults that the target has, whoever injected them.
    fn state(&self) -> BoxFuture<'_, Result<Vec<ActiveFault>, FaultError>>;
}

/// What the drivers of this program can inject.
pub fn catalogues() -> Vec<FaultCatalogue> {
    vec![shop::catalogue()]
}

/// The drivers that a run can use.
#[derive(Clone, Default)]
pub struct Drivers(Vec<Arc<dyn FaultDriver>>);

impl std::fmt::Debug for Drivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|d| d.name()))
            .finish()
    }
}

impl Drivers {
    /// Adds a driver.
    pub fn with(mut self, driver: impl FaultDriver + 'static) -> Self {
        self.0.push(Arc::new(driver));
        self
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn FaultDriver>> {
        self.0.iter()
    }

    /// The faults of a plan that no driver here can inject, with their scenarios' names.
    pub fn missing<'p>(&self, plan: &'p Plan) -> Vec<(&'p str, &'p Fault)> {
        let without_driver = |f: &&Fault| self.driver(f).is_err();
        let scenarios = plan.scenarios.iter();
        scenarios
            .filter_map(|s| {
                s.fault
                    .as_ref()
                    .filter(without_driver)
                    .map(|f| (s.name.as_str(), f))
            })
            .collect()
    }

    /// Takes away all faults of an owner.
    ///
    /// # Errors
    /// The first driver that can't.
    pub async fn reset(&self, owner: &str) -> Result<(), FaultError> {
        for driver in &self.0 {
            driver.reset(owner).await?;
        }
        Ok(())
    }

    /// The driver that a fault needs.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn driver(&self, fault: &Fault) -> Result<&Arc<dyn FaultDriver>, FaultError> {
        let driver = self.0.iter().find(|d| d.name() == fault.driver);
        driver.ok_or_else(|| FaultError::NoDriver {
            driver: fault.driver.clone(),
            fault: fault.fault.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_catalogue_is_possible_somewhere_and_says_what_it_does() {
        for catalogue in catalogues() {
            assert!(!catalogue.faults.is_empty());
            for fault in &catalogue.faults {
                assert!(!fault.services.is_empty(), "{}", fault.name);
                assert!(fault.summary.ends_with('.'), "{}", fault.name);
                let is_known = |service| catalogue.services.contains(service);
                assert!(fault.services.iter().all(is_known), "{}", fault.name);
            }
        }
    }
}
