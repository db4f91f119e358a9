//! Which metrics say something about processor time or saturation. They are chosen by their names
//! alone, before anybody looks at their values: OpenTelemetry's semantic conventions of today and
//! of before, and what runtimes and pools call the same things.

use crate::sample::Series;

/// What a saturation figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saturation {
    /// Time that requests wait for a pooled connection, seconds a request.
    PoolWait,
    /// How many wait: for a connection, or in a queue.
    Waiting,
    /// Share of a cache's lookups that miss.
    CacheMisses,
    /// By how much a runtime's loop is late, seconds.
    LoopDelay,
}

/// Whether a lookup of a cache found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// It did.
    Hit,
    /// It did not.
    Miss,
}

/// Whether a metric of this name is used at all; others need not be handed over.
pub fn is_relevant(metric: &str) -> bool {
    cpu_preference(metric).is_some() || saturation(metric).is_some()
}

/// What processor time is read from. The first of these that a service has is used, and the others
/// are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cpu {
    /// The process's own, as the conventions call it.
    Process,
    /// Somebody else's name of the same thing.
    Other,
    /// Time in which Node's loop was at work: Node has nothing else by default.
    EventLoop,
    /// How much was used of a processor, or of all.
    Utilization,
}

impl Cpu {
    /// It is a level, not a sum.
    pub fn is_level(self) -> bool {
        self == Self::Utilization
    }
}

/// Whether a metric is processor time.
pub fn cpu_preference(metric: &str) -> Option<Cpu> {
    let name = metric.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    // Of the host, which is shared.
    if name.starts_with("system") {
        return None;
    }
    match name.as_str() {
        "process.cpu.time" => Some(Cpu::Process),
        _ if ends(&["cpu.time", "cpu_time", "cpu_seconds_total"]) => Some(Cpu::Other),
        "nodejs.eventloop.time" => Some(Cpu::EventLoop),
        _ if ends(&["cpu.utilization", "cpu.recent_utilization", "cpu.usage"]) => {
            Some(Cpu::Utilization)
        }
        _ => None,
    }
}

/// Whether a series of processor time is of time that was not spent.
pub(crate) fn is_idle(series: &Series) -> bool {
    is_idle_time(&series.attributes)
}

/// The same of a series by its attributes, as JSON.
pub fn is_idle_time(attributes: &str) -> bool {
    ["\"idle\"", "\"wait\"", "\"iowait\""]
        .iter()
        .any(|state| attributes.contains(state))
}

/// Whether a metric is a saturation figure, and which.
pub fn saturation(metric: &str) -> Option<Saturation> {
    let name = metric.to_ascii_lowercase();
    // How telemetry itself gets along says nothing about the service.
    if name.starts_with("otel.") || name.starts_with("otlp.") || !name.contains(['.', '_']) {
        return None;
    }
    let last = name.rsplit(['.', '_']).next().unwrap_or_default();
    let is_queue = name.contains("queue")
        && [
            "depth", "length", "size", "messages", "ready", "queued", "lag",
        ]
        .contains(&last);
    if name.contains("connection") && name.ends_with("wait_time") {
        Some(Saturation::PoolWait)
    } else if name.contains("pending") || is_queue || name.ends_with("consumer.lag") {
        Some(Saturation::Waiting)
    } else if name.contains("cache") && (last == "requests" || lookup_by_name(&name).is_some()) {
        Some(Saturation::CacheMisses)
    } else if name == "nodejs.eventloop.delay.mean" {
        Some(Saturation::LoopDelay)
    } else {
        None
    }
}

/// Which lookups a series of a cache counts: by its name, or by the value of an attribute.
pub(crate) fn lookup(series: &Series) -> Option<Lookup> {
    let says = |word: &str| series.attributes.contains(word);
    lookup_by_name(&series.metric).or_else(|| match (says("\"hit\""), says("\"miss\"")) {
        (true, false) => Some(Lookup::Hit),
        (false, true) => Some(Lookup::Miss),
        _ => None,
    })
}

/// Name under which the series of a saturation figure belong together.
pub(crate) fn figure_name(metric: &str) -> &str {
    match lookup_by_name(metric) {
        Some(_) if metric.contains("cache") => metric
            .rfind(['.', '_'])
            .map_or(metric, |end| &metric[..end]),
        _ => metric,
    }
}

fn lookup_by_name(metric: &str) -> Option<Lookup> {
    let last = metric.rsplit(['.', '_']).next().unwrap_or_default();
    match last.to_ascii_lowercase().as_str() {
        "hit" | "hits" => Some(Lookup::Hit),
        "miss" | "misses" => Some(Lookup::Miss),
        _ => None,
    }
}

/// Seconds in a unit of time; 1 for what is no time.
pub fn seconds_in(unit: &str) -> f64 {
    match unit {
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        "min" => 60.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_known_by_its_names() {
        for (name, preference) in [
            ("process.cpu.time", Some(Cpu::Process)),
            ("jvm.cpu.time", Some(Cpu::Other)),
            ("container.cpu.time", Some(Cpu::Other)),
            ("process.runtime.cpython.cpu_time", Some(Cpu::Other)),
            ("process_cpu_seconds_total", Some(Cpu::Other)),
            ("nodejs.eventloop.time", Some(Cpu::EventLoop)),
            ("process.cpu.utilization", Some(Cpu::Utilization)),
            ("jvm.cpu.recent_utilization", Some(Cpu::Utilization)),
            ("system.cpu.time", None),
            ("jvm.cpu.count", None),
        ] {
            assert_eq!(cpu_preference(name), preference, "{name}");
        }
    }

    #[test]
    fn saturation_is_known_by_its_names() {
        use Saturation::{CacheMisses, LoopDelay, PoolWait, Waiting};
        for (name, expected) in [
            ("db.client.connection.wait_time", Some(PoolWait)),
            ("db.client.connections.wait_time", Some(PoolWait)),
            ("db.client.connection.pending_requests", Some(Waiting)),
            ("hikaricp.connections.pending", Some(Waiting)),
            ("messaging.queue.depth", Some(Waiting)),
            ("kafka.consumer.lag", Some(Waiting)),
            ("rabbitmq_queue_messages", Some(Waiting)),
            ("cache.requests", Some(CacheMisses)),
            ("product_cache_misses", Some(CacheMisses)),
            ("nodejs.eventloop.delay.mean", Some(LoopDelay)),
            // Of the SDK's own exporter.
            ("queueSize", None),
            ("otel.sdk.processor.span.queue.size", None),
            ("db.client.connection.count", None),
            ("cache.size", None),
            ("http.server.active_requests", None),
        ] {
            assert_eq!(saturation(name), expected, "{name}");
        }
    }

    #[test]
    fn lookups_are_told_apart_by_name_or_attribute() {
        let series = |metric: &str, attributes: &str| Series {
            service: "catalogue".into(),
            metric: metric.into(),
            unit: "{request}".into(),
            attributes: attributes.into(),
        };
        let by_attribute = series("cache.requests", r#"{"cache.result":"miss"}"#);
        assert_eq!(lookup(&by_attribute), Some(Lookup::Miss));
        assert_eq!(lookup(&series("sku_cache_hits", "{}")), Some(Lookup::Hit));
        assert_eq!(lookup(&series("cache.requests", "{}")), None);
        assert_eq!(
            figure_name("sku_cache_hits"),
            figure_name("sku_cache_misses")
        );
        assert_eq!(figure_name("cache.requests"), "cache.requests");
    }
}
