//! What by itself gives the label away: a column or an attribute of which each frequent value
//! stands for one anomaly type only. On a sample of spans. Ids and numbers in paths are looked at apart.

use std::collections::{BTreeMap, BTreeSet};

use loadgen_timeline::audit::{Figures, Leak};
use loadgen_timeline::condition::Placed;

use super::counting::counting_paths;
use super::ids::{dataset_column, id_leaks};
use crate::audit::limits::COUNTING_RHO;
use crate::label::survey::Gathered;
use crate::label::truth::Truth;
use crate::scan::sample::{Features, SampledSpan};

/// Finds what gives the label away in the sample of spans.
pub(crate) fn leaks(
    figures: &mut Figures,
    truth: &Truth,
    sample: &[SampledSpan],
    gathered: &Gathered,
) {
    let types: Vec<String> = truth
        .conditions
        .all()
        .iter()
        .map(|c| c.anomaly_type())
        .collect();
    let labelled = gathered.sampled.iter().filter_map(|(place, moment_ns)| {
        let Placed::Within { condition, .. } = truth.conditions.at((*moment_ns)?) else {
            return None;
        };
        Some((&sample.get(*place)?.features, types[condition].as_str()))
    });
    figures.leaks = find(labelled);
    let scenario = |window: usize| truth.timeline.windows[window].scenario.clone();
    let in_window = gathered.sampled.iter().filter_map(|(place, moment_ns)| {
        let Placed::Within { stretch, .. } = truth.conditions.at((*moment_ns)?) else {
            return None;
        };
        let window = truth.conditions.stretches()[stretch].windows.first()?;
        Some((&sample.get(*place)?.features, *window))
    });
    figures.id_leaks = id_leaks(in_window, scenario);
    let paths = gathered.sampled.iter().filter_map(|(place, moment_ns)| {
        let path = sample.get(*place)?.features.get(PATH)?;
        Some((path, (*moment_ns)?))
    });
    figures.counting_paths = counting_paths(paths);
}

/// The column of paths.
const PATH: &str = "http_target";

/// Columns of the dataset that give the label away, as figures tell.
pub(crate) fn leaking_columns(figures: &Figures) -> BTreeSet<&str> {
    let values = figures.leaks.iter().map(|leak| leak.column.as_str());
    let ids = figures.id_leaks.iter().map(|leak| leak.column.as_str());
    let counts = figures
        .counting_paths
        .iter()
        .any(|of| of.rho.abs() >= COUNTING_RHO);
    values
        .chain(ids)
        .map(dataset_column)
        .chain(counts.then_some(PATH))
        .collect()
}

/// A value counts when it is on so many sampled spans.
const FREQUENT: u32 = 20;

/// A column gives the label away when such values cover this share of the spans that have it.
const COVERED: f64 = 0.5;

/// A single value is named when it covers this share of all spans of its type.
const WORTH_NAMING: f64 = 0.05;

/// Columns with more different values than this are ids or times: each is rare, and what is rare
/// stands for one type by chance.
const MAX_VALUES: usize = 512;

/// The features of a span with its anomaly type.
type Labelled<'s> = (&'s Features, &'s str);

/// The leaks in a sample, the most telling first.
fn find<'s>(sample: impl Iterator<Item = Labelled<'s>>) -> Vec<Leak> {
    let mut types: BTreeMap<&str, u32> = BTreeMap::new();
    let mut columns: BTreeMap<&str, BTreeMap<&str, BTreeMap<&str, u32>>> = BTreeMap::new();
    for (features, kind) in sample {
        *types.entry(kind).or_default() += 1;
        for (column, value) in features.iter() {
            let values = columns.entry(column).or_default();
            *values.entry(value).or_default().entry(kind).or_default() += 1;
        }
    }
    let total: u32 = types.values().sum();
    // With one type there is nothing to give away.
    if types.len() < 2 {
        return Vec::new();
    }
    let mut leaks: Vec<Leak> = columns
        .into_iter()
        .filter(|(_, values)| values.len() <= MAX_VALUES)
        .filter_map(|(column, values)| leak(column, &values, &types, total))
        .collect();
    leaks.sort_by(|a, b| {
        (b.perfect, b.share)
            .partial_cmp(&(a.perfect, a.share))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    leaks
}

fn leak(
    column: &str,
    values: &BTreeMap<&str, BTreeMap<&str, u32>>,
    types: &BTreeMap<&str, u32>,
    total: u32,
) -> Option<Leak> {
    let count = |of: &BTreeMap<&str, u32>| of.values().sum::<u32>();
    let having: u32 = values.values().map(count).sum();
    let frequent: Vec<_> = values
        .iter()
        .filter(|(_, of)| count(of) >= FREQUENT)
        .collect();
    let mut telling: Vec<(&str, &str, u32)> = frequent
        .iter()
        .filter(|(_, of)| of.len() == 1)
        .filter_map(|(value, of)| {
            of.iter()
                .next()
                .map(|(kind, spans)| (**value, *kind, *spans))
        })
        .collect();
    let covered: u32 = telling.iter().map(|(.., spans)| spans).sum();
    let told: BTreeSet<&str> = telling.iter().map(|(_, kind, _)| *kind).collect();
    let perfect = telling.len() == frequent.len()
        && told.len() >= 2
        && f64::from(covered) >= COVERED * f64::from(having);
    if !perfect {
        telling
            .retain(|(_, kind, spans)| f64::from(*spans) >= WORTH_NAMING * f64::from(types[kind]));
    }
    if telling.is_empty() {
        return None;
    }
    telling.sort_by_key(|(value, _, spans)| (std::cmp::Reverse(*spans), *value));
    Some(Leak {
        column: column.to_owned(),
        share: f64::from(telling.iter().map(|(.., spans)| spans).sum::<u32>()) / f64::from(total),
        perfect,
        values: telling
            .iter()
            .map(|(value, kind, _)| (value.to_string(), kind.to_string()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaks(spans: &[(&str, &str, &str)]) -> Vec<Leak> {
        let spans: Vec<(Features, &str)> = spans
            .iter()
            .flat_map(|s| std::iter::repeat_n(s, 30))
            .map(|&(header, path, kind)| {
                let features = [("attributes.x", header), ("http_target", path)];
                (features.into_iter().collect(), kind)
            })
            .collect();
        find(spans.iter().map(|(features, kind)| (features, *kind)))
    }

    #[test]
    fn a_header_is_a_perfect_leak_and_a_path_of_one_scenario_is_named() {
        let found = leaks(&[
            ("none", "/", "none"),
            ("timeout", "/", "timeout"),
            ("timeout", "/only-here", "timeout"),
        ]);
        assert_eq!(
            (&*found[0].column, found[0].perfect),
            ("attributes.x", true)
        );
        assert_eq!(
            (&*found[1].column, found[1].perfect),
            ("http_target", false)
        );
        assert_eq!(
            found[1].values,
            [("/only-here".to_owned(), "timeout".to_owned())]
        );
    }

    #[test]
    fn what_is_shared_by_types_is_no_leak_and_one_type_alone_has_none() {
        assert_eq!(leaks(&[("a", "/", "none"), ("a", "/", "timeout")]), []);
        assert_eq!(leaks(&[("a", "/", "none"), ("b", "/x", "none")]), []);
    }
}
