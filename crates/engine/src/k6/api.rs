//! What k6 has counted so far, from its REST API (`/v1/metrics`): scripts can't see dropped
//! iterations.

use std::collections::HashMap;
use std::time::Duration;

use loadgen_timeline::Clock;
use serde::Deserialize;
use tokio::sync::watch;

/// Time between two questions; that of the workers' hand-over.
const EVERY: Duration = Duration::from_millis(250);

/// What k6 had counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// When it was asked; none: it has not answered yet.
    pub(super) asked_ns: Option<i64>,
    /// Dropped iterations by scenario.
    pub(super) dropped: HashMap<String, u64>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    id: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    sample: HashMap<String, f64>,
}

/// Asks again and again until nobody wants to know any more. Answers that don't come are left out.
pub(super) async fn ask(
    client: reqwest::Client,
    address: String,
    clock: Clock,
    counted: watch::Sender<Counted>,
) {
    let url = format!("http://{address}/v1/metrics");
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !counted.is_closed() {
        tick.tick().await;
        let asked_ns = clock.now_ns();
        let answer = client.get(&url).timeout(Duration::from_secs(1)).send();
        let Ok(answer) = answer.await else { continue };
        let Ok(body) = answer.bytes().await else {
            continue;
        };
        if let Some(dropped) = dropped(&body) {
            counted.send_replace(Counted {
                asked_ns: Some(asked_ns),
                dropped,
            });
        }
    }
}

fn dropped(body: &[u8]) -> Option<HashMap<String, u64>> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let of_scenario = |metric: Metric| {
        let name = metric.id.strip_prefix("dropped_iterations{scenario:")?;
        let name = name.strip_suffix('}')?.to_owned();
        let count = metric.attributes.sample.get("count").copied()?;
        Some((name, count as u64))
    };
    Some(answer.data.into_iter().filter_map(of_scenario).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_among_the_metrics() {
        let body = br#"{"data":[
            {"type":"metrics","id":"dropped_iterations","attributes":{"type":"counter","sample":{"count":9,"rate":0.5}}},
            {"type":"metrics","id":"dropped_iterations{scenario:db_exhaustion}","attributes":{"sample":{"count":7,"rate":0.4}}},
            {"type":"metrics","id":"vus","attributes":{"sample":{"value":2}}}]}"#;
        let expected = HashMap::from([("db_exhaustion".to_owned(), 7)]);
        assert_eq!(dropped(body), Some(expected));
        assert_eq!(dropped(b"not JSON"), None);
    }
}
