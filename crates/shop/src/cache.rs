//! An in-memory cache with a capacity and a time to live, with a span and a count for each lookup.
//!
//! It is a plain least-recently-used cache: a flood of new keys evicts what is useful, which is
//! what a miss storm is about. Caches that resist a scan would hide the fault.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};

use crate::fault::dial::Dial;
use crate::record::Effect;
use crate::telemetry::Telemetry;
use loadgen_shop_api::ShopFault;

/// New keys that push into the cache at each lookup of a full storm, for each entry of capacity.
const FLOOD: f64 = 0.25;

/// A cache, as far as faults act on it.
pub(crate) trait Storm: Send + Sync {
    /// Begins, changes (0 to 1) or ends (0) the storm.
    fn storm(&self, level: f64);

    /// Takes everything out, as where a process has just started.
    fn empty(&self);
}

/// A cache from text keys to values.
pub(crate) struct Cache<V> {
    name: &'static str,
    entries: Mutex<LruCache<String, Entry<V>>>,
    time_to_live: Duration,
    telemetry: Arc<Telemetry>,
    storm: Dial,
    exploded: AtomicU64,
}

struct Entry<V> {
    since: Instant,
    value: V,
}

impl<V: Clone + Default + Send + 'static> Cache<V> {
    /// A cache of `capacity` entries, each of which is good for `time_to_live`.
    pub(crate) fn new(
        telemetry: Arc<Telemetry>,
        name: &'static str,
        capacity: NonZeroUsize,
        time_to_live: Duration,
    ) -> Arc<Self> {
        let cache = Arc::new(Cache {
            name,
            entries: Mutex::new(LruCache::new(capacity)),
            time_to_live,
            telemetry,
            storm: Dial::default(),
            exploded: AtomicU64::new(0),
        });
        let observed = Arc::downgrade(&cache);
        let attributes = [KeyValue::new("cache.name", name)];
        let _size = cache
            .telemetry
            .instruments
            .meter
            .i64_observable_up_down_counter("cache.size")
            .with_unit("{entry}")
            .with_description("Entries in the cache.")
            .with_callback(move |observer| {
                if let Some(cache) = observed.upgrade() {
                    let size = i64::try_from(cache.entries().len()).unwrap_or(i64::MAX);
                    observer.observe(size, &attributes);
                }
            })
            .build();
        cache
    }

    /// The value of a key, where the cache has one that is still good, and the key under which a
    /// value is to be stored otherwise.
    pub(crate) fn lookup(&self, cx: &Context, key: &str) -> Lookup<V> {
        let span = self.telemetry.start(
            cx,
            SpanKind::Internal,
            format!("cache.get {}", self.name),
            vec![KeyValue::new("cache.name", self.name)],
        );
        let since = Instant::now();
        let storm = self.storm.level() > 0.0;
        let key = self.key(key);
        let found = self.get(&key);
        let hit = found.is_some();
        if storm {
            let effect = if hit { Effect::Delayed } else { Effect::Missed };
            let (fault, took) = (ShopFault::CacheMissStorm, Some(since.elapsed()));
            self.telemetry
                .record
                .touch(fault, effect, span.context(), took);
        }
        span.set(KeyValue::new("cache.hit", hit));
        span.end();
        self.telemetry.instruments.cache_requests.add(
            1,
            &[
                KeyValue::new("cache.name", self.name),
                KeyValue::new("cache.result", if hit { "hit" } else { "miss" }),
            ],
        );
        match found {
            Some(value) => Lookup::Hit(value),
            None => Lookup::Miss(key),
        }
    }

    /// Stores a value under the key of a [`Lookup::Miss`].
    pub(crate) fn store(&self, key: String, value: V) {
        self.entries().put(
            key,
            Entry {
                since: Instant::now(),
                value,
            },
        );
    }

    /// In a storm, a part that differs each time has got into the key, and keys of the same kind
    /// from elsewhere fill the cache.
    fn key(&self, key: &str) -> String {
        let level = self.storm.level();
        if level == 0.0 {
            return key.to_owned();
        }
        let flood = (self.entries().cap().get() as f64 * FLOOD * level) as u64;
        for _ in 0..flood {
            self.store(self.explode(key), V::default());
        }
        if self.storm.strikes() {
            self.explode(key)
        } else {
            key.to_owned()
        }
    }

    fn explode(&self, key: &str) -> String {
        format!(
            "{key}?session={}",
            self.exploded.fetch_add(1, Ordering::Relaxed)
        )
    }

    fn get(&self, key: &str) -> Option<V> {
        let mut entries = self.entries();
        let entry = entries.get(key)?;
        if entry.since.elapsed() < self.time_to_live {
            return Some(entry.value.clone());
        }
        entries.pop(key);
        None
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, LruCache<String, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a lookup found.
pub(crate) enum Lookup<V> {
    /// The value.
    Hit(V),
    /// Nothing, and where to store what was looked for.
    Miss(String),
}

impl<V: Clone + Default + Send + 'static> Storm for Cache<V> {
    fn storm(&self, level: f64) {
        self.storm.set(level);
    }

    fn empty(&self) {
        self.entries().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_shop_api::Service;

    fn cache(capacity: usize, time_to_live: Duration) -> Arc<Cache<u32>> {
        let record = crate::record::Record::default();
        let telemetry =
            Telemetry::new(Service::Catalogue, None, record).expect("no exporter, no error");
        let capacity = NonZeroUsize::new(capacity).expect("not zero");
        Cache::new(telemetry, "test", capacity, time_to_live)
    }

    /// Reads through; true for a hit.
    fn read(cache: &Cache<u32>, key: &str) -> bool {
        match cache.lookup(&Context::new(), key) {
            Lookup::Hit(_) => true,
            Lookup::Miss(key) => {
                cache.store(key, 1);
                false
            }
        }
    }

    #[test]
    fn the_least_recently_used_entry_goes() {
        let cache = cache(2, Duration::from_secs(60));
        assert!(!read(&cache, "a"));
        assert!(!read(&cache, "b"));
        assert!(read(&cache, "a"));
        assert!(!read(&cache, "c"));
        assert!(read(&cache, "a"));
        assert!(!read(&cache, "b"));
    }

    #[test]
    fn an_entry_is_good_for_its_time_only() {
        let cache = cache(2, Duration::ZERO);
        assert!(!read(&cache, "a"));
        assert!(!read(&cache, "a"));
    }

    #[test]
    fn an_empty_cache_fills_again() {
        let cache = cache(2, Duration::from_secs(60));
        assert_eq!([read(&cache, "a"), read(&cache, "a")], [false, true]);
        cache.empty();
        assert_eq!([read(&cache, "a"), read(&cache, "a")], [false, true]);
    }

    #[test]
    fn a_storm_misses_and_evicts_and_its_end_lets_the_cache_fill_again() {
        let cache = cache(16, Duration::from_secs(60));
        let keys = ["a", "b", "c", "d"];
        let hits = |rounds: usize| {
            (0..rounds)
                .flat_map(|_| keys)
                .filter(|key| read(&cache, key))
                .count()
        };
        assert_eq!(hits(10), 36);
        cache.storm(0.8);
        assert!(hits(100) < 100, "a quarter of 400 at most");
        assert_eq!(cache.entries().len(), 16);
        cache.storm(0.0);
        hits(1);
        assert_eq!(hits(10), 40);
    }
}
