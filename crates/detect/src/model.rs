//! An ONNX model, run by tract.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::contract::Contract;
use crate::detector::Score;

/// Why a model has no scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is no model that can be run.
    #[error("{} is no model that can be run: {reason}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It does not take what the contract says, or gives something else than a score.
    #[error("{} does not fit to its model.json: {reason}", path.display())]
    Fit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It failed.
    #[error("the model has no score: {0}")]
    Run(String),
}

/// A model with one input, float32 `[batch, features]` (`[batch, history, features]` where it takes
/// more than one bucket), and one output, a score for each of the batch.
#[derive(Debug)]
pub struct Model {
    plan: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
}

impl Model {
    /// Loads a model, checks that it fits to the contract, and tries it once.
    ///
    /// # Errors
    /// When it can't be run, or does not fit.
    pub fn load(path: &Path, contract: &Contract) -> Result<Self, ModelError> {
        let load = |error: TractError| ModelError::Load {
            path: path.to_owned(),
            reason: chain(&error),
        };
        let fit = |reason: String| ModelError::Fit {
            path: path.to_owned(),
            reason,
        };
        let model = tract_onnx::onnx().model_for_path(path).map_err(load)?;
        for (what, count) in [
            ("input", model.inputs.len()),
            ("output", model.outputs.len()),
        ] {
            if count != 1 {
                return Err(fit(format!("it has {count} {what}s, and one is needed")));
            }
        }
        let features = contract.features.len();
        let shape = match contract.history {
            1 => vec![1, features],
            history => vec![1, history, features],
        };
        let stated = model.input_fact(0).map_err(load)?;
        let takes = format!("{:?}", stated.shape);
        let ours = InferenceFact::dt_shape(f32::datum_type(), shape.clone());
        if stated.unify(&ours).is_err() {
            return Err(fit(format!(
                "it takes {takes} of {:?}, and the contract has {shape:?} of float32 (history and features)",
                stated.datum_type
            )));
        }
        let plan = model
            .with_input_fact(0, ours)
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable())
            .map_err(load)?;
        let mut model = Self { plan, shape };
        let zeros = vec![0.0; contract.history * features];
        model
            .score(&zeros)
            .map_err(|error| fit(error.to_string()))?;
        Ok(model)
    }
}

impl Score for Model {
    type Error = ModelError;

    fn score(&mut self, input: &[f32]) -> Result<f64, ModelError> {
        let failed = |error: TractError| ModelError::Run(chain(&error));
        let input = Tensor::from_shape(&self.shape, input).map_err(failed)?;
        let outputs = self.plan.run(tvec!(input.into())).map_err(failed)?;
        let scores = outputs[0].cast_to::<f32>().map_err(failed)?;
        let scores = scores.to_plain_array_view::<f32>().map_err(failed)?;
        let scores: Vec<f32> = scores.iter().copied().collect();
        match scores.as_slice() {
            [score] if score.is_finite() => Ok(f64::from(*score)),
            [score] => Err(ModelError::Run(format!("it gives {score}"))),
            scores => Err(ModelError::Run(format!(
                "it gives {} numbers for a bucket, and one is needed",
                scores.len()
            ))),
        }
    }
}

/// An error with what it came from, without a backtrace.
fn chain(error: &TractError) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}
