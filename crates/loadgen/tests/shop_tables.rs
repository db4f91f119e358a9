//! Scenario files are checked against tables of what the demo shop can do; the shop itself has
//! the last word on that.

use loadgen_scenario::{SHOP_FAULTS, SHOP_SERVICES};
use loadgen_shop::{Fault, Service};

#[test]
fn scenario_files_know_the_faults_and_services_of_the_shop() {
    let faults: Vec<(String, Vec<String>)> = Fault::ALL
        .iter()
        .map(|f| {
            (
                f.to_string(),
                f.services().iter().map(ToString::to_string).collect(),
            )
        })
        .collect();
    let known: Vec<(String, Vec<String>)> = SHOP_FAULTS
        .iter()
        .map(|(fault, services)| {
            (
                (*fault).to_owned(),
                services.iter().map(|s| (*s).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(known, faults);
    for service in SHOP_SERVICES {
        assert!(
            Service::ALL.iter().any(|s| s.to_string() == *service),
            "{service}"
        );
    }
}
