//! A run while it goes on: what its timeline says so far, and what the generator measures.
//!
//! Telemetry is labelled at the run's end and not before: to do it again and again would take the
//! target's processors. So a live page shows requests by their steps, as the generator saw them, in the
//! place of spans by service.

use std::collections::BTreeMap;
use std::path::Path;

use loadgen_timeline::RequestRecord;

use crate::run::RunReport;
use crate::series::{KindRow, Row, Rows, Series};
use crate::sources::Sources;

const SECOND_NS: i64 = 1_000_000_000;

/// A second is closed when requests were sent this much later. What ends later still counts, but for no
/// quantile.
const CLOSED_AFTER_S: i64 = 120;

/// Requests by step and second, as they end.
#[derive(Debug, Clone)]
pub struct LiveSeries {
    /// By flow and step: the place in `steps`.
    places: Vec<Vec<usize>>,
    steps: Vec<(String, BTreeMap<i64, Second>)>,
    last_s: i64,
}

/// Requests of one step that were sent in one second.
#[derive(Debug, Clone, Default)]
struct Second {
    count: u64,
    errors: u64,
    durations_ns: Vec<i64>,
    /// Of a second that is closed.
    quantiles: Option<[Option<f64>; 3]>,
}

impl LiveSeries {
    /// Of a plan with these names of steps, by flow. Steps of one name are shown as one.
    pub fn new(names: &[Vec<&str>]) -> Self {
        let mut steps: Vec<(String, BTreeMap<i64, Second>)> = Vec::new();
        let mut place = |name: &&str| {
            let found = steps.iter().position(|(other, _)| other == name);
            found.unwrap_or_else(|| {
                steps.push(((*name).to_owned(), BTreeMap::new()));
                steps.len() - 1
            })
        };
        let places = names
            .iter()
            .map(|flow| flow.iter().map(&mut place).collect())
            .collect();
        Self {
            places,
            steps,
            last_s: i64::MIN,
        }
    }

    /// Takes requests that ended.
    pub fn take(&mut self, records: &[RequestRecord]) {
        for record in records {
            let flow = self.places.get(usize::from(record.flow));
            let Some(place) = flow.and_then(|steps| steps.get(usize::from(record.step))) else {
                continue;
            };
            let at_s = record.sent_ns.div_euclid(SECOND_NS);
            self.last_s = self.last_s.max(at_s);
            let second = self.steps[*place].1.entry(at_s).or_default();
            second.count += 1;
            second.errors += u64::from(record.failure.is_some());
            if second.quantiles.is_none() {
                let duration = record.finished_ns.saturating_sub(record.sent_ns);
                second.durations_ns.push(duration);
            }
        }
        let closed = self.last_s.saturating_sub(CLOSED_AFTER_S);
        for (_, seconds) in &mut self.steps {
            // What is closed stands before what is not.
            let open = seconds.range_mut(..closed).rev();
            for (_, second) in open.take_while(|(_, second)| second.quantiles.is_none()) {
                second.quantiles = Some(quantiles(&second.durations_ns));
                second.durations_ns = Vec::new();
            }
        }
    }

    fn series(&self, began_ns: i64) -> Option<Series> {
        let mut rows = Rows::new(SECOND_NS);
        for (name, seconds) in &self.steps {
            for (at_s, second) in seconds {
                let calls = KindRow {
                    count: second.count,
                    errors: second.errors,
                    quantiles: second
                        .quantiles
                        .unwrap_or_else(|| quantiles(&second.durations_ns)),
                };
                rows.push(name, Row::of_client(at_s * SECOND_NS, calls));
            }
            rows.name(name);
        }
        (!rows.is_empty()).then(|| rows.series("live", began_ns))
    }
}

/// Median, 95th and 99th percentile, ms: the smallest value that the share does not exceed.
fn quantiles(durations_ns: &[i64]) -> [Option<f64>; 3] {
    let mut sorted = durations_ns.to_vec();
    sorted.sort_unstable();
    [0.5, 0.95, 0.99].map(|share| {
        let place = (sorted.len() as f64 * share).ceil() as usize;
        let value = sorted.get(place.max(1) - 1)?;
        Some(*value as f64 / 1e6)
    })
}

impl RunReport {
    /// What can be shown of a run that goes on in this folder.
    pub fn live(run: &Path, series: &LiveSeries) -> Self {
        let sources = Sources {
            dataset: None,
            stamp: None,
            run: Some(run.to_owned()),
        };
        let mut report = Self::read(&sources);
        report.series = series.series(report.began_ns());
        // Files that come at the end are not missing.
        report.missing.clear();
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_timeline::Failure;

    fn request(step: u16, sent_ms: i64, took_ms: i64, failed: bool) -> RequestRecord {
        RequestRecord {
            trace_id: [0; 16],
            span_id: [0; 8],
            scenario: 0,
            flow: 0,
            step,
            iteration: 0,
            intended_ns: sent_ms * 1_000_000,
            sent_ns: sent_ms * 1_000_000,
            finished_ns: (sent_ms + took_ms) * 1_000_000,
            status: Some(200),
            failure: failed.then_some(Failure::Timeout),
            path: "/".into(),
        }
    }

    #[test]
    fn requests_count_in_the_second_in_which_they_were_sent() {
        let mut live = LiveSeries::new(&[vec!["home", "cart"], vec!["home"]]);
        live.take(&[request(0, 10_100, 20, false), request(0, 10_900, 900, true)]);
        live.take(&[request(1, 12_000, 5, false)]);
        let series = live.series(10 * SECOND_NS).expect("series");
        assert_eq!((series.from_s, series.step_s, series.steps), (0.0, 1.0, 3));
        let names: Vec<&str> = series.services.iter().map(|s| s.service.as_str()).collect();
        assert_eq!(names, ["cart", "home"]);
        let home = &series.services[1].kinds["client"];
        assert_eq!(
            (&home.count[..], &home.errors[..]),
            (&[2, 0, 0][..], &[1, 0, 0][..])
        );
        assert_eq!(home.p50, [Some(20.0), None, None]);
        assert_eq!(home.p99, [Some(900.0), None, None]);
    }

    #[test]
    fn seconds_that_are_long_over_keep_their_figures_and_no_single_durations() {
        let mut live = LiveSeries::new(&[vec!["home"]]);
        live.take(&[request(0, 1_000, 30, false)]);
        live.take(&[request(0, 400_000, 10, false)]);
        assert!(live.steps[0].1[&1].durations_ns.is_empty());
        // One that ends that late counts, and moves no quantile.
        live.take(&[request(0, 1_000, 390_000, false)]);
        let series = live.series(0).expect("series");
        let home = &series.services[0].kinds["client"];
        assert_eq!((home.count[0], home.p99[0]), (2, Some(30.0)));
    }

    #[test]
    fn before_the_first_request_there_is_nothing() {
        assert!(LiveSeries::new(&[vec!["home"]]).series(0).is_none());
    }
}
