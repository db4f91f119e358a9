//! What has to be known of a model beside its graph: `model.json`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use loadgen_extract::live::{BUCKET_NS, LiveBucket, columns};
use serde::Deserialize;

/// The version of the form.
const VERSION: u32 = 1;

/// Longest history, in buckets: an hour.
const MOST_HISTORY: usize = 720;

/// Why a contract is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// It can't be read.
    #[error(
        "can't read {}, which says what the model takes (docs/detect.md): {reason}", path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It asks for what there is not.
    #[error("{}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a model takes, and when its score is an alert.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The version of this form: 1.
    pub version: u32,
    /// Length of a bucket: 5.
    pub bucket_seconds: u32,
    /// So many buckets, the latest last, are one input; 1 if it is not said.
    #[serde(default = "one")]
    pub history: usize,
    /// What the model takes of a bucket, in its order.
    pub features: Vec<Feature>,
    /// A score above it is an alert.
    pub threshold: f64,
}

fn one() -> usize {
    1
}

/// One value of a bucket.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// `<service>.<column>`, the column as in `windows_features_5s`.
    pub name: String,
    /// What stands for null, and for a service of which nothing is known.
    pub fill: f64,
}

impl Contract {
    /// Reads and checks one.
    ///
    /// # Errors
    /// When it can't be read, or asks for what there is not.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let cannot = |reason: String| ContractError::Read {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|e| cannot(e.to_string()))?;
        let contract: Self = serde_json::from_slice(&bytes).map_err(|e| cannot(e.to_string()))?;
        contract.check().map_err(|reason| ContractError::Wrong {
            path: path.to_owned(),
            reason,
        })?;
        Ok(contract)
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "version {} is not known; this loadgen reads version {VERSION}",
                self.version
            ));
        }
        if i64::from(self.bucket_seconds) * 1_000_000_000 != BUCKET_NS {
            return Err(format!(
                "buckets of {} s: there are those of {} s only",
                self.bucket_seconds,
                BUCKET_NS / 1_000_000_000
            ));
        }
        if !(1..=MOST_HISTORY).contains(&self.history) {
            let history = self.history;
            return Err(format!(
                "a history of {history} buckets: 1 to {MOST_HISTORY} can be"
            ));
        }
        if self.features.is_empty() {
            return Err("it names no features".to_owned());
        }
        let known = columns();
        let mut seen = HashSet::new();
        for Feature { name, fill } in &self.features {
            let column = name.rsplit_once('.').map(|(_, column)| column);
            if !column.is_some_and(|column| known.contains(&column)) {
                return Err(format!(
                    "{name} is no feature: write <service>.<column> with one of {}",
                    known.join(", ")
                ));
            }
            if !seen.insert(name) {
                return Err(format!("{name} is named twice"));
            }
            if !fill.is_finite() {
                return Err(format!("what stands for null in {name} is no number"));
            }
        }
        Ok(())
    }

    /// Where each feature is in a bucket.
    pub(crate) fn places(&self) -> Vec<Place> {
        let known = columns();
        let place = |feature: &Feature| {
            let (service, column) = feature.name.rsplit_once('.').unwrap_or_default();
            Place {
                service: service.to_owned(),
                column: known.iter().position(|name| *name == column),
                fill: feature.fill as f32,
            }
        };
        self.features.iter().map(place).collect()
    }
}

/// Where a feature is in a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    service: String,
    column: Option<usize>,
    fill: f32,
}

impl Place {
    pub(crate) fn value(&self, bucket: &LiveBucket) -> f32 {
        let values = bucket.services.get(&self.service);
        let value = values.and_then(|values| *values.get(self.column?)?);
        value.map_or(self.fill, |value| value as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(change: impl FnOnce(&mut Contract)) -> Result<(), String> {
        let feature = |name: &str| Feature {
            name: name.to_owned(),
            fill: 0.5,
        };
        let mut contract = Contract {
            version: 1,
            bucket_seconds: 5,
            history: 1,
            features: vec![feature("a.b.server_p95_ms"), feature("web.log_error")],
            threshold: 0.5,
        };
        change(&mut contract);
        contract.check()
    }

    #[test]
    fn a_contract_that_asks_for_what_there_is_not_is_refused_in_words() {
        assert_eq!(contract(|_| {}), Ok(()));
        let wrong = |change: fn(&mut Contract), words: &str| {
            let reason = contract(change).expect_err("refused");
            assert!(reason.contains(words), "{reason}");
        };
        wrong(|it| it.version = 2, "version 2");
        wrong(|it| it.bucket_seconds = 10, "10 s");
        wrong(|it| it.history = 0, "0 buckets");
        wrong(|it| it.features.clear(), "no features");
        wrong(
            |it| it.features[1].name = "web.label".into(),
            "server_p95_ms",
        );
        wrong(
            |it| it.features[1].name = "a.b.server_p95_ms".into(),
            "twice",
        );
        wrong(|it| it.features[0].fill = f64::NAN, "null");
    }
}
