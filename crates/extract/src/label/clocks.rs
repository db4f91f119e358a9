//! How far the clocks of services are from the generator's, from the four times of each exchange.
//!
//! A client sends at T1 and has the answer at T4, by its clock; the server begins at T2 and ends at
//! T3, by its own. The server's clock is then ahead by ((T2−T1)+(T3−T4))/2, give or take half of
//! what the way took, (T4−T1)−(T3−T2). The exchange with the shortest way bounds it best: the
//! clock filter of NTP (RFC 5905, sections 8 and 10).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The four times of one exchange, Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) client_start: i64,
    pub(crate) server_start: i64,
    pub(crate) server_end: i64,
    pub(crate) client_end: i64,
}

/// How far one clock is ahead of another, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(crate) ahead_ns: i64,
    /// The truth is at most so far from that.
    pub(crate) bound_ns: i64,
}

/// How exact the times of spans are, in nanoseconds: a server ends its span some time after the
/// client has the answer.
pub(crate) const GRAIN_NS: i64 = 1_000_000;

/// How exact they are where spans start on whole milliseconds, as those of Node's SDK do.
pub(crate) const WHOLE_MILLISECONDS_GRAIN_NS: i64 = 2_000_000;

/// The generator's clock among the resources.
pub(crate) const GENERATOR: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Best {
    delay: i64,
    offset: i64,
    exchanges: u64,
}

/// Exchanges between any two resources.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Exchanges {
    best: HashMap<(u32, u32), Best>,
}

impl Exchanges {
    /// Takes an exchange into account. `grain` is that of both clocks together: some SDKs start
    /// spans on whole milliseconds, so a way can seem to take less than no time.
    pub(crate) fn observe(&mut self, client: u32, server: u32, exchange: Exchange, grain: i64) {
        let Exchange {
            client_start,
            server_start,
            server_end,
            client_end,
        } = exchange;
        let there = i128::from(server_start) - i128::from(client_start);
        let back = i128::from(server_end) - i128::from(client_end);
        let delay = there - back;
        // A client that gave up before the server had ended has no T4.
        let (Ok(delay), Ok(offset)) = (i64::try_from(delay), i64::try_from((there + back) / 2))
        else {
            return;
        };
        if delay < -grain {
            return;
        }
        let sample = Best {
            delay: delay.max(0),
            offset,
            exchanges: 1,
        };
        self.add((client, server), sample);
    }

    /// Adds those of others, whose resources have these numbers here.
    pub(crate) fn merge(&mut self, others: Self, numbers: &[u32]) {
        let here = |resource: u32| match resource {
            GENERATOR => Some(GENERATOR),
            resource => numbers.get(resource as usize).copied(),
        };
        for ((client, server), best) in others.best {
            let (Some(client), Some(server)) = (here(client), here(server)) else {
                continue;
            };
            self.add((client, server), best);
        }
    }

    fn add(&mut self, exchange: (u32, u32), sample: Best) {
        self.best
            .entry(exchange)
            .and_modify(|held| {
                let exchanges = held.exchanges + sample.exchanges;
                // The smaller offset among equals, so that the order of the input does not matter.
                if (sample.delay, sample.offset) < (held.delay, held.offset) {
                    *held = sample;
                }
                held.exchanges = exchanges;
            })
            .or_insert(sample);
    }

    /// How far each resource's clock is ahead of that of `reference`, along the chain of exchanges
    /// with the least bound. Resources that no chain leads to are not in it.
    pub(crate) fn offsets(
        &self,
        reference: u32,
        grain: impl Fn(u32) -> i64,
    ) -> HashMap<u32, Offset> {
        let mut edges: HashMap<u32, Vec<(u32, Offset)>> = HashMap::new();
        for (&(client, server), best) in &self.best {
            let bound_ns = best.delay / 2 + grain(client).max(grain(server));
            let ahead_ns = best.offset;
            let add = |edges: &mut HashMap<u32, Vec<_>>, from, to, ahead_ns| {
                let offset = Offset { ahead_ns, bound_ns };
                edges.entry(from).or_default().push((to, offset));
            };
            add(&mut edges, client, server, ahead_ns);
            add(&mut edges, server, client, -ahead_ns);
        }
        // Dijkstra over a handful of resources.
        let zero = Offset {
            ahead_ns: 0,
            bound_ns: 0,
        };
        let mut open = HashMap::from([(reference, zero)]);
        let mut done = HashMap::new();
        while let Some((&at, &offset)) = open.iter().min_by_key(|(at, o)| (o.bound_ns, **at)) {
            open.remove(&at);
            done.insert(at, offset);
            for &(next, step) in edges.get(&at).into_iter().flatten() {
                if done.contains_key(&next) {
                    continue;
                }
                let reached = Offset {
                    ahead_ns: offset.ahead_ns.saturating_add(step.ahead_ns),
                    bound_ns: offset.bound_ns.saturating_add(step.bound_ns),
                };
                let held = open.entry(next).or_insert(reached);
                if (reached.bound_ns, reached.ahead_ns) < (held.bound_ns, held.ahead_ns) {
                    *held = reached;
                }
            }
        }
        done
    }

    /// Number of exchanges that a resource took part in.
    pub(crate) fn exchanges_of(&self, resource: u32) -> u64 {
        let of = self
            .best
            .iter()
            .filter(|((a, b), _)| *a == resource || *b == resource);
        of.map(|(_, best)| best.exchanges).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exchange(skew: i64, there: i64, work: i64, back: i64) -> Exchange {
        Exchange {
            client_start: 1_000_000,
            server_start: 1_000_000 + there + skew,
            server_end: 1_000_000 + there + work + skew,
            client_end: 1_000_000 + there + work + back,
        }
    }

    proptest! {
        #[test]
        fn the_true_offset_is_within_the_bound_over_a_chain(
            skews in prop::array::uniform2(-3_000_000_000i64..3_000_000_000),
            ways in prop::collection::vec((0i64..50_000_000, 0i64..1_000_000_000, 0i64..50_000_000), 1..20),
        ) {
            let mut exchanges = Exchanges::default();
            for &(there, work, back) in &ways {
                exchanges.observe(GENERATOR, 0, exchange(skews[0], there, work, back), 0);
                exchanges.observe(0, 1, exchange(skews[1] - skews[0], back, work, there), 0);
            }
            let offsets = exchanges.offsets(GENERATOR, |_| 0);
            for (resource, skew) in skews.iter().enumerate() {
                let offset = offsets[&(resource as u32)];
                // Halves are rounded, once a step.
                prop_assert!((offset.ahead_ns - skew).abs() <= offset.bound_ns + 2, "{offset:?} {skew}");
            }
        }
    }

    #[test]
    fn a_client_that_gave_up_says_nothing_and_strangers_have_no_offset() {
        let mut exchanges = Exchanges::default();
        let gave_up = Exchange {
            client_end: 1_000_100,
            ..exchange(0, 10, 500_000, 10)
        };
        exchanges.observe(GENERATOR, 0, gave_up, 1000);
        assert!(!exchanges.offsets(GENERATOR, |_| 0).contains_key(&0));
        assert_eq!(exchanges.exchanges_of(0), 0);
    }
}
