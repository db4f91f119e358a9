//! What is injected, and whether it agrees with what the window is labelled with. Names of faults
//! and services belong to the driver; those of the demo shop are known here, so that a slip is
//! found before the run.

use std::collections::HashMap;

use super::anomalies::NONE;
use crate::diagnostic::Finding;
use crate::file::ScenarioSpec;
use crate::plan::{Anomaly, Fault, PlannedScenario};
use crate::yaml::Node;

const SHOP: &str = "shop";

/// Services of the demo shop, in the shop's own order.
pub const SHOP_SERVICES: &[&str] = &[
    "web",
    "catalogue",
    "user",
    "cart",
    "shipping",
    "ratings",
    "payment",
    "dispatch",
];

/// Faults of the demo shop by name, each with the services in which it is possible, in the
/// shop's own order.
pub const SHOP_FAULTS: &[(&str, &[&str])] = &[
    (
        "slow_query",
        &[
            "catalogue",
            "user",
            "cart",
            "shipping",
            "ratings",
            "dispatch",
        ],
    ),
    (
        "pool_exhaustion",
        &[
            "catalogue",
            "user",
            "cart",
            "shipping",
            "ratings",
            "dispatch",
        ],
    ),
    ("cpu_saturation", SHOP_SERVICES),
    ("cache_miss_storm", &["catalogue", "shipping"]),
    ("slow_gateway", &["payment"]),
    (
        "hang",
        &[
            "catalogue",
            "user",
            "cart",
            "shipping",
            "ratings",
            "payment",
        ],
    ),
    (
        "error_responses",
        &["catalogue", "user", "cart", "shipping", "ratings"],
    ),
];

pub(super) fn resolve(
    spec: &ScenarioSpec,
    at: &Node,
    findings: &mut Vec<Finding>,
) -> Option<Fault> {
    let fault = spec.fault.as_ref()?;
    let node = at.child("fault");
    let driver = fault.driver.as_deref().unwrap_or(SHOP);
    if driver == SHOP {
        check_shop(&fault.fault, &fault.service, node, findings);
    }
    for (option, name) in [
        ("driver", driver),
        ("fault", &fault.fault),
        ("service", &fault.service),
    ] {
        if name.trim().is_empty() {
            findings.push(Finding::at(
                node.value(option),
                format!("`{option}` is empty"),
            ));
        }
    }
    let intensity = fault.intensity.unwrap_or(1.0);
    if !(intensity > 0.0 && intensity <= 1.0) {
        findings.push(
            Finding::at(
                node.value("intensity"),
                format!("the intensity {intensity} is out of range"),
            )
            .help("it is above 0 and at most 1"),
        );
    }
    Some(Fault {
        driver: driver.to_owned(),
        fault: fault.fault.clone(),
        service: fault.service.clone(),
        intensity,
        sham: false,
    })
}

fn check_shop(name: &str, service: &str, node: &Node, findings: &mut Vec<Finding>) {
    if !SHOP_SERVICES.contains(&service) {
        findings.push(
            Finding::at(
                node.value("service"),
                format!("the shop has no service `{service}`"),
            )
            .suggest(service, SHOP_SERVICES.iter().copied()),
        );
    }
    let Some((_, services)) = SHOP_FAULTS.iter().find(|(known, _)| *known == name) else {
        findings.push(
            Finding::at(
                node.value("fault"),
                format!("the shop has no fault `{name}`"),
            )
            .suggest(name, SHOP_FAULTS.iter().map(|(known, _)| *known)),
        );
        return;
    };
    if SHOP_SERVICES.contains(&service) && !services.contains(&service) {
        findings.push(
            Finding::at(
                node.value("service"),
                format!("`{name}` is not possible in `{service}`"),
            )
            .help(format!("it is possible in: {}", services.join(", "))),
        );
    }
}

/// A fault in a window that is labelled normal, or in another service than the label says, would
/// make a dataset that is wrong without looking so.
pub(super) fn check_agreement(
    fault: Option<&Fault>,
    anomaly: &Anomaly,
    at: &Node,
    findings: &mut Vec<Finding>,
) {
    let Some(fault) = fault else { return };
    let node = at.child("fault");
    if anomaly.kind == NONE {
        findings.push(
            Finding::at(
                at.key("fault"),
                "a fault in a window that is labelled normal",
            )
            .help("name the anomaly: `anomaly: …`, an entry under `anomalies`"),
        );
    } else if let Some(service) = anomaly.root_cause_service.as_ref()
        && *service != fault.service
    {
        findings.push(
            Finding::at(
                node.value("service"),
                format!(
                    "the fault is in `{}`, but the anomaly's root cause in `{service}`",
                    fault.service
                ),
            )
            .help("`service` and the anomaly's `root_cause_service` must be the same"),
        );
    }
}

/// One fault can't be of two intensities at a time. Of the same intensity it may be wanted by
/// several windows; it then lasts until the last of them closes.
pub(super) fn check_overlaps(
    scenarios: &[PlannedScenario],
    node: &Node,
    findings: &mut Vec<Finding>,
) {
    let mut by_start: Vec<&PlannedScenario> = scenarios.iter().collect();
    by_start.sort_by_key(|scenario| scenario.start_ns);
    // Of each fault the window that ends last. A window that is at odds with an earlier one is
    // found through it, or the two earlier ones were at odds already.
    let mut latest: HashMap<[&str; 3], (&PlannedScenario, f64)> = HashMap::new();
    for scenario in by_start {
        let Some(fault) = &scenario.fault else {
            continue;
        };
        let held = latest
            .entry([&fault.driver, &fault.service, &fault.fault])
            .or_insert((scenario, fault.intensity));
        let (other, intensity) = *held;
        if scenario.start_ns < other.end_ns && intensity != fault.intensity {
            findings.push(
                Finding::at(
                    node.child(&scenario.name).key("fault"),
                    format!(
                        "`{}` in `{}` has the intensity {} here and {intensity} in `{}`, at the same time",
                        fault.fault, fault.service, fault.intensity, other.name
                    ),
                )
                .help("give both the same intensity, or let the windows not overlap"),
            );
        }
        if scenario.end_ns > other.end_ns {
            *held = (scenario, fault.intensity);
        }
    }
}
