//! Injects faults by Chaos Mesh, which runs in a Kubernetes cluster: each fault is an object of its
//! API, made and deleted through the API server, and confirmed by the status that Chaos Mesh writes
//! into it.
//!
//! What the faults are is always compiled; what speaks to a cluster needs the feature `chaos-mesh`.

#[cfg(feature = "chaos-mesh")]
mod driver;
#[cfg(feature = "chaos-mesh")]
mod resource;
#[cfg(feature = "chaos-mesh")]
mod status;

use std::sync::Arc;

use loadgen_scenario::plan::Parameters;
use loadgen_scenario::{CatalogueFault, FaultCatalogue, Parameter, ParameterKind};

#[cfg(feature = "chaos-mesh")]
pub use driver::ChaosMeshDriver;

use crate::{FaultDriver, FaultError};

/// Name of the driver.
pub(super) const NAME: &str = "chaos-mesh";

/// A driver by its settings.
#[cfg(feature = "chaos-mesh")]
pub(super) fn make(settings: &Parameters) -> Result<Arc<dyn FaultDriver>, FaultError> {
    Ok(Arc::new(ChaosMeshDriver::new(settings)))
}

/// There is none.
#[cfg(not(feature = "chaos-mesh"))]
pub(super) fn make(_settings: &Parameters) -> Result<Arc<dyn FaultDriver>, FaultError> {
    Err(FaultError::Settings {
        driver: NAME.to_owned(),
        reason: "this loadgen was built without the feature chaos-mesh".to_owned(),
    })
}

/// What Chaos Mesh can do to pods.
pub(super) fn catalogue() -> FaultCatalogue {
    let faults = [
        network_faults(),
        stress_faults(),
        http_faults(),
        pod_faults(),
        io_faults(),
        dns_and_time_faults(),
    ];
    FaultCatalogue {
        driver: NAME.to_owned(),
        services: vec![],
        faults: faults.into_iter().flatten().collect(),
        settings: vec![
            optional(
                "namespace",
                ParameterKind::Text,
                "Namespace in which the objects of Chaos Mesh are made: the one of the kubeconfig's \
                 context by default.",
            ),
            optional(
                "kubeconfig",
                ParameterKind::Text,
                "The kubeconfig's file: as kubectl finds it by default, or the cluster that loadgen \
                 runs in.",
            ),
            optional(
                "context",
                ParameterKind::Text,
                "Context of the kubeconfig: its current one by default.",
            ),
            optional(
                "max_duration",
                ParameterKind::Duration,
                "Chaos Mesh ends a fault by itself after this time, whatever becomes of loadgen: \
                 1h by default.",
            ),
        ],
    }
}

fn required(name: &str, kind: ParameterKind, summary: &str) -> Parameter {
    Parameter::required(name, kind, summary)
}

fn optional(name: &str, kind: ParameterKind, summary: &str) -> Parameter {
    Parameter::optional(name, kind, summary)
}

/// One of these texts, and the first by default.
fn one_of(name: &str, texts: &[&str], summary: &str) -> Parameter {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    optional(name, ParameterKind::OneOf(texts), summary)
}

/// A fault with the parameters that all have, which choose pods.
fn fault(name: &str, summary: &str, parameters: Vec<Parameter>) -> CatalogueFault {
    let mut all = vec![
        required(
            "labels",
            ParameterKind::Labels,
            "Labels of the pods that have the fault, such as `app=orders,tier=web`.",
        ),
        optional(
            "namespace",
            ParameterKind::Text,
            "Namespace of the pods: the driver's by default.",
        ),
        one_of(
            "mode",
            &["all", "one"],
            "`all` of the pods, the default, or `one` by chance.",
        ),
    ];
    all.extend(parameters);
    CatalogueFault {
        name: name.to_owned(),
        services: vec![],
        summary: summary.to_owned(),
        parameters: all,
        harmless: false,
        by_client: false,
    }
}

fn containers() -> Parameter {
    optional(
        "containers",
        ParameterKind::Text,
        "Names of containers, separated by commas: the first one of each pod by default.",
    )
}

/// What faults of the network have besides.
fn network_fault(name: &str, summary: &str, parameters: Vec<Parameter>) -> CatalogueFault {
    let mut all = parameters;
    all.extend([
        one_of(
            "direction",
            &["to", "from", "both"],
            "Of which packets, seen from the pods: `to` the peer, the default, `from` it, or `both`.",
        ),
        optional(
            "peer_labels",
            ParameterKind::Labels,
            "Labels of the pods at the other end; without a peer it is any.",
        ),
        optional(
            "peer_namespace",
            ParameterKind::Text,
            "Namespace of the peer: the driver's by default.",
        ),
        optional(
            "peer_addresses",
            ParameterKind::Text,
            "Addresses or names outside of the cluster that are peers, separated by commas.",
        ),
    ]);
    fault(name, summary, all)
}

fn network_faults() -> Vec<CatalogueFault> {
    use ParameterKind::{Duration, Integer, Number};
    let correlation = || {
        let summary =
            "How much a packet's fate follows the one before it, in per cent: 0 by default.";
        optional("correlation", Number, summary)
    };
    let percent = || {
        let summary = "Share of the packets in per cent, times the intensity.";
        vec![required("percent", Number, summary), correlation()]
    };
    vec![
        network_fault(
            "network_delay",
            "Packets are delayed (NetworkChaos).",
            vec![
                required("latency", Duration, "The delay, times the intensity."),
                optional(
                    "jitter",
                    Duration,
                    "The delay varies by so much to either side, times the intensity: 0 by default.",
                ),
                correlation(),
            ],
        ),
        network_fault(
            "network_loss",
            "Packets are lost (NetworkChaos).",
            percent(),
        ),
        network_fault(
            "network_corrupt",
            "Packets are corrupted (NetworkChaos).",
            percent(),
        ),
        network_fault(
            "network_duplicate",
            "Packets come twice (NetworkChaos).",
            percent(),
        ),
        network_fault(
            "network_partition",
            "No packets pass (NetworkChaos); the intensity does nothing.",
            vec![],
        ),
        network_fault(
            "network_bandwidth",
            "Packets pass at a limited rate (NetworkChaos).",
            vec![
                required(
                    "rate",
                    Integer,
                    "The rate in KB/s, divided by the intensity.",
                ),
                optional(
                    "limit",
                    Integer,
                    "So many bytes may wait; what is more is lost: 20971520 by default.",
                ),
                optional(
                    "buffer",
                    Integer,
                    "So many bytes may pass at once: 10000 by default.",
                ),
            ],
        ),
    ]
}

fn stress_faults() -> Vec<CatalogueFault> {
    use ParameterKind::{Integer, Number};
    vec![
        fault(
            "stress_cpu",
            "Processes in the container use CPU time (StressChaos).",
            vec![
                required("workers", Integer, "How many."),
                optional(
                    "load_percent",
                    Number,
                    "How busy each is, times the intensity: 100 by default.",
                ),
                containers(),
            ],
        ),
        fault(
            "stress_memory",
            "Processes in the container use memory (StressChaos).",
            vec![
                required("bytes", Integer, "Bytes of each, times the intensity."),
                optional("workers", Integer, "How many: 1 by default."),
                containers(),
            ],
        ),
    ]
}

fn http_faults() -> Vec<CatalogueFault> {
    use ParameterKind::{Duration, Integer, Text};
    let http_fault = |name, summary, targets: &[&str], parameters: Vec<Parameter>| {
        let default = targets.first().copied().unwrap_or_default();
        let summary_of_target = format!("What is changed: the {default} by default.");
        let mut all = vec![
            required("port", Integer, "The TCP port that the pods serve HTTP on."),
            one_of("target", targets, &summary_of_target),
            optional(
                "path",
                Text,
                "Only of requests with this path, which may have wildcards: all by default.",
            ),
            optional(
                "method",
                Text,
                "Only of requests with this method, such as `GET`: all by default.",
            ),
            optional(
                "code",
                Integer,
                "Only of responses with this status: all by default.",
            ),
        ];
        all.extend(parameters);
        fault(name, summary, all)
    };
    vec![
        http_fault(
            "http_abort",
            "Connections are broken off (HTTPChaos); the intensity does nothing.",
            &["Request", "Response"],
            vec![],
        ),
        http_fault(
            "http_delay",
            "Requests or responses are delayed (HTTPChaos).",
            &["Request", "Response"],
            vec![required(
                "delay",
                Duration,
                "The delay, times the intensity.",
            )],
        ),
        http_fault(
            "http_replace",
            "Requests or responses are changed (HTTPChaos); the intensity does nothing.",
            &["Response", "Request"],
            vec![
                optional("replace_code", Integer, "The response has this status."),
                optional("replace_body", Text, "It has this body."),
            ],
        ),
    ]
}

fn pod_faults() -> Vec<CatalogueFault> {
    use ParameterKind::{Duration, Text};
    vec![
        fault(
            "pod_failure",
            "The pods do not work (PodChaos); the intensity does nothing.",
            vec![],
        ),
        fault(
            "pod_kill",
            "The pods are killed, once; clearing does not bring them back (PodChaos). The intensity \
             does nothing.",
            vec![optional(
                "grace_period",
                Duration,
                "The time that they have to end, in whole seconds: 0 by default.",
            )],
        ),
        fault(
            "container_kill",
            "Containers are killed, once; clearing does not bring them back (PodChaos). The \
             intensity does nothing.",
            vec![required(
                "containers",
                Text,
                "Names of containers, separated by commas.",
            )],
        ),
    ]
}

fn io_faults() -> Vec<CatalogueFault> {
    use ParameterKind::{Duration, Integer, Number, Text};
    let io_fault = |name, summary, own: Parameter, percent| {
        let all = vec![
            own,
            required("volume_path", Text, "Where the volume is mounted."),
            optional(
                "path",
                Text,
                "Only of files with this path, which may have wildcards: all by default.",
            ),
            optional(
                "methods",
                Text,
                "Only these operations, such as `read,write`: all by default.",
            ),
            optional("percent", Number, percent),
            containers(),
        ];
        fault(name, summary, all)
    };
    vec![
        io_fault(
            "io_delay",
            "Operations on files are delayed (IOChaos).",
            required("delay", Duration, "The delay, times the intensity."),
            "Share of the operations in per cent: 100 by default.",
        ),
        io_fault(
            "io_errno",
            "Operations on files fail (IOChaos).",
            required(
                "errno",
                Integer,
                "The error's number, such as 5 (EIO) or 28 (ENOSPC).",
            ),
            "Share of the operations in per cent, times the intensity: 100 by default.",
        ),
    ]
}

fn dns_and_time_faults() -> Vec<CatalogueFault> {
    use ParameterKind::{Duration, Flag, Text};
    let dns_fault = |name, summary| {
        let patterns = optional(
            "patterns",
            Text,
            "Names, separated by commas, which may have wildcards: all names by default.",
        );
        fault(name, summary, vec![patterns, containers()])
    };
    vec![
        dns_fault(
            "dns_error",
            "Names are not found (DNSChaos); the intensity does nothing.",
        ),
        dns_fault(
            "dns_random",
            "Names have addresses by chance (DNSChaos); the intensity does nothing.",
        ),
        fault(
            "time_skew",
            "Clocks are wrong (TimeChaos).",
            vec![
                required("offset", Duration, "By how much, times the intensity."),
                optional("backward", Flag, "They are late; else they are early."),
                optional(
                    "clocks",
                    Text,
                    "Which, separated by commas: CLOCK_REALTIME by default.",
                ),
                containers(),
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use loadgen_scenario::{PlanOptions, plan_str};

    use super::*;

    /// What is wrong with a scenario file that has these parameters.
    fn errors(parameters: &str) -> String {
        let file = format!(
            "
version: 1
flows: {{default: {{steps: [{{path: /}}]}}}}
drivers: {{chaos-mesh: {{namespace: shop, max_duration: 10m}}}}
anomalies: {{slow: {{root_cause: network, root_cause_service: orders}}}}
scenarios:
  during:
    executor: constant-vus
    vus: 1
    duration: 1s
    anomaly: slow
    fault: {{driver: chaos-mesh, fault: network_delay, service: orders, parameters: {parameters}}}
"
        );
        let options = PlanOptions {
            catalogues: vec![catalogue()],
            base_url: Some("http://127.0.0.1:1".to_owned()),
            ..PlanOptions::default()
        };
        let plan = plan_str("chaos.yaml", &file, &options);
        plan.err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn a_scenario_file_is_checked_with_and_without_the_feature() {
        assert_eq!(
            errors("{labels: 'app=orders,tier=web', latency: 400ms}"),
            ""
        );
        for (parameters, message) in [
            ("{latency: 400ms}", "needs the parameter `labels`"),
            ("{latency: 400ms, labels: orders}", "expected labels"),
            ("{latency: fast, labels: app=orders}", "`latency`"),
            (
                "{latency: 1s, labels: a=b, direction: up}",
                "one of to, from, both",
            ),
        ] {
            let errors = errors(parameters);
            assert!(errors.contains(message), "{errors}");
        }
    }

    #[cfg(not(feature = "chaos-mesh"))]
    #[test]
    fn without_the_feature_it_says_so() {
        let error = make(&Parameters::new()).err().unwrap().to_string();
        assert!(error.contains("without the feature chaos-mesh"), "{error}");
    }
}
