//! From buckets to scores.

use std::collections::VecDeque;

use loadgen_extract::live::{BUCKET_NS, LiveBucket};
use serde::Serialize;

use crate::contract::{Contract, Place};

/// What gives a score to the values of some buckets.
pub trait Score {
    /// Why there is none.
    type Error;

    /// The score of a contract's history, the latest bucket last; higher is more anomalous.
    ///
    /// # Errors
    /// When the model has none for it.
    fn score(&mut self, input: &[f32]) -> Result<f64, Self::Error>;
}

/// A bucket with its score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scored {
    /// When the bucket begins, Unix nanoseconds.
    pub start_time_ns: i64,
    /// How anomalous it is; higher is more.
    pub score: f64,
    /// The score is above the threshold.
    pub alert: bool,
}

impl Scored {
    /// When the bucket is over, Unix nanoseconds.
    pub fn end_time_ns(&self) -> i64 {
        self.start_time_ns + BUCKET_NS
    }
}

/// Gives scores to buckets, one after the other.
#[derive(Debug)]
pub struct Detector<M> {
    model: M,
    places: Vec<Place>,
    threshold: f64,
    history: usize,
    /// Values of the last buckets.
    buckets: VecDeque<Vec<f32>>,
}

impl<M: Score> Detector<M> {
    /// With a model and what it takes.
    pub fn new(model: M, contract: &Contract) -> Self {
        Self {
            model,
            places: contract.places(),
            threshold: contract.threshold,
            history: contract.history,
            buckets: VecDeque::new(),
        }
    }

    /// The score of the next bucket. Before the first there was nothing else than in it.
    ///
    /// # Errors
    /// When the model has none.
    pub fn score(&mut self, bucket: &LiveBucket) -> Result<Scored, M::Error> {
        let values: Vec<f32> = self.places.iter().map(|of| of.value(bucket)).collect();
        if self.buckets.is_empty() {
            self.buckets.resize(self.history - 1, values.clone());
        }
        self.buckets.push_back(values);
        while self.buckets.len() > self.history {
            self.buckets.pop_front();
        }
        let input: Vec<f32> = self.buckets.iter().flatten().copied().collect();
        let score = self.model.score(&input)?;
        Ok(Scored {
            start_time_ns: bucket.start_ns,
            score,
            alert: score > self.threshold,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use loadgen_extract::live::columns;

    /// Its score is the digits of what it was given.
    struct Digits;

    impl Score for Digits {
        type Error = Infallible;

        fn score(&mut self, input: &[f32]) -> Result<f64, Infallible> {
            Ok(input
                .iter()
                .fold(0.0, |sum, digit| 10.0 * sum + f64::from(*digit)))
        }
    }

    fn bucket(start_ns: i64, errors: Option<f64>) -> LiveBucket {
        let at = columns().iter().position(|name| *name == "log_error");
        let mut values = vec![Some(9.0); columns().len()];
        values[at.expect("a column")] = errors;
        LiveBucket {
            start_ns,
            services: BTreeMap::from([("web".to_owned(), values)]),
        }
    }

    #[test]
    fn a_model_is_given_its_features_of_the_last_buckets_with_nulls_filled() {
        let text = r#"{"version": 1, "bucket_seconds": 5, "history": 2, "threshold": 3000, "features": [
            {"name": "web.log_error", "fill": 7}, {"name": "other.log_error", "fill": 1}]}"#;
        let contract: Contract = serde_json::from_str(text).expect("a contract");
        let mut detector = Detector::new(Digits, &contract);
        let mut score = |errors| {
            let Ok(scored) = detector.score(&bucket(5, errors));
            (scored.score, scored.alert)
        };
        assert_eq!(score(Some(2.0)), (2121.0, false));
        assert_eq!(score(Some(3.0)), (2131.0, false));
        assert_eq!(score(None), (3171.0, true));
    }
}
