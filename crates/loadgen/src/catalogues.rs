//! What the drivers of this program can inject, for the check of scenario files.

use loadgen_scenario::{CatalogueFault, FaultCatalogue};
use loadgen_shop::{Fault, Service};

/// A catalogue for each driver.
pub(crate) fn all() -> Vec<FaultCatalogue> {
    vec![shop()]
}

fn shop() -> FaultCatalogue {
    let names = |services: &[Service]| services.iter().map(ToString::to_string).collect();
    FaultCatalogue {
        driver: "shop".to_owned(),
        // The outside gateway is nobody's to break but through payment.
        services: names(Fault::CpuSaturation.services()),
        faults: Fault::ALL
            .iter()
            .map(|fault| CatalogueFault {
                name: fault.to_string(),
                services: names(fault.services()),
                summary: String::new(),
            })
            .collect(),
    }
}
