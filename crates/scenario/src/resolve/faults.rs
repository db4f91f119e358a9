//! What is injected, and whether it agrees with what the window is labelled with. Names of faults
//! and services belong to the driver; where its catalogue is at hand, a slip is found before the run.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::check_name;
use super::parameters::{self, Given};
use crate::catalogue::{CatalogueFault, FaultCatalogue};
use crate::diagnostic::{Finding, Span};
use crate::file::{FaultSpec, ScenarioFile, ScenarioSpec};
use crate::plan::{Anomaly, Clients, Fault, ObservedFault, Parameters, PlannedScenario};
use crate::yaml::Node;

/// The driver where a file names none: the demo shop's, which is the target where a file names none.
const DEFAULT_DRIVER: &str = "shop";

/// What the file tells the drivers.
pub(super) fn settings(
    file: &ScenarioFile,
    root: &Node,
    catalogues: &[FaultCatalogue],
    findings: &mut Vec<Finding>,
) -> IndexMap<String, Parameters> {
    let at = root.child("drivers");
    let mut settings = IndexMap::new();
    for (driver, given) in &file.drivers {
        let known = catalogue(driver, catalogues, at.key(driver), findings);
        let given = Given {
            values: given,
            node: at.child(driver),
            whole: at.key(driver),
            of: &format!("the driver `{driver}`"),
        };
        let known = known.map(|catalogue| catalogue.settings.as_slice());
        let resolved = parameters::resolve(&given, known, findings);
        settings.insert(driver.clone(), resolved);
    }
    settings
}

/// What faults of somebody else are.
pub(super) fn observed(
    file: &ScenarioFile,
    root: &Node,
    anomalies: &IndexMap<String, Anomaly>,
    catalogues: &[FaultCatalogue],
    findings: &mut Vec<Finding>,
) -> Vec<ObservedFault> {
    let at = root.child("observe");
    let mut observed = Vec::new();
    for (fault, spec) in &file.observe {
        let node = at.child(fault);
        catalogue(&spec.driver, catalogues, node.value("driver"), findings);
        check_name(fault, "a fault to observe", at.key(fault), findings);
        let anomaly = anomalies.get(&spec.anomaly);
        match anomaly.filter(|anomaly| !anomaly.is_none()) {
            Some(anomaly) => observed.push(ObservedFault {
                driver: spec.driver.clone(),
                fault: fault.clone(),
                anomaly: anomaly.clone(),
            }),
            None => findings.push(
                Finding::at(
                    node.value("anomaly"),
                    format!("`{}` is no anomaly", spec.anomaly),
                )
                .suggest(&spec.anomaly, anomalies.keys().map(String::as_str)),
            ),
        }
    }
    observed
}

/// What a scenario has injected.
pub(super) fn resolve(
    spec: &ScenarioSpec,
    at: &Node,
    catalogues: &[FaultCatalogue],
    findings: &mut Vec<Finding>,
) -> Option<Fault> {
    let fault = spec.fault.as_ref()?;
    let node = at.child("fault");
    let place = Written {
        node,
        service: node.value("service"),
        whole: at.key("fault"),
    };
    Some(check(fault, &place, catalogues, findings))
}

/// Where a fault stands in the file.
pub(super) struct Written<'w> {
    /// What its options are in.
    pub(super) node: &'w Node,
    /// The name of its service.
    pub(super) service: Span,
    /// Where something is said that is missing.
    pub(super) whole: Span,
}

/// A fault as a plan has it, and what is wrong with it.
pub(super) fn check(
    fault: &FaultSpec,
    place: &Written<'_>,
    catalogues: &[FaultCatalogue],
    findings: &mut Vec<Finding>,
) -> Fault {
    let node = place.node;
    let driver = fault.driver.as_deref().unwrap_or(DEFAULT_DRIVER);
    let known = catalogue(driver, catalogues, node.value("driver"), findings);
    if let Some(catalogue) = known {
        check_names(&fault.fault, &fault.service, catalogue, place, findings);
    }
    for (option, name, span) in [
        ("driver", driver, node.value("driver")),
        ("fault", &fault.fault, node.value("fault")),
        ("service", &fault.service, place.service),
    ] {
        if name.trim().is_empty() {
            findings.push(Finding::at(span, format!("`{option}` is empty")));
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
    let known = known.map(|catalogue| catalogue.fault(&fault.fault));
    let given = Given {
        values: &fault.parameters,
        node: node.child("parameters"),
        whole: place.whole,
        of: &format!("the fault `{}`", fault.fault),
    };
    let harmless = is_harmless(fault, known.flatten(), place, findings);
    let clients = clients(fault, known.flatten(), place, findings);
    let parameters = match known {
        // That there is no such fault is said already.
        Some(None) => Parameters::new(),
        Some(Some(known)) => parameters::resolve(&given, Some(&known.parameters), findings),
        None => parameters::resolve(&given, None, findings),
    };
    Fault {
        driver: driver.to_owned(),
        fault: fault.fault.clone(),
        service: fault.service.clone(),
        intensity,
        sham: fault.sham,
        harmless,
        clients,
        parameters,
    }
}

/// The clients that it is for, from the first cell on.
fn clients(
    fault: &FaultSpec,
    known: Option<&CatalogueFault>,
    place: &Written<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Clients> {
    let share = fault.clients?;
    let at = place.node.value("clients");
    let clients = Clients::of_share(share.0);
    if clients.is_none() {
        findings.push(
            Finding::at(at, "the share of clients is less than 1%")
                .help("give 1% to 100%; without `clients` all meet the fault"),
        );
    }
    if known.is_some_and(|known| !known.by_client) {
        let name = &fault.fault;
        findings.push(
            Finding::at(at, format!("`{name}` can't be for some clients only"))
                .help("it does not act on single requests: leave `clients` out"),
        );
    }
    clients
}

/// What the driver says of a fault counts. Of one whose name the file chooses, the file says it.
fn is_harmless(
    fault: &FaultSpec,
    known: Option<&CatalogueFault>,
    place: &Written<'_>,
    findings: &mut Vec<Finding>,
) -> bool {
    let known = known.filter(|known| known.name != CatalogueFault::ANY);
    let harmless = known.map_or(fault.harmless, |known| known.harmless);
    if fault.harmless && !harmless {
        findings.push(
            Finding::at(place.whole, format!("`{}` is not harmless", fault.fault))
                .help("it breaks something: leave `harmless` out, or list it under `faults`"),
        );
    }
    if fault.sham && harmless {
        findings.push(
            Finding::at(place.whole, "a sham of a change that breaks nothing")
                .help("name a fault that the sham goes without, or leave `sham` out"),
        );
    }
    harmless
}

/// The catalogue of a driver; none where no catalogues are at hand, or where there is no such
/// driver.
fn catalogue<'c>(
    driver: &str,
    catalogues: &'c [FaultCatalogue],
    span: Span,
    findings: &mut Vec<Finding>,
) -> Option<&'c FaultCatalogue> {
    let known = catalogues.iter().find(|known| known.driver == driver);
    if known.is_none() && !catalogues.is_empty() && !driver.trim().is_empty() {
        let names = catalogues.iter().map(|known| known.driver.as_str());
        let finding = Finding::at(span, format!("there is no driver `{driver}`"));
        findings.push(finding.suggest(driver, names));
    }
    known
}

fn check_names(
    name: &str,
    service: &str,
    catalogue: &FaultCatalogue,
    place: &Written<'_>,
    findings: &mut Vec<Finding>,
) {
    let FaultCatalogue {
        driver, services, ..
    } = catalogue;
    let is_known = services.is_empty() || services.iter().any(|known| known == service);
    if !is_known {
        findings.push(
            Finding::at(
                place.service,
                format!("the driver `{driver}` has no service `{service}`"),
            )
            .suggest(service, services.iter().map(String::as_str)),
        );
    }
    let Some(fault) = catalogue.fault(name) else {
        findings.push(
            Finding::at(
                place.node.value("fault"),
                format!("the driver `{driver}` has no fault `{name}`"),
            )
            .suggest(
                name,
                catalogue.faults.iter().map(|fault| fault.name.as_str()),
            ),
        );
        return;
    };
    let possible = &fault.services;
    if is_known && !possible.is_empty() && !possible.iter().any(|one| one == service) {
        findings.push(
            Finding::at(
                place.service,
                format!("`{name}` is not possible in `{service}`"),
            )
            .help(format!("it is possible in: {}", possible.join(", "))),
        );
    }
}

/// A fault in a window that is labelled normal, or in another service than the label says, would
/// make a dataset that is wrong without looking so. `anomaly` is what the scenario names: a sham or a
/// change that is harmless is labelled normal, but evaluated by it.
pub(super) fn check_agreement(
    fault: Option<&Fault>,
    anomaly: &Anomaly,
    at: &Node,
    findings: &mut Vec<Finding>,
) {
    let Some(fault) = fault else { return };
    let node = at.child("fault");
    if anomaly.is_none() && !fault.breaks() {
        let what = match fault.sham {
            true => "a sham",
            false => "a harmless change",
        };
        findings.push(
            Finding::at(at.key("fault"), format!("{what} that declares no anomaly"))
                .help("name the one that its evidence is evaluated by: `anomaly: …`, an entry under `anomalies`"),
        );
    } else if anomaly.is_none() {
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

/// A warm-up is normal, and nothing is broken meanwhile.
pub(super) fn check_warm_up(
    spec: &ScenarioSpec,
    anomaly: &Anomaly,
    at: &Node,
    findings: &mut Vec<Finding>,
) {
    if spec.warm_up && (!anomaly.is_none() || spec.fault.is_some()) {
        findings.push(
            Finding::at(at.key("warm_up"), "a warm-up with an anomaly or a fault")
                .help("it brings the target up to speed and is left out of comparisons: leave `anomaly` and `fault` out, or `warm_up`"),
        );
    }
}

/// One fault can't be of two intensities at a time, and a sham is of none. Of the same intensity it may be wanted by
/// several windows; it then lasts until the last of them closes. One that is for some clients is for
/// others in each window.
pub(super) fn check_overlaps(
    scenarios: &[PlannedScenario],
    node: &Node,
    findings: &mut Vec<Finding>,
) {
    let mut by_start: Vec<&PlannedScenario> = scenarios.iter().collect();
    by_start.sort_by_key(|scenario| scenario.start_ns);
    // Of each fault the window that ends last. A window that is at odds with an earlier one is
    // found through it, or the two earlier ones were at odds already.
    let mut latest: HashMap<_, (&PlannedScenario, f64)> = HashMap::new();
    for scenario in by_start {
        let Some(fault) = scenario.fault.as_ref().filter(|fault| !fault.sham) else {
            continue;
        };
        let held = latest
            .entry(fault.key())
            .or_insert((scenario, fault.intensity));
        let (other, intensity) = *held;
        let is_other = other.name != scenario.name && scenario.start_ns < other.end_ns;
        let of_other = other.fault.as_ref().and_then(|fault| fault.clients);
        if is_other && fault.clients != of_other {
            findings.push(
                Finding::at(
                    node.child(&scenario.name).key("fault"),
                    format!(
                        "`{}` in `{}` is for other clients here than in `{}`, at the same time",
                        fault.fault, fault.service, other.name
                    ),
                )
                .help("leave `clients` out in both, or let the windows not overlap"),
            );
        }
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
