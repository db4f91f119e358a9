//! What a fault driver can inject, as far as a scenario file can be checked against it: names,
//! which fault is possible where, and what else a fault or the driver must be told. The format knows no target; whoever has the drivers hands in
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
///         parameters: vec![],
///         harmless: false,
///         by_client: false,
///     }],
///     settings: vec![],
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
    /// What the driver itself must be told, under `drivers` in a scenario file.
    #[serde(default)]
    pub settings: Vec<Parameter>,
}

/// A fault that a driver can inject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogueFault {
    /// Its name, such as `slow_query`; [`CatalogueFault::ANY`] where files may choose one.
    pub name: String,
    /// The services in which it is possible, in the driver's own order. Empty: in all.
    pub services: Vec<String>,
    /// What happens, in a sentence for people.
    pub summary: String,
    /// What else the fault must be told, under its `parameters` in a scenario file.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Whether it breaks nothing, such as a new release without bugs: data of its time is normal.
    /// Of [`CatalogueFault::ANY`] the file says it.
    #[serde(default)]
    pub harmless: bool,
    /// Whether it can be for some clients only.
    #[serde(default)]
    pub by_client: bool,
}

impl CatalogueFault {
    /// Stands for any name: the file chooses what the fault is called.
    pub const ANY: &str = "*";
}

/// Something that a fault or a driver is told by a scenario file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    /// Its name in the file, such as `latency`.
    pub name: String,
    /// What it can be.
    pub kind: ParameterKind,
    /// Whether it must be given.
    pub required: bool,
    /// What it is, in a sentence for people, with its unit and default.
    pub summary: String,
}

/// What a parameter can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// A time such as `800ms`. In a plan it is a number of milliseconds, and its name ends with
    /// `_ms`.
    Duration,
    /// A number of 0 or more.
    Number,
    /// A whole number of 0 or more.
    Integer,
    /// A text.
    Text,
    /// One of these texts.
    OneOf(Vec<String>),
    /// `true` or `false`.
    Flag,
    /// A text that a shell runs, or a program and its arguments as a list of texts.
    Command,
    /// Labels of Kubernetes as a text, such as `app=orders,tier=web`.
    Labels,
}

/// The labels that a text such as `app=orders,tier=web` names, in its order; none: it names none.
///
/// ```
/// let found = loadgen_scenario::labels("app=orders, tier=");
/// assert_eq!(found, Some(vec![("app", "orders"), ("tier", "")]));
/// for wrong in ["", "orders", "app=orders,", "=orders", "a==b"] {
///     assert_eq!(loadgen_scenario::labels(wrong), None);
/// }
/// ```
pub fn labels(text: &str) -> Option<Vec<(&str, &str)>> {
    text.split(',').map(label).collect()
}

fn label(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.trim().split_once('=')?;
    (!key.is_empty() && !value.contains('=')).then_some((key, value))
}

impl Parameter {
    /// One that must be given.
    pub fn required(name: &str, kind: ParameterKind, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: true,
            summary: summary.to_owned(),
        }
    }

    /// One that may be left out.
    pub fn optional(name: &str, kind: ParameterKind, summary: &str) -> Self {
        Self {
            required: false,
            ..Self::required(name, kind, summary)
        }
    }

    /// Its name in a plan and on a timeline: with its unit, where it is a time.
    pub fn plan_name(&self) -> String {
        match self.kind {
            ParameterKind::Duration => format!("{}_ms", self.name),
            _ => self.name.clone(),
        }
    }
}

impl FaultCatalogue {
    /// The fault of this name, or the one that stands for any.
    pub fn fault(&self, name: &str) -> Option<&CatalogueFault> {
        let named = |wanted| self.faults.iter().find(|fault| fault.name == wanted);
        named(name).or_else(|| named(CatalogueFault::ANY))
    }
}
