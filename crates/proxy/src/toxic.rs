//! What a toxic is: its type with attributes, its direction, and how many connections it hits.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The types, as the API names them.
pub(crate) const TYPES: [&str; 7] = [
    "latency",
    "bandwidth",
    "slow_close",
    "timeout",
    "reset_peer",
    "slicer",
    "limit_data",
];

/// Which way data goes that a toxic acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    Downstream,
}

impl Stream {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Stream::Upstream => "upstream",
            Stream::Downstream => "downstream",
        }
    }
}

/// A toxic of a proxy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Toxic {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) kind: Kind,
    pub(crate) stream: Stream,
    /// Share of the connections that have it, 0 to 1.
    pub(crate) toxicity: f64,
}

impl Toxic {
    /// Whether the next connection has it.
    pub(crate) fn hits(&self) -> bool {
        // A number below 1, so that 1 always hits.
        rand::random::<f64>() < self.toxicity
    }
}

/// A type of toxic with its attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "attributes", rename_all = "snake_case")]
pub(crate) enum Kind {
    Latency(Latency),
    Bandwidth(Bandwidth),
    SlowClose(SlowClose),
    Timeout(Timeout),
    ResetPeer(ResetPeer),
    Slicer(Slicer),
    LimitData(LimitData),
}

impl Kind {
    /// Reads the attributes of a type that is one of [`TYPES`].
    ///
    /// # Errors
    /// Says which attribute is not there, or what is wrong with it.
    pub(crate) fn read(name: &str, attributes: Map<String, Value>) -> Result<Self, String> {
        let both = serde_json::json!({ "type": name, "attributes": attributes });
        let kind: Kind = serde_json::from_value(both).map_err(|error| error.to_string())?;
        match &kind {
            Kind::Slicer(slicer) if slicer.average_size == 0 => {
                Err("`average_size` must be at least 1 byte".to_owned())
            }
            _ => Ok(kind),
        }
    }

    /// The same with some attributes changed.
    ///
    /// # Errors
    /// As for [`Kind::read`].
    pub(crate) fn with(&self, changes: Map<String, Value>) -> Result<Self, String> {
        let both = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let name = both["type"].as_str().unwrap_or_default();
        let mut attributes = both["attributes"].as_object().cloned().unwrap_or_default();
        attributes.extend(changes);
        Self::read(name, attributes)
    }
}

/// Data comes later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Latency {
    /// ms
    pub(crate) latency: u64,
    /// ms, up or down
    pub(crate) jitter: u64,
}

impl Latency {
    /// The delay of one piece of data.
    pub(crate) fn draw(&self) -> Duration {
        let most = self.jitter.saturating_mul(2);
        let drawn = self.latency.saturating_add(rand::random_range(0..=most));
        Duration::from_millis(drawn.saturating_sub(self.jitter))
    }
}

/// Data comes at a rate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bandwidth {
    /// KB/s, which are bytes a ms; 0: nothing passes
    pub(crate) rate: u64,
}

/// The end comes later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SlowClose {
    /// ms
    pub(crate) delay: u64,
}

/// Data does not come at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Timeout {
    /// ms without data after which the connection is closed; 0: it stays open
    pub(crate) timeout: u64,
}

/// The first data resets the connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResetPeer {
    /// ms from the first data on
    pub(crate) timeout: u64,
}

/// Data comes in small pieces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slicer {
    /// bytes
    pub(crate) average_size: u64,
    /// bytes, up or down
    pub(crate) size_variation: u64,
    /// µs between two pieces
    pub(crate) delay: u64,
}

impl Slicer {
    /// The size of the next piece in bytes, at least 1.
    pub(crate) fn draw(&self) -> usize {
        let least = self.average_size.saturating_sub(self.size_variation);
        let most = self.average_size.saturating_add(self.size_variation);
        let drawn = rand::random_range(least..=most).max(1);
        usize::try_from(drawn).unwrap_or(usize::MAX)
    }
}

/// The connection is closed when so much has passed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitData {
    pub(crate) bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, attributes: Value) -> Result<Kind, String> {
        Kind::read(name, attributes.as_object().unwrap().clone())
    }

    #[test]
    fn each_type_is_read_and_written_as_the_api_has_it() {
        for name in TYPES {
            let attributes = match name {
                "slicer" => json!({"average_size": 1}),
                _ => json!({}),
            };
            let toxic = Toxic {
                name: "x".to_owned(),
                kind: read(name, attributes).unwrap(),
                stream: Stream::Upstream,
                toxicity: 0.5,
            };
            let written = serde_json::to_value(&toxic).unwrap();
            assert_eq!(written["type"], name);
            assert!(written["attributes"].is_object());
            assert_eq!(written["stream"], "upstream");
        }
        let latency = read("latency", json!({"latency": 100})).unwrap();
        let expected = Latency {
            latency: 100,
            jitter: 0,
        };
        assert_eq!(latency, Kind::Latency(expected));
    }

    #[test]
    fn what_a_type_has_not_is_refused_by_name() {
        let error = read("latency", json!({"latncy": 100})).unwrap_err();
        assert!(
            error.contains("latncy") && error.contains("jitter"),
            "{error}"
        );
        for (name, attributes) in [
            ("latency", json!({"latency": -1})),
            ("latency", json!({"latency": 1.5})),
            ("bandwidth", json!({"rate": "10"})),
            ("timeout", json!({"delay": 1})),
            ("slicer", json!({})),
        ] {
            assert!(
                read(name, attributes.clone()).is_err(),
                "{name} {attributes}"
            );
        }
    }

    #[test]
    fn a_change_leaves_the_other_attributes_as_they_are() {
        let before = read("latency", json!({"latency": 100, "jitter": 5})).unwrap();
        let changes = json!({"latency": 7}).as_object().unwrap().clone();
        let after = read("latency", json!({"latency": 7, "jitter": 5})).unwrap();
        assert_eq!(before.with(changes).unwrap(), after);
        let wrong = json!({"rate": 7}).as_object().unwrap().clone();
        assert!(before.with(wrong).is_err());
    }

    #[test]
    fn delays_and_sizes_are_drawn_around_their_middle() {
        let latency = Latency {
            latency: 100,
            jitter: 30,
        };
        let slicer = Slicer {
            average_size: 10,
            size_variation: 20,
            delay: 0,
        };
        for _ in 0..1_000 {
            let drawn = latency.draw().as_millis();
            assert!((70..=130).contains(&drawn), "{drawn}");
            let drawn = slicer.draw();
            assert!((1..=30).contains(&drawn), "{drawn}");
        }
        let huge = Latency {
            latency: u64::MAX,
            jitter: u64::MAX,
        };
        huge.draw();
    }

    #[test]
    fn toxicity_is_the_share_of_connections() {
        let with = |toxicity| Toxic {
            name: String::new(),
            kind: Kind::Timeout(Timeout::default()),
            stream: Stream::Upstream,
            toxicity,
        };
        let hits = |toxicity| (0..10_000).filter(|_| with(toxicity).hits()).count();
        assert_eq!(hits(0.0), 0);
        assert_eq!(hits(1.0), 10_000);
        assert!((2_000..4_000).contains(&hits(0.3)));
    }
}
