//! Flows and steps that a person's own script named, put into the plan of its run.

use std::collections::{HashMap, HashSet};

use loadgen_scenario::Plan;
use loadgen_scenario::plan::{Expect, Flow, Step, Template};

use super::line::Name;

/// Names that a person's own script gave its flows and steps.
#[derive(Debug, Default)]
pub(super) struct Names {
    flows: Vec<String>,
    steps: HashMap<String, Vec<String>>,
    seen: HashSet<(String, String)>,
}

impl Names {
    pub(super) fn note(&mut self, flow: &Name<'_>, step: &Name<'_>) {
        let Name::Text(step) = step else { return };
        // A flow by number keeps its number; the steps are added to it below.
        let flow = match flow {
            Name::Text(flow) => flow.to_string(),
            Name::Index(index) => format!("\0{index}"),
        };
        if !self.seen.insert((flow.clone(), step.to_string())) {
            return;
        }
        if !self.steps.contains_key(&flow) {
            self.flows.push(flow.clone());
        }
        self.steps.entry(flow).or_default().push(step.to_string());
    }

    pub(super) fn complete(mut self, plan: &mut Plan) {
        for name in self.flows {
            let steps = self.steps.remove(&name).unwrap_or_default();
            let by_number = name.strip_prefix('\0').and_then(|n| n.parse().ok());
            let known = by_number.or_else(|| plan.flows.iter().position(|f| f.name == name));
            let index = known.unwrap_or_else(|| {
                plan.flows.push(Flow {
                    name,
                    variables: Vec::new(),
                    steps: Vec::new(),
                    wait_time: None,
                });
                plan.flows.len() - 1
            });
            if let Some(flow) = plan.flows.get_mut(index) {
                for step in steps {
                    if !flow.steps.iter().any(|known| known.name == step) {
                        flow.steps.push(named_step(step));
                    }
                }
            }
        }
    }
}

/// A step of which the log knows the name only.
fn named_step(name: String) -> Step {
    Step {
        name,
        method: String::new(),
        path: Template(Vec::new()),
        headers: Vec::new(),
        baggage: Vec::new(),
        json: None,
        expect: Expect {
            status: Vec::new(),
            content_type: None,
        },
        think_time: None,
        timeout_ns: 0,
        probability: None,
        rounds: Vec::new(),
        draws: Vec::new(),
        captures: Vec::new(),
    }
}
