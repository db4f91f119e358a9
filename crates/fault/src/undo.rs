//! Undoes by a journal what a run could not.

use std::io;
use std::sync::Arc;

use loadgen_scenario::plan::Parameters;
use reqwest::Client;

use crate::drivers::make;
use crate::journal::{Entry, Leftover};
use crate::{Cleared, FaultDriver, FaultError, Injection};

/// What came of a fault that a run left behind.
#[derive(Debug)]
pub struct Undone {
    /// It.
    pub injection: Injection,
    /// Whether it is gone.
    pub result: Result<Cleared, FaultError>,
}

/// Undoes what a journal says.
pub struct Undoing {
    leftover: Leftover,
    client: Client,
    /// All that was open, undone or not.
    injections: Vec<Injection>,
}

impl Undoing {
    /// Drivers are set up as the run had them. Those that can't be are told with their faults.
    pub fn new(leftover: Leftover, client: &Client) -> Self {
        Self {
            client: client.clone(),
            injections: leftover.open.values().cloned().collect(),
            leftover,
        }
    }

    /// The run.
    pub fn run_id(&self) -> &str {
        &self.leftover.header.run_id
    }

    /// Whether all is undone.
    pub fn is_done(&self) -> bool {
        self.leftover.open.is_empty()
    }

    /// Tries to undo all that is not undone, and says of each what came of it.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn attempt(&mut self) -> io::Result<Vec<Undone>> {
        let open: Vec<(Entry, Injection)> = self
            .leftover
            .open
            .iter()
            .map(|(e, i)| (*e, i.clone()))
            .collect();
        let mut all = Vec::with_capacity(open.len());
        for (entry, injection) in open {
            let result = self.clear(&injection).await;
            if result.is_ok() {
                self.leftover.undone(entry)?;
            }
            all.push(Undone { injection, result });
        }
        Ok(all)
    }

    /// Takes away again what came into force after it was undone: a change may have been on its way
    /// when the run was killed.
    pub async fn look_again(&self) {
        for name in self.leftover.header.settings.keys() {
            let Ok(driver) = self.driver(name) else {
                continue;
            };
            let of_driver = self.injections.iter().filter(|i| i.fault.driver == *name);
            let of_driver: Vec<Injection> = of_driver.cloned().collect();
            let Ok(active) = driver.state(&of_driver).await else {
                continue;
            };
            let owner = self.run_id();
            let came_late = |i: &&Injection| {
                let is_it =
                    |a: &crate::ActiveFault| a.owner == owner && a.fault.key() == i.fault.key();
                active.iter().any(is_it)
            };
            for injection in of_driver.iter().filter(came_late) {
                // Nobody is left whom an error could be told.
                let _ = driver.clear(injection).await;
            }
        }
    }

    /// Removes the journal.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn finish(self) -> io::Result<()> {
        self.leftover.remove()
    }

    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError> {
        let driver = self.driver(&injection.fault.driver)?;
        driver.clear(injection).await
    }

    fn driver(&self, name: &str) -> Result<Arc<dyn FaultDriver>, FaultError> {
        let untold = Parameters::new();
        let told = self.leftover.header.settings.get(name).unwrap_or(&untold);
        make(name, told, &self.client)?.ok_or_else(|| FaultError::Settings {
            driver: name.to_owned(),
            reason: "the journal does not say where it is".to_owned(),
        })
    }
}
