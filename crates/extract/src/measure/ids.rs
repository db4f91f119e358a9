//! Ids that only one window has, in the sample of spans: an instance that was started for a window
//! gives its label away.

use std::collections::BTreeMap;

use loadgen_timeline::audit::{IdLeak, IdOfWindow};

use crate::scan::sample::Features;

/// Names of what tells one instance from another.
const IDS: [&str; 19] = [
    "service.instance.id",
    "host.name",
    "host.id",
    "host.ip",
    "hostname",
    "container.id",
    "container.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.pod.ip",
    "k8s.node.name",
    "k8s.node.uid",
    "pod",
    "pod.name",
    "pod.id",
    "instance",
    "faas.instance",
    "process.pid",
    "process.parent.pid",
];

/// Attributes of resources that are columns of the dataset, in the tables of spans, data points or log
/// records.
pub(crate) const ID_COLUMNS: [(&str, &str); 4] = [
    ("resource.service.instance.id", "service_instance_id"),
    ("resource.host.name", "host_name"),
    ("resource.container.name", "container_name"),
    ("resource.k8s.pod.name", "k8s_pod_name"),
];

/// A value is named when its service would have it in one window only by a chance of at most this.
/// One in a thousand: a run has tens of services, instances and windows.
const CHANCE: f64 = 0.001;

/// At most so many values of a leak are kept.
const MOST_VALUES: usize = 20;

/// A sampled span: its features, and the window that was open at its moment.
pub(super) type InWindow<'s> = (&'s Features, usize);

/// Values of an id, with the sampled spans that have each by window.
type Values<'s> = BTreeMap<&'s str, BTreeMap<usize, u64>>;

/// The column of the dataset that a feature of the sample stands in.
pub(super) fn dataset_column(feature: &str) -> &str {
    let column = ID_COLUMNS.iter().find(|(of, _)| *of == feature);
    column.map_or(feature, |(_, column)| column)
}

fn is_id(column: &str) -> bool {
    let name = column
        .strip_prefix("resource.")
        .or(column.strip_prefix("attributes."));
    let name = name.unwrap_or(column).replace('_', ".");
    IDS.contains(&name.as_str())
}

/// Ids of which a value occurs in one window only, while its service was seen in others.
pub(super) fn id_leaks<'s>(
    sample: impl Iterator<Item = InWindow<'s>>,
    scenario: impl Fn(usize) -> String,
) -> Vec<IdLeak> {
    let mut services: BTreeMap<&str, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut ids: BTreeMap<(&str, &str), Values<'_>> = BTreeMap::new();
    for (features, window) in sample {
        let Some(service) = features.get("service_name") else {
            continue;
        };
        *services
            .entry(service)
            .or_default()
            .entry(window)
            .or_default() += 1;
        for (name, value) in features.iter().filter(|(name, _)| is_id(name)) {
            let column = ids.entry((dataset_column(name), service)).or_default();
            *column.entry(value).or_default().entry(window).or_default() += 1;
        }
    }
    let mut leaks = Vec::new();
    for ((column, service), values) in ids {
        let windows = &services[service];
        let all: u64 = windows.values().sum();
        let mut found = Vec::new();
        for (value, of) in values {
            let mut of = of.into_iter();
            let (Some((window, spans)), None) = (of.next(), of.next()) else {
                continue;
            };
            let share = windows[&window] as f64 / all as f64;
            if windows.len() > 1 && share.powf(spans as f64) <= CHANCE {
                found.push(IdOfWindow {
                    value: value.to_owned(),
                    scenario: scenario(window),
                    spans,
                });
            }
        }
        if found.is_empty() {
            continue;
        }
        found.sort_by(|a, b| (b.spans, &a.value).cmp(&(a.spans, &b.value)));
        found.truncate(MOST_VALUES);
        leaks.push(IdLeak {
            column: column.to_owned(),
            service: service.to_owned(),
            values: found,
        });
    }
    leaks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans of a service with an instance id, by window.
    fn found(spans: &[(&str, &str, usize, usize)]) -> Vec<IdLeak> {
        let spans: Vec<(Features, usize)> = spans
            .iter()
            .flat_map(|s| std::iter::repeat_n(s, s.3))
            .map(|&(service, id, window, _)| {
                let features = [
                    ("service_name", service),
                    ("resource.service.instance.id", id),
                    ("attributes.order_id", "x"),
                ];
                (features.into_iter().collect(), window)
            })
            .collect();
        let sample = spans.iter().map(|(features, window)| (features, *window));
        id_leaks(sample, |window| format!("w{window}"))
    }

    #[test]
    fn an_instance_of_one_window_is_named_with_its_service() {
        let leaks = found(&[
            ("web", "a", 0, 30),
            ("web", "b", 1, 12),
            ("web", "a", 2, 30),
        ]);
        assert_eq!(leaks.len(), 1);
        assert_eq!(
            (&*leaks[0].column, &*leaks[0].service),
            ("service_instance_id", "web")
        );
        let value = IdOfWindow {
            value: "b".into(),
            scenario: "w1".into(),
            spans: 12,
        };
        assert_eq!(leaks[0].values, [value]);
    }

    #[test]
    fn instances_that_live_on_and_services_of_one_window_and_rare_ones_are_none() {
        assert_eq!(
            found(&[
                ("web", "a", 0, 30),
                ("web", "b", 0, 30),
                ("web", "a", 1, 9),
                ("web", "b", 1, 9)
            ]),
            []
        );
        assert_eq!(found(&[("cart", "c", 1, 30), ("web", "a", 0, 30)]), []);
        assert_eq!(
            found(&[("web", "a", 0, 30), ("web", "a", 1, 28), ("web", "b", 1, 2)]),
            []
        );
    }

    #[test]
    fn names_of_ids_in_any_spelling() {
        for name in [
            "attributes.process.pid",
            "resource.k8s.pod.name",
            "service_instance_id",
            "host_name",
        ] {
            assert!(is_id(name), "{name}");
        }
        assert!(!is_id("attributes.user.id") && !is_id("http_target"));
    }
}
