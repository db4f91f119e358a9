//! The drivers that there are, and those that a run uses.

pub(crate) mod chaos_mesh;
pub(crate) mod exec;
pub(crate) mod flagd;
pub(crate) mod host;
pub(crate) mod proxy;
pub(crate) mod shop;

use std::sync::Arc;

use loadgen_scenario::FaultCatalogue;
use loadgen_scenario::plan::{Fault, Parameters, Plan};
use reqwest::Client;

use crate::journal::{Journal, Settings};
use crate::{FaultDriver, FaultError, JournaledDriver};

/// A fault of a driver that has leases ends so long after its owner was last heard of, in
/// milliseconds. The run renews every second.
pub(crate) const LEASE_MS: u64 = 15_000;

/// What the drivers of this program can inject.
pub fn catalogues() -> Vec<FaultCatalogue> {
    vec![
        shop::catalogue(),
        proxy::catalogue(),
        host::catalogue(),
        exec::catalogue(),
        flagd::catalogue(),
        chaos_mesh::catalogue(),
    ]
}

/// Makes a driver; none: it can't be used without being told more.
///
/// # Errors
/// There is none of that name, or what it is told makes no sense.
pub fn make(
    name: &str,
    settings: &Parameters,
    client: &Client,
) -> Result<Option<Arc<dyn FaultDriver>>, FaultError> {
    let text = |name: &str| settings.get(name).and_then(|value| value.as_str());
    Ok(Some(match name {
        shop::NAME => match text("admin_url") {
            Some(url) => Arc::new(shop::ShopDriver::new(client.clone(), url)),
            None => return Ok(None),
        },
        proxy::NAME => {
            let url = text("url").unwrap_or(proxy::DEFAULT_URL);
            Arc::new(proxy::ProxyDriver::new(client.clone(), url))
        }
        host::NAME => Arc::new(host::HostDriver::default()),
        exec::NAME => Arc::new(exec::ExecDriver),
        flagd::NAME => Arc::new(flagd::FlagdDriver::new(client.clone(), settings)?),
        chaos_mesh::NAME => chaos_mesh::make(settings)?,
        other => {
            return Err(FaultError::Settings {
                driver: other.to_owned(),
                reason: "this loadgen has no driver of that name".to_owned(),
            });
        }
    }))
}

/// A driver that is set up but not yet used.
pub struct Made {
    /// It.
    pub driver: Arc<dyn FaultDriver>,
    /// Its faults end with the target, which ends with the run: there is nothing to undo after a
    /// crash.
    pub ends_with_the_run: bool,
}

/// The drivers that a run can use.
#[derive(Debug, Clone, Default)]
pub struct Drivers(Vec<Arc<JournaledDriver>>);

impl Drivers {
    /// Adds a driver whose faults need no journal.
    pub fn with(mut self, driver: impl FaultDriver + 'static) -> Self {
        let driver = JournaledDriver::new(Arc::new(driver), None, String::new());
        self.0.push(Arc::new(driver));
        self
    }

    /// Has drivers show that they work, and take away what the owner has.
    ///
    /// # Errors
    /// The first one that doesn't work.
    pub async fn start(
        made: Vec<Made>,
        journal: Option<Arc<Journal>>,
        owner: &str,
    ) -> Result<Self, FaultError> {
        let mut drivers = Vec::with_capacity(made.len());
        for Made {
            driver,
            ends_with_the_run,
        } in made
        {
            let version = driver.version().await?;
            let journal = journal.clone().filter(|_| !ends_with_the_run);
            let driver = JournaledDriver::new(driver, journal, version);
            driver.reset(owner).await?;
            drivers.push(Arc::new(driver));
        }
        Ok(Self(drivers))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<JournaledDriver>> {
        self.0.iter()
    }

    /// The driver that a fault needs.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn driver(&self, fault: &Fault) -> Result<&Arc<JournaledDriver>, FaultError> {
        let driver = self.0.iter().find(|d| d.name() == fault.driver);
        driver.ok_or_else(|| FaultError::NoDriver {
            driver: fault.driver.clone(),
            fault: fault.fault.clone(),
        })
    }
}

/// What a plan's drivers are told: those that it has settings for, and those that its faults need.
pub fn settings(plan: &Plan) -> Settings {
    let given = plan.drivers.iter();
    let mut settings: Settings = given
        .map(|(name, told)| (name.clone(), told.clone()))
        .collect();
    let injecting = plan.scenarios.iter().filter_map(|s| s.fault.as_ref());
    let injecting = injecting.map(|fault| &fault.driver);
    let observing = plan.observed.iter().map(|observed| &observed.driver);
    for driver in injecting.chain(observing) {
        settings.entry(driver.clone()).or_default();
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_catalogue_is_possible_somewhere_and_says_what_it_does() {
        for catalogue in catalogues() {
            assert!(!catalogue.faults.is_empty(), "{}", catalogue.driver);
            for fault in &catalogue.faults {
                assert!(fault.summary.ends_with('.'), "{}", fault.name);
                let is_known = |service| catalogue.services.contains(service);
                assert!(fault.services.iter().all(is_known), "{}", fault.name);
                for parameter in &fault.parameters {
                    assert!(parameter.summary.ends_with('.'), "{}", parameter.name);
                }
            }
        }
    }

    #[test]
    fn each_catalogue_has_a_driver() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new();
        for catalogue in catalogues() {
            let name = &catalogue.driver;
            match make(name, &Parameters::new(), &client) {
                Ok(Some(driver)) => assert_eq!(driver.name(), name),
                // It must be told something.
                Ok(None) | Err(FaultError::Settings { .. }) => {
                    assert!(!catalogue.settings.is_empty(), "{name}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
