//! A catalogue for the tests: the format itself knows no target.

use loadgen_scenario::{CatalogueFault, FaultCatalogue};

pub(crate) fn shop() -> FaultCatalogue {
    let fault = |name: &str, services: &[&str]| CatalogueFault {
        name: name.to_owned(),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
        summary: String::new(),
        parameters: vec![],
        harmless: name == "deployment",
        by_client: name != "cpu_saturation",
    };
    FaultCatalogue {
        driver: "shop".to_owned(),
        services: ["web", "catalogue", "user", "cart", "payment"]
            .map(str::to_owned)
            .into(),
        faults: vec![
            fault("slow_query", &["catalogue", "user", "cart"]),
            fault("slow_gateway", &["payment"]),
            fault("hang", &["catalogue", "user", "cart", "payment"]),
            fault("cpu_saturation", &[]),
            fault("deployment", &["catalogue", "user", "cart"]),
        ],
        settings: vec![],
    }
}
