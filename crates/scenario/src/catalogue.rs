//! What a fault driver can inject, as far as a scenario file can be checked against it: names, and
//! which fault is possible where. The format knows no target; whoever has the drivers hands in
//! their catalogues ([`PlanOptions::catalogues`](crate::PlanOptions)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The faults of one driver.
///
/// ```
/// use loadgen_scenario::{CatalogueFault, FaultCatalogue};
///
/// let shop = FaultCatalogue {
///     driver: "shop".to_owned(),
///     services: vec!["catalogue".to_owned(), "payment".to_owned()],
///     faults: vec![CatalogueFault {
///         name: "slow_gateway".to_owned(),
///         services: vec!["payment".to_owned()],
///         summary: "The payment gateway takes longer.".to_owned(),
///     }],
/// };
/// assert!(shop.fault("slow_gateway").unwrap().services.contains(&"payment".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultCatalogue {
    /// The driver's name, as scenario files have it (`driver: shop`).
    pub driver: String,
    /// Names of the services that the driver can reach, in its own order. Empty: it can't say
    /// beforehand, so services are not checked.
    pub services: Vec<String>,
    /// The faults, in the driver's own order.
    pub faults: Vec<CatalogueFault>,
}

/// A fault that a driver can inject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogueFault {
    /// Its name, such as `slow_query`.
    pub name: String,
    /// The services in which it is possible, in the driver's own order. Empty: in all.
    pub services: Vec<String>,
    /// What happens, in a sentence for people.
    pub summary: String,
}

impl FaultCatalogue {
    /// The fault of this name.
    pub fn fault(&self, name: &str) -> Option<&CatalogueFault> {
        self.faults.iter().find(|fault| fault.name == name)
    }
}
