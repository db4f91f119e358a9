//! Flows: repeats are unrolled, variables get slots, and every draw gets its site, numbered from 1
//! in the order of the unrolled steps.

use std::collections::{HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use super::check_name;
use super::step::FlowMaker;
use crate::diagnostic::{Finding, Span};
use crate::file::{FlowSpec, RepeatSpec, ScenarioFile, StepSpec, VarSpec};
use crate::plan::{Flow, Round};
use crate::yaml::Node;

/// The most steps of a flow after unrolling.
const MAX_STEPS: u64 = 1_000;
/// The most JSON values that all unrolled steps of a file hold together.
const MAX_VALUES: u64 = 1_000_000;

pub(super) fn resolve(file: &ScenarioFile, root: &Node, findings: &mut Vec<Finding>) -> Vec<Flow> {
    let node = root.child("flows");
    if file.flows.is_empty() {
        findings.push(Finding::at(root.key("flows"), "there are no flows"));
    }
    let mut values = 0u64;
    let mut flows = Vec::with_capacity(file.flows.len());
    for (name, spec) in &file.flows {
        let key = node.key(name);
        check_name(name, "a flow", key, findings);
        let steps = request_count(spec);
        values = values.saturating_add(weight(file, spec));
        if steps > MAX_STEPS {
            let message =
                format!("`{name}` has more than {MAX_STEPS} steps when its repeats are unrolled");
            findings
                .push(Finding::at(key, message).help("repeat less, or let more iterations run"));
        } else if values > MAX_VALUES {
            let message = format!(
                "the flows up to `{name}` hold more than {MAX_VALUES} values when unrolled"
            );
            findings
                .push(Finding::at(key, message).help("repeat less, or pick from shorter lists"));
        } else {
            flows.push(flow(name, spec, file, root, findings));
        }
    }
    flows
}

fn flow(
    name: &str,
    spec: &FlowSpec,
    file: &ScenarioFile,
    root: &Node,
    findings: &mut Vec<Finding>,
) -> Flow {
    let at = root.child("flows").child(name);
    if spec.steps.is_empty() {
        findings.push(Finding::at(
            at.key("steps"),
            format!("`{name}` has no steps"),
        ));
    }
    let mut variables = IndexSet::new();
    declare(&spec.vars, at.child("vars"), &mut variables, findings);
    declare_steps(&spec.steps, at.child("steps"), &mut variables, findings);
    let mut maker = FlowMaker {
        flags: &file.flags,
        defaults: &file.defaults,
        defaults_node: root.child("defaults"),
        variables: &variables,
        known: HashSet::new(),
        picks: HashMap::new(),
        drawn: HashMap::new(),
        next_site: 1,
        pending: Vec::new(),
        rounds: Vec::new(),
        steps: Vec::new(),
        findings,
    };
    maker.later(&spec.vars);
    unroll(&spec.steps, at.child("steps"), &mut maker);
    let wait_time = maker.wait_time(spec.wait_time, at);
    let steps = maker.steps;
    Flow {
        name: name.to_owned(),
        variables: variables.into_iter().collect(),
        steps,
        wait_time,
    }
}

fn unroll<'f>(steps: &'f [StepSpec], node: &Node, maker: &mut FlowMaker<'f>) {
    for (index, spec) in steps.iter().enumerate() {
        let at = node.item(index);
        match &spec.steps {
            Some(inner) => {
                let slot = match &spec.repeat {
                    Some(RepeatSpec::Variable { var, .. }) => {
                        maker.counting_variable(var, at.child("repeat").value("var"))
                    }
                    _ => None,
                };
                for round in 0..rounds(spec) {
                    maker.rounds.extend(slot.map(|slot| Round { slot, round }));
                    maker.later(&spec.vars);
                    unroll(inner, at.child("steps"), maker);
                    if slot.is_some() {
                        maker.rounds.pop();
                    }
                }
            }
            None => maker.step(spec, at),
        }
    }
}

/// The most rounds of a repeat.
fn rounds(spec: &StepSpec) -> u32 {
    spec.repeat.as_ref().map_or(1, RepeatSpec::most)
}

/// Collects the names of all variables in the order of the file, and checks the shape of what
/// sets them and of the steps: once for each, not once a round.
fn declare_steps(
    steps: &[StepSpec],
    node: &Node,
    variables: &mut IndexSet<String>,
    findings: &mut Vec<Finding>,
) {
    for (index, spec) in steps.iter().enumerate() {
        let at = node.item(index);
        declare(&spec.vars, at.child("vars"), variables, findings);
        check_shape(spec, at, findings);
        if let Some(inner) = &spec.steps {
            declare_steps(inner, at.child("steps"), variables, findings);
        }
        for (name, capture) in &spec.capture {
            let captures = at.child("capture");
            declare_name(name, captures.key(name), variables, findings);
            if !is_json_pointer(&capture.pointer) {
                let value = captures.child(name);
                let span = match value.text() {
                    Some(_) => value.span,
                    None => value.value("pointer"),
                };
                findings.push(
                    Finding::at(span, format!("`{}` is not a JSON Pointer", capture.pointer)).help(
                        "begin with `/`, as in /items/0/sku, or leave it empty for the whole answer; \
                         `~` is written ~0 and `/` in a name ~1",
                    ),
                );
            }
        }
    }
}

fn declare(
    vars: &IndexMap<String, VarSpec>,
    node: &Node,
    variables: &mut IndexSet<String>,
    findings: &mut Vec<Finding>,
) {
    for (name, spec) in vars {
        declare_name(name, node.key(name), variables, findings);
        check_var(spec, node.child(name), node.key(name), findings);
    }
}

fn declare_name(
    name: &str,
    span: Span,
    variables: &mut IndexSet<String>,
    findings: &mut Vec<Finding>,
) {
    if !crate::template::is_variable_name(name) {
        findings.push(
            Finding::at(span, format!("`{name}` cannot be the name of a variable"))
                .help("use letters, digits and `_`, not beginning with a digit"),
        );
    }
    variables.insert(name.to_owned());
}

fn check_var(spec: &VarSpec, at: &Node, key: Span, findings: &mut Vec<Finding>) {
    let given = [
        spec.pick.is_some(),
        spec.range.is_some(),
        spec.hex.is_some(),
        spec.uuid.is_some(),
        spec.flag.is_some(),
    ];
    if given.iter().filter(|is| **is).count() != 1 {
        findings.push(
            Finding::at(
                key,
                "a variable is drawn from exactly one of `pick`, `range`, `hex`, `uuid` and `flag`",
            )
            .help("write {pick: [a, b]}, {range: [1, 6]}, {hex: 8}, {uuid: 4} or {flag: name}"),
        );
    }
    if spec.pick.as_ref().is_some_and(Vec::is_empty) {
        findings.push(Finding::at(
            at.key("pick"),
            "`pick` has nothing to pick from",
        ));
    }
    if let Some([low, high]) = spec.range {
        // 2^53 - 2, so that bounds and their distance are exact in doubles.
        const LIMIT: u64 = crate::prng::MAX_SAFE_INTEGER - 1;
        if low > high {
            let message = format!("the range from {low} to {high} is empty");
            findings
                .push(Finding::at(at.key("range"), message).help("write the lower bound first"));
        } else if low
            .unsigned_abs()
            .max(high.unsigned_abs())
            .max(low.abs_diff(high))
            > LIMIT
        {
            let message = "the range is too wide";
            let help = format!("bounds and their distance are at most {LIMIT}");
            findings.push(Finding::at(at.key("range"), message).help(help));
        }
    }
    if spec.hex.is_some_and(|digits| !(1..=16).contains(&digits)) {
        findings.push(
            Finding::at(at.value("hex"), "`hex` is out of range").help("give 1 to 16 digits"),
        );
    }
    if spec.uuid.is_some_and(|version| version != 4) {
        findings.push(
            Finding::at(at.value("uuid"), "UUIDs of this version can't be drawn")
                .help("write {uuid: 4}, a random one"),
        );
    }
}

/// A step is either a request or a repeat.
fn check_shape(spec: &StepSpec, at: &Node, findings: &mut Vec<Finding>) {
    if spec.steps.is_none() && spec.repeat.is_none() {
        if spec.path.is_none() {
            findings.push(
                Finding::at(at.span, "a step without a `path`")
                    .help("add `path: /…`, or `repeat` with `steps`"),
            );
        }
        return;
    }
    match (&spec.steps, &spec.repeat) {
        (None, _) => findings.push(
            Finding::at(at.key("repeat"), "`repeat` without `steps`")
                .help("put the steps to repeat under `steps`"),
        ),
        (Some(steps), _) if steps.is_empty() => {
            findings.push(Finding::at(at.key("steps"), "there is nothing to repeat"));
        }
        (Some(_), None) => findings
            .push(Finding::at(at.key("steps"), "`steps` without `repeat`").help("add `repeat: 2`")),
        _ => {}
    }
    let is_out_of_range = |rounds: u32| rounds == 0 || u64::from(rounds) > MAX_STEPS;
    if spec.repeat.is_some() && is_out_of_range(rounds(spec)) {
        findings.push(
            Finding::at(at.value("repeat"), "`repeat` is out of range")
                .help(format!("give 1 to {MAX_STEPS} rounds")),
        );
    }
    for (option, given) in [
        ("path", spec.path.is_some()),
        ("method", spec.method.is_some()),
        ("headers", !spec.headers.is_empty()),
        ("baggage", !spec.baggage.is_empty()),
        ("json", spec.json.is_some()),
        ("expect", spec.expect != Default::default()),
        ("think_time", spec.think_time.is_some()),
        ("timeout", spec.timeout.is_some()),
        ("probability", spec.probability.is_some()),
        ("capture", !spec.capture.is_empty()),
    ] {
        if given {
            findings.push(
                Finding::at(at.key(option), format!("`{option}` beside `repeat`"))
                    .help("a repeat has only `name`, `vars` and `steps`; move it into a step"),
            );
        }
    }
}

/// Adds something up over all unrolled steps; for a repeat, over its rounds.
fn add_up(steps: &[StepSpec], rounds: u64, of: fn(&StepSpec) -> u64) -> u64 {
    steps.iter().fold(0, |sum: u64, spec| {
        let rounds = match spec.steps {
            Some(_) => rounds.saturating_mul(u64::from(self::rounds(spec))),
            None => rounds,
        };
        let inner = spec
            .steps
            .as_ref()
            .map_or(0, |inner| add_up(inner, rounds, of));
        sum.saturating_add(of(spec).saturating_mul(rounds))
            .saturating_add(inner)
    })
}

/// Requests of a flow once unrolled.
fn request_count(spec: &FlowSpec) -> u64 {
    add_up(&spec.steps, 1, |step| u64::from(step.steps.is_none()))
}

/// JSON values in a flow once unrolled, its share of the default headers included.
fn weight(file: &ScenarioFile, spec: &FlowSpec) -> u64 {
    let of_each = file.defaults.headers.len() + file.defaults.baggage.len();
    let headers = request_count(spec).saturating_mul(of_each as u64);
    let own = add_up(&spec.steps, 1, |step| {
        2 + draws_weight(&step.vars)
            + step.json.as_ref().map_or(0, value_weight)
            + (step.headers.len() + step.baggage.len()) as u64
            + step.capture.len() as u64
    });
    headers
        .saturating_add(own)
        .saturating_add(draws_weight(&spec.vars))
}

fn draws_weight(vars: &IndexMap<String, VarSpec>) -> u64 {
    vars.values()
        .map(|var| var.pick.iter().flatten().map(value_weight).sum::<u64>() + 1)
        .sum()
}

fn value_weight(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(value_weight).sum::<u64>(),
        Value::Object(map) => 1 + map.values().map(value_weight).sum::<u64>(),
        // Long texts count by their length, so that the limit is one on memory.
        Value::String(text) => 1 + text.len() as u64 / 64,
        _ => 1,
    }
}

/// RFC 6901: empty, or parts that each begin with `/`; `~` only as `~0` and `~1`.
fn is_json_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text
            .split('~')
            .skip(1)
            .all(|after| after.starts_with(['0', '1']))
}
