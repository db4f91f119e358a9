//! Fault drivers: what really injects a fault into a target and takes it away again.
//!
//! A plan names a fault, a service and an intensity; a driver turns that into a change of the
//! real system and returns only when the system has confirmed it. That confirmation is what the
//! timeline records. The demo shop has a driver ([`shop`]); others are added beside it.

pub mod shop;

use futures::future::BoxFuture;
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
    /// The target could not be reached.
    #[error("can't reach {url}: {source}")]
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
}

/// Something that can inject faults.
pub trait FaultDriver: Send + Sync {
    /// The name that plans use.
    fn name(&self) -> &str;

    /// Takes away whatever faults an earlier run left behind, and shows that the driver works.
    fn reset(&self) -> BoxFuture<'_, Result<(), FaultError>>;

    /// Injects a fault and waits until it is in force.
    fn inject<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, Result<(), FaultError>>;

    /// Takes a fault away and waits until it is gone. A fault that is not in force is no error.
    fn clear<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, Result<(), FaultError>>;
}

/// The drivers that a run can use.
#[derive(Default)]
pub struct Drivers(Vec<Box<dyn FaultDriver>>);

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
        self.0.push(Box::new(driver));
        self
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

    /// Takes away whatever faults an earlier run left behind, so that no baseline is poisoned.
    pub async fn reset(&self) -> Result<(), FaultError> {
        for driver in &self.0 {
            driver.reset().await?;
        }
        Ok(())
    }

    /// Injects a fault and waits until it is in force.
    pub async fn inject(&self, fault: &Fault) -> Result<(), FaultError> {
        self.driver(fault)?.inject(fault).await
    }

    /// Takes a fault away and waits until it is gone.
    pub async fn clear(&self, fault: &Fault) -> Result<(), FaultError> {
        self.driver(fault)?.clear(fault).await
    }

    fn driver(&self, fault: &Fault) -> Result<&dyn FaultDriver, FaultError> {
        let driver = self
            .0
            .iter()
            .find(|d| d.name() == fault.driver)
            .map(AsRef::as_ref);
        driver.ok_or_else(|| FaultError::NoDriver {
            driver: fault.driver.clone(),
            fault: fault.fault.clone(),
        })
    }
}
