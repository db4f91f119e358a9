//! Whose a fault is, and until when it stays: pure, on moments that are handed in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// What can be owned: a toxic of a proxy, or that the proxy is down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) proxy: String,
    /// None: that the proxy is down.
    pub(crate) toxic: Option<String>,
}

impl Target {
    pub(crate) fn toxic(proxy: &str, toxic: &str) -> Self {
        Self {
            proxy: proxy.to_owned(),
            toxic: Some(toxic.to_owned()),
        }
    }

    pub(crate) fn down(proxy: &str) -> Self {
        Self {
            proxy: proxy.to_owned(),
            toxic: None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.toxic {
            Some(toxic) => write!(f, "the toxic `{toxic}` of `{}`", self.proxy),
            None => write!(f, "the outage of `{}`", self.proxy),
        }
    }
}

/// Whose something is, and for how long after each renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Empty: nobody's.
    pub(crate) owner: String,
    /// None: until it is taken away.
    pub(crate) lasts: Option<Duration>,
}

#[derive(Debug)]
struct Lease {
    claim: Claim,
    ends: Option<Instant>,
}

impl Lease {
    fn new(claim: Claim, now: Instant) -> Self {
        let ends = claim.lasts.map(|lasts| now + lasts);
        Self { claim, ends }
    }
}

/// All claims that are in force.
#[derive(Debug, Default)]
pub(crate) struct LeaseBook(BTreeMap<Target, Lease>);

impl LeaseBook {
    /// Enters a claim, or puts it in the place of the one that is there.
    pub(crate) fn enter(&mut self, target: Target, claim: Claim, now: Instant) {
        self.0.insert(target, Lease::new(claim, now));
    }

    pub(crate) fn claim(&self, target: &Target) -> Option<&Claim> {
        self.0.get(target).map(|lease| &lease.claim)
    }

    pub(crate) fn strike(&mut self, target: &Target) {
        self.0.remove(target);
    }

    /// Forgets everything about a proxy.
    pub(crate) fn strike_proxy(&mut self, proxy: &str) {
        self.0.retain(|target, _| target.proxy != proxy);
    }

    /// Begins all leases of an owner anew; says how many claims the owner has.
    pub(crate) fn renew(&mut self, owner: &str, now: Instant) -> usize {
        let mut renewed = 0;
        for lease in self
            .0
            .values_mut()
            .filter(|lease| lease.claim.owner == owner)
        {
            *lease = Lease::new(lease.claim.clone(), now);
            renewed += 1;
        }
        renewed
    }

    pub(crate) fn of(&self, owner: &str) -> Vec<Target> {
        let own = self
            .0
            .iter()
            .filter(|(_, lease)| lease.claim.owner == owner);
        own.map(|(target, _)| target.clone()).collect()
    }

    /// What has come to its end.
    pub(crate) fn over(&self, now: Instant) -> Vec<Target> {
        let is_over = |lease: &Lease| lease.ends.is_some_and(|ends| ends <= now);
        let over = self.0.iter().filter(|(_, lease)| is_over(lease));
        over.map(|(target, _)| target.clone()).collect()
    }

    /// When the next lease comes to its end.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.0.values().filter_map(|lease| lease.ends).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(owner: &str, seconds: Option<u64>) -> Claim {
        Claim {
            owner: owner.to_owned(),
            lasts: seconds.map(Duration::from_secs),
        }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_lease_ends_when_its_time_has_passed_since_the_last_renewal() {
        let begin = Instant::now();
        let mut book = LeaseBook::default();
        let (slow, down) = (Target::toxic("db", "slow"), Target::down("db"));
        book.enter(slow.clone(), claim("a", Some(10)), begin);
        book.enter(down.clone(), claim("b", Some(5)), begin);
        book.enter(Target::toxic("db", "for good"), claim("a", None), begin);
        assert_eq!(book.next_end(), Some(begin + seconds(5)));
        assert_eq!(book.over(begin + seconds(4)), []);
        assert_eq!(book.over(begin + seconds(5)), std::slice::from_ref(&down));

        assert_eq!(book.renew("b", begin + seconds(4)), 1);
        assert_eq!(book.over(begin + seconds(8)), []);
        assert_eq!(book.over(begin + seconds(9)), std::slice::from_ref(&down));
        assert_eq!(book.over(begin + seconds(10)).len(), 2);
        assert_eq!(book.renew("a", begin + seconds(9)), 2);
        assert_eq!(book.over(begin + seconds(18)), std::slice::from_ref(&down));
        book.strike(&down);
        assert_eq!(book.next_end(), Some(begin + seconds(19)));
        book.strike(&slow);
        assert_eq!(book.next_end(), None);
        assert_eq!(book.over(begin + seconds(1_000)), []);
    }

    #[test]
    fn owners_are_told_apart() {
        let now = Instant::now();
        let mut book = LeaseBook::default();
        for proxy in ["cart", "db"] {
            book.enter(Target::toxic(proxy, "slow"), claim("a", Some(1)), now);
            book.enter(Target::down(proxy), claim("b", Some(1)), now);
        }
        assert_eq!(
            book.of("a"),
            ["cart", "db"].map(|p| Target::toxic(p, "slow"))
        );
        assert_eq!(book.renew("nobody", now), 0);
        assert_eq!(book.claim(&Target::down("db")), Some(&claim("b", Some(1))));
        book.strike_proxy("db");
        assert_eq!(book.of("a"), [Target::toxic("cart", "slow")]);
        assert_eq!(book.of("b"), [Target::down("cart")]);
    }

    #[test]
    fn a_new_claim_takes_the_place_of_the_old_one() {
        let now = Instant::now();
        let mut book = LeaseBook::default();
        let target = Target::toxic("db", "slow");
        book.enter(target.clone(), claim("a", Some(1)), now);
        book.enter(target.clone(), claim("a", Some(60)), now);
        assert_eq!(book.next_end(), Some(now + seconds(60)));
        assert_eq!(book.of("a"), [target]);
    }
}
