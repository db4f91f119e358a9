//! Numbers in paths that count up like a clock, in the sample of spans: they tell the time, and the time
//! tells the window.

use std::collections::{BTreeMap, BTreeSet};

use loadgen_timeline::audit::CountingPath;

use crate::audit::limits::COUNTING_REQUESTS;

/// Correlations below this are not kept: they are far from any limit.
const WORTH_KEEPING: f64 = 0.5;

/// At most so many paths are kept.
const MOST_PATHS: usize = 20;

/// Digits of the longest number: all of them fit into 64 bits.
const MOST_DIGITS: usize = 18;

/// Paths whose numbers go with time: each sampled span's `http_target` with its moment, in Unix
/// nanoseconds. Spans of one request that have the same path count once.
pub(super) fn counting_paths<'s>(
    sample: impl Iterator<Item = (&'s str, i64)>,
) -> Vec<CountingPath> {
    let mut numbers: BTreeMap<(String, usize), BTreeSet<(i64, u64)>> = BTreeMap::new();
    for (path, moment_ns) in sample {
        let (pattern, found) = without_numbers(path);
        for (index, number) in found.into_iter().enumerate() {
            let of = numbers.entry((pattern.clone(), index + 1)).or_default();
            of.insert((moment_ns, number));
        }
    }
    let paths = numbers
        .into_iter()
        .filter(|(_, of)| of.len() >= COUNTING_REQUESTS);
    let mut paths: Vec<CountingPath> = paths
        .filter_map(|((path, number), of)| {
            let rho = spearman(&of.iter().copied().collect::<Vec<_>>())?;
            (rho.abs() >= WORTH_KEEPING).then_some(CountingPath {
                path,
                number,
                rho,
                requests: of.len() as u64,
            })
        })
        .collect();
    paths.sort_by(|a, b| b.rho.abs().total_cmp(&a.rho.abs()));
    paths.truncate(MOST_PATHS);
    paths
}

/// The path with `{n}` for each number, and the numbers.
fn without_numbers(path: &str) -> (String, Vec<u64>) {
    let mut pattern = String::new();
    let mut numbers = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(from.len());
        let (digits, after) = from.split_at(end);
        pattern += before;
        match digits.parse().ok().filter(|_| digits.len() <= MOST_DIGITS) {
            Some(number) => {
                pattern += "{n}";
                numbers.push(number);
            }
            None => pattern += digits,
        }
        rest = after;
    }
    pattern += rest;
    (pattern, numbers)
}

/// Spearman's rank correlation, with mean ranks for ties; none: one side never changes.
fn spearman(pairs: &[(i64, u64)]) -> Option<f64> {
    let (a, b) = (
        ranks(pairs.iter().map(|p| p.0)),
        ranks(pairs.iter().map(|p| p.1)),
    );
    let mean = (pairs.len() + 1) as f64 / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

fn ranks<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Vec<f64> {
    let mut order: Vec<(T, usize)> = values.enumerate().map(|(at, value)| (value, at)).collect();
    order.sort_unstable();
    let mut ranks = vec![0.0; order.len()];
    let mut from = 0;
    for same in order.chunk_by(|a, b| a.0 == b.0) {
        let rank = from as f64 + (same.len() + 1) as f64 / 2.0;
        same.iter().for_each(|(_, at)| ranks[*at] = rank);
        from += same.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: impl Fn(i64) -> String, requests: i64) -> Vec<CountingPath> {
        let paths: Vec<(String, i64)> = (0..requests).map(|at| (path(at), at * 1_000)).collect();
        // Each request has three spans with its path.
        let spans = paths.iter().flat_map(|p| std::iter::repeat_n(p, 3));
        counting_paths(spans.map(|(path, at)| (path.as_str(), *at)))
    }

    #[test]
    fn a_number_that_grows_with_each_request_is_found_and_others_are_not() {
        let order = found(
            |at| format!("/v1/order/{}?user={}", 1000 + at, at * 7919 % 101),
            40,
        );
        assert_eq!(order.len(), 1, "{order:?}");
        assert_eq!(
            (&*order[0].path, order[0].number),
            ("/v{n}/order/{n}?user={n}", 2)
        );
        assert_eq!((order[0].rho, order[0].requests), (1.0, 40));
        // Few requests say nothing, however many spans they have.
        assert_eq!(found(|at| format!("/order/{at}"), 19), []);
        assert_eq!(found(|_| "/product/7".into(), 40), []);
    }

    #[test]
    fn ranks_of_ties_are_their_mean() {
        assert_eq!(ranks([30, 10, 10, 20].into_iter()), [4.0, 1.5, 1.5, 3.0]);
        // By hand: ranks 1, 2, 3, 4 against 1.5, 1.5, 3, 4: 4.5 / √(5 · 4.5).
        let rho = spearman(&[(1, 5), (2, 5), (3, 6), (4, 9)]).expect("both change");
        assert!((rho - 4.5 / 22.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn numbers_that_are_too_long_stay_in_the_path() {
        let long = "1".repeat(30);
        assert_eq!(
            without_numbers(&format!("/a/{long}/5")),
            (format!("/a/{long}/{{n}}"), vec![5])
        );
    }
}
