//! One iteration of a scenario, without I/O: which flow it takes, what each request is, what is
//! captured from each answer, and how long each pause lasts. Everything follows from the plan,
//! the seed, the iteration's number and the answers.
//!
//! An engine goes through the steps in order:
//!
//! ```
//! # use loadgen_scenario::{Iteration, Plan, Prng, StepRequest};
//! # fn drive(plan: &Plan) {
//! let scenario = &plan.scenarios[0];
//! let prng = Prng::new(plan.seed, &scenario.name);
//! let mut iteration = Iteration::new(plan, scenario, prng, 0);
//! for step in 0..iteration.step_count() {
//!     match iteration.request(step) {
//!         // The draw said so: no request, no pause.
//!         StepRequest::Skip => continue,
//!         // An earlier answer did not hold what this step needs: counts as a failure.
//!         StepRequest::Missing { .. } => {}
//!         StepRequest::Send(request) => {
//!             // Send `request`; where its answer is as expected, read what the step captures.
//!             # let _ = request;
//!             let _ = iteration.capture(step, b"{}");
//!         }
//!     }
//!     // Pause for `iteration.think_time_ns(step)`.
//! }
//! // Pause for `iteration.wait_time_ns()`.
//! # }
//! ```

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::Value;

use crate::clients::{CELL_KEY, cell};
use crate::plan::{Choice, Draw, Flow, Plan, PlannedScenario, Round, Step, ThinkTime};
use crate::prng::{FLOW_SITE, MAX_INDEX, Prng};
use crate::render::{self, Held};

/// One run through a flow. Borrows the plan, which is `Send + Sync` and may be shared in an `Arc`.
#[derive(Debug, Clone)]
pub struct Iteration<'p> {
    prng: Prng,
    number: u64,
    flow: usize,
    steps: &'p Flow,
    values: Vec<Option<Held<'p>>>,
    /// The cell of its client, where requests say it.
    cell: Option<String>,
    flags: &'p [AtomicU64],
}

/// What a step comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRequest<'p> {
    /// The draw, or the number of rounds, said to leave the step out. No pause follows.
    Skip,
    /// A variable that the step needs was not captured, or lacks what the step needs from it.
    /// The step fails without a request; its pause follows.
    Missing {
        /// The variable's name.
        variable: &'p str,
    },
    /// A request to send.
    Send(Request<'p>),
}

/// A request, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'p> {
    /// HTTP method, upper case.
    pub method: &'p str,
    /// Path with query, begins with `/`; values are percent-encoded. Borrowed where nothing was
    /// put in. Where a captured value is `.` or `..` and fills a segment, the path must not be
    /// sent: it would lead elsewhere once the URL is normalised.
    pub path: Cow<'p, str>,
    /// Headers of the step: names in lower case, values without control characters.
    pub headers: Vec<(&'p str, Cow<'p, str>)>,
    /// Members of `baggage` beside those of the engine: keys, and values as they are before they
    /// are percent-encoded.
    pub baggage: Vec<(&'p str, Cow<'p, str>)>,
    /// JSON body in UTF-8; where there is one, and the headers name no `content-type`, it is
    /// `application/json`.
    pub body: Option<Vec<u8>>,
}

/// Why an answer did not give what a step captures. The variable is left unset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The answer is not JSON.
    #[error("the answer is not JSON ({reason}), so `{variable}` cannot be captured from it")]
    NotJson {
        /// The first variable of the step.
        variable: String,
        /// What the JSON parser says.
        reason: String,
    },
    /// The pointer leads nowhere.
    #[error("the answer has nothing at {pointer:?}, where `{variable}` is to be captured")]
    NotFound {
        /// The variable.
        variable: String,
        /// JSON Pointer of the capture.
        pointer: String,
    },
    /// A random element is wanted of something that is not an array, or of an empty one.
    #[error(
        "the answer has no array with elements at {pointer:?}, from which `{variable}` takes one"
    )]
    NoElements {
        /// The variable.
        variable: String,
        /// JSON Pointer of the capture.
        pointer: String,
    },
}

impl<'p> Iteration<'p> {
    /// Iteration `number` (from 0, in order of start within the scenario); chooses its flow.
    ///
    /// `scenario` is one of `plan.scenarios`, `prng` that of the plan's seed and the scenario's
    /// name. Flow indices are those of a plan that was made by this crate.
    pub fn new(plan: &'p Plan, scenario: &'p PlannedScenario, prng: Prng, number: u64) -> Self {
        let flow = choose_flow(scenario, prng, number);
        let steps = &plan.flows[flow];
        let values = vec![None; steps.variables.len()];
        Self {
            prng,
            number,
            flow,
            steps,
            values,
            cell: plan.client_cells.then(|| cell(prng, number).to_string()),
            flags: &[],
        }
    }

    /// The same, with what the plan's flags say, by their indices; read when a variable is drawn
    /// from one. A flag that is not there says 0.
    #[must_use]
    pub fn with_flags(mut self, flags: &'p [AtomicU64]) -> Self {
        self.flags = flags;
        self
    }

    /// Index of the chosen flow in [`Plan::flows`].
    pub fn flow(&self) -> usize {
        self.flow
    }

    /// Number of steps of the chosen flow.
    pub fn step_count(&self) -> usize {
        self.steps.steps.len()
    }

    /// A step as planned. Panics where `step` is not below [`step_count`](Self::step_count).
    pub fn step(&self, step: usize) -> &'p Step {
        &self.steps.steps[step]
    }

    /// Makes the request of a step: draws its variables, decides whether it is taken, and fills
    /// in its templates. Steps must be asked for in order, each once.
    ///
    /// The variables that the step captures are unset until [`capture`](Self::capture) sets them,
    /// so a request that fails leaves no value of an earlier round behind.
    pub fn request(&mut self, step: usize) -> StepRequest<'p> {
        let planned = self.step(step);
        for draw in &planned.draws {
            self.draw(draw);
        }
        if !planned.rounds.iter().all(|round| self.is_taken(*round)) {
            return StepRequest::Skip;
        }
        if let Some(chance) = planned.probability
            && self.prng.unit(self.number, chance.site) >= chance.chance
        {
            return StepRequest::Skip;
        }
        let request = self.fill(planned);
        for capture in &planned.captures {
            self.set(capture.slot, None);
        }
        match request {
            Ok(request) => StepRequest::Send(request),
            Err(slot) => StepRequest::Missing {
                variable: self.steps.variables.get(slot).map_or("", String::as_str),
            },
        }
    }

    /// Reads what a step captures from the body of its answer. The body is parsed only where the
    /// step captures something.
    ///
    /// # Errors
    /// The first capture that misses. The others are made all the same.
    pub fn capture(&mut self, step: usize, body: &[u8]) -> Result<(), CaptureError> {
        let planned = self.step(step);
        let Some(first) = planned.captures.first() else {
            return Ok(());
        };
        let name = |slot: usize| self.steps.variables.get(slot).cloned().unwrap_or_default();
        let mut answer: Value =
            serde_json::from_slice(body).map_err(|error| CaptureError::NotJson {
                variable: name(first.slot),
                reason: error.to_string(),
            })?;
        let mut missed = None;
        let last = planned.captures.len() - 1;
        for (index, capture) in planned.captures.iter().enumerate() {
            let found = answer.pointer_mut(&capture.pointer);
            let value = match (capture.random_element, found) {
                // The last capture may take its value out of the answer.
                (None, Some(value)) if index == last => Ok(value.take()),
                (None, Some(value)) => Ok(value.clone()),
                (None, None) => Err(CaptureError::NotFound {
                    variable: name(capture.slot),
                    pointer: capture.pointer.clone(),
                }),
                (Some(site), Some(Value::Array(list))) if !list.is_empty() => {
                    let count = u32::try_from(list.len()).unwrap_or(MAX_INDEX);
                    Ok(list[self.prng.index(self.number, site, count) as usize].clone())
                }
                (Some(_), _) => Err(CaptureError::NoElements {
                    variable: name(capture.slot),
                    pointer: capture.pointer.clone(),
                }),
            };
            match value {
                Ok(value) => self.set(capture.slot, Some(Held::Own(value))),
                Err(error) => missed = missed.or(Some(error)),
            }
        }
        missed.map_or(Ok(()), Err)
    }

    /// The pause after a step, in nanoseconds. Not taken after a step that was skipped.
    pub fn think_time_ns(&self, step: usize) -> u64 {
        self.pause_ns(self.step(step).think_time)
    }

    /// The pause at the end of the iteration, in nanoseconds.
    pub fn wait_time_ns(&self) -> u64 {
        self.pause_ns(self.steps.wait_time)
    }

    fn pause_ns(&self, pause: Option<ThinkTime>) -> u64 {
        let Some(think) = pause else {
            return 0;
        };
        if think.max_ns <= think.min_ns {
            return think.min_ns;
        }
        let (low, high) = (clamp_to_i64(think.min_ns), clamp_to_i64(think.max_ns));
        self.prng
            .range(self.number, think.site, low, high)
            .unsigned_abs()
    }

    /// Whether a round of a repeat is taken: the variable is a number above it.
    fn is_taken(&self, round: Round) -> bool {
        let value = self.values.get(round.slot).and_then(Option::as_ref);
        let rounds = value.and_then(|held| held.value().as_f64());
        rounds.is_some_and(|rounds| rounds > f64::from(round.round))
    }

    fn draw(&mut self, draw: &'p Draw) {
        let held = match &draw.choice {
            Choice::Pick(list) => {
                let count = u32::try_from(list.len()).unwrap_or(MAX_INDEX);
                list.get(self.prng.index(self.number, draw.site, count) as usize)
                    .map(Held::Ref)
            }
            Choice::Range(low, high) => Some(Held::Own(
                self.prng.range(self.number, draw.site, *low, *high).into(),
            )),
            Choice::Hex(digits) => Some(Held::Own(
                self.prng.hex(self.number, draw.site, *digits).into(),
            )),
            Choice::Uuid(_) => Some(Held::Own(self.prng.uuid(self.number, draw.site).into())),
            Choice::Flag(flag) => {
                let value = self.flags.get(*flag).map_or(0, |flag| flag.load(Relaxed));
                Some(Held::Own(value.into()))
            }
        };
        self.set(draw.slot, held);
    }

    fn set(&mut self, slot: usize, held: Option<Held<'p>>) {
        if let Some(place) = self.values.get_mut(slot) {
            *place = held;
        }
    }

    /// The request of a step, or the slot of the variable that it lacks.
    fn fill(&self, step: &'p Step) -> Result<Request<'p>, usize> {
        let path = render::path(&step.path, &self.values)?;
        let mut headers = Vec::with_capacity(step.headers.len());
        for (name, template) in &step.headers {
            headers.push((name.as_str(), render::header(template, &self.values)?));
        }
        let mut baggage = Vec::with_capacity(step.baggage.len() + 1);
        if let Some(cell) = &self.cell {
            baggage.push((CELL_KEY, Cow::Owned(cell.clone())));
        }
        for (key, template) in &step.baggage {
            baggage.push((key.as_str(), render::header(template, &self.values)?));
        }
        let body = match &step.json {
            Some(template) => Some(render::json(template, &self.values)?),
            None => None,
        };
        Ok(Request {
            method: &step.method,
            path,
            headers,
            baggage,
            body,
        })
    }
}

fn choose_flow(scenario: &PlannedScenario, prng: Prng, number: u64) -> usize {
    let Some((last, _)) = scenario.exec.split_last() else {
        return 0;
    };
    if scenario.exec.len() == 1 {
        return last.flow;
    }
    let weights = scenario.exec.iter().map(|choice| choice.weight);
    let total = weights.fold(0, u32::saturating_add);
    let mut left = prng.index(number, FLOW_SITE, total);
    for choice in &scenario.exec {
        if left < choice.weight {
            return choice.flow;
        }
        left -= choice.weight;
    }
    last.flow
}

fn clamp_to_i64(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "iteration_tests.rs"]
mod tests;
