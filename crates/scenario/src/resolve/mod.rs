//! From a file to a plan: names become indices, defaults are filled in, offsets are computed, and
//! whatever does not fit together is found, all of it, not only the first.

mod anomalies;
mod dots;
mod episodes;
mod executor;
mod faults;
mod flags;
mod flows;
mod lengths;
mod notes;
mod parameters;
mod selection;
mod step;
mod target;
mod timetable;

use std::fmt::Write as _;
use std::path::Path;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use crate::diagnostic::{Finding, Span};
use crate::file::{Exec, Guard, Overlap, ScenarioFile, ScenarioSpec, Text};
use crate::options::PlanOptions;
use crate::plan::{NONE, PLAN_SCHEMA_VERSION, Plan, PlannedScenario, WeightedFlow};
use crate::prng::{MAX_INDEX, MAX_SAFE_INTEGER};
use crate::yaml::{COMMENT, Node};
use timetable::Window;

/// k6's default of `gracefulStop` and `gracefulRampDown`.
const GRACE_NS: u64 = 30 * 1_000_000_000;
/// Guard where the file says nothing: a twentieth of the window.
const GUARD: Guard = Guard::Percent(5.0);

/// The file that a plan is made from.
pub(crate) struct Source<'s> {
    pub(crate) name: &'s str,
    pub(crate) bytes: &'s [u8],
}

/// Makes the plan, with notes on it, or finds everything that is wrong.
pub(crate) fn plan(
    file: &ScenarioFile,
    root: &Node,
    source: &Source<'_>,
    options: &PlanOptions,
) -> Result<(Plan, Vec<Finding>), Vec<Finding>> {
    let mut findings = Vec::new();
    let mut notes = Vec::new();
    check_version(file, root, &mut findings);
    let seed = seed(file, root, options, &mut findings);
    let target = target::resolve(file, root, options, &mut findings);
    let scale = time_scale(options, &mut findings);
    let anomalies = anomalies::resolve(
        &file.anomalies,
        root.child("anomalies"),
        &mut findings,
        &mut notes,
    );
    let observed = faults::observed(file, root, &anomalies, &options.catalogues, &mut findings);
    let flags = flags::resolve(file, root, &mut findings);
    let flows = flows::resolve(file, root, &mut findings);
    let drivers = faults::settings(file, root, &options.catalogues, &mut findings);
    let node = root.child("scenarios");
    if file.scenarios.is_empty() {
        findings.push(Finding::at(root.key("scenarios"), "there are no scenarios"));
    }
    let windows = timetable::windows(file, node, &mut findings);
    let context = episodes::Context {
        file,
        root,
        anomalies: &anomalies,
        catalogues: &options.catalogues,
        windows: &windows,
        seed,
        scale,
    };
    let mut scenarios = scenarios(&context, options.vus, &mut findings, &mut notes);
    if file.overlap == Some(Overlap::Allow) {
        faults::check_overlaps(&scenarios, node, &mut findings);
    }
    timetable::check_scaled(&scenarios, &mut findings);
    selection::check(file, options, &mut findings);
    if !findings.is_empty() {
        return Err(findings);
    }
    scenarios.sort_by_key(|scenario| scenario.start_ns);
    // Whichever of them are selected: what is sent does not depend on it.
    let faults = scenarios.iter().filter_map(|s| s.fault.as_ref());
    let client_cells = faults.clone().any(|fault| fault.clients.is_some());
    let scenarios = selection::select(scenarios, &options.scenarios);
    let plan = Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        name: file.name.clone().unwrap_or_else(|| stem(source.name)),
        scenario_file: source.name.to_owned(),
        scenario_sha256: sha256(source.bytes),
        seed,
        time_scale: scale,
        target,
        renew_connections: file.renew_connections,
        redirect_hosts: file.redirect_hosts.clone(),
        client_cells,
        flags,
        flows,
        drivers,
        observed,
        scenarios,
    };
    Ok((plan, notes))
}

fn check_version(file: &ScenarioFile, root: &Node, findings: &mut Vec<Finding>) {
    if file.version != 1 {
        let message = format!("version {} of the format is not known", file.version);
        findings.push(Finding::at(root.value("version"), message).label("this loadgen reads 1"));
    }
}

/// The scenarios of the file, and those of its episodes.
fn scenarios(
    context: &episodes::Context<'_>,
    vus: Option<u32>,
    findings: &mut Vec<Finding>,
    notes: &mut Vec<Finding>,
) -> Vec<PlannedScenario> {
    let mut scenarios = Vec::with_capacity(context.file.scenarios.len());
    for (index, named) in context.file.scenarios.iter().enumerate() {
        scenarios.extend(scenario(context, vus, index, named, findings, notes));
    }
    scenarios.extend(episodes::resolve(context, findings));
    scenarios
}

/// A scenario of the file; none: a finding says why.
fn scenario(
    context: &episodes::Context<'_>,
    vus: Option<u32>,
    index: usize,
    (name, spec): (&String, &ScenarioSpec),
    findings: &mut Vec<Finding>,
    notes: &mut Vec<Finding>,
) -> Option<PlannedScenario> {
    let &episodes::Context {
        file,
        root,
        anomalies,
        catalogues,
        windows,
        seed,
        scale,
    } = context;
    let node = root.child("scenarios");
    let at = node.child(name);
    check_name(name, "a scenario", node.key(name), findings);
    notes.extend(notes::of_scenario((name, spec), at, node.key(name)));
    let window = windows.get(index).copied().unwrap_or_default();
    let executor = executor::resolve(file, seed, (name, spec), at, node.key(name), findings);
    let executor = executor.map(|executor| match vus {
        Some(vus) => executor::beginning_with(executor, vus, name, findings),
        None => executor,
    });
    let exec = exec(file, spec, at, node.key(name), findings);
    let named = anomalies::of_scenario(anomalies, spec, at, findings);
    let mut fault = faults::resolve(spec, at, catalogues, findings);
    if let Some(fault) = fault.as_mut() {
        fault.clients = fault.clients.map(|clients| clients.drawn(seed, name));
    }
    if let Some(named) = &named {
        faults::check_agreement(fault.as_ref(), named, at, findings);
        faults::check_warm_up(spec, named, at, findings);
    }
    let guard_ns = guard(file, spec, root, at, window, scale, findings);
    let (executor, named) = executor.zip(named)?;
    let breaks_nothing = fault.as_ref().is_some_and(|fault| !fault.breaks());
    let (anomaly, declared) = match anomalies.get(NONE) {
        Some(none) if breaks_nothing => (none.clone(), Some(named)),
        _ => (named, None),
    };
    let grace = spec.graceful_stop.or(file.defaults.graceful_stop);
    Some(PlannedScenario {
        name: name.clone(),
        executor: timetable::scaled(executor, window, scale),
        start_ns: timetable::scale_ns(window.start_ns, scale),
        end_ns: timetable::scale_ns(window.end_ns(), scale),
        graceful_stop_ns: grace.map_or(GRACE_NS, |grace| grace.ns),
        guard_ns,
        exec,
        anomaly,
        declared,
        fault,
        warm_up: spec.warm_up,
        tags: texts(&spec.tags),
        env: texts(&spec.env),
    })
}

fn seed(
    file: &ScenarioFile,
    root: &Node,
    options: &PlanOptions,
    findings: &mut Vec<Finding>,
) -> u64 {
    let help = "use a seed from 0 to 9007199254740991 (2^53 - 1), exact in every JSON reader";
    let too_large = |seed| format!("the seed {seed} is too large");
    if let Some(seed) = file.seed.filter(|seed| *seed > MAX_SAFE_INTEGER) {
        findings.push(Finding::at(root.value("seed"), too_large(seed)).help(help));
    }
    if let Some(seed) = options.seed.filter(|seed| *seed > MAX_SAFE_INTEGER) {
        findings
            .push(Finding::of_options(too_large(seed) + " (it was given for this run)").help(help));
    }
    options.seed.or(file.seed).unwrap_or(0)
}

fn time_scale(options: &PlanOptions, findings: &mut Vec<Finding>) -> f64 {
    let scale = options.time_scale;
    if scale.is_finite() && scale > 0.0 {
        return scale;
    }
    findings.push(
        Finding::of_options(format!("the time scale {scale} is not a number above 0"))
            .help("1 runs the timetable as written, 0.1 ten times as fast"),
    );
    1.0
}

/// The flows of a scenario.
fn exec(
    file: &ScenarioFile,
    spec: &ScenarioSpec,
    at: &Node,
    key: Span,
    findings: &mut Vec<Finding>,
) -> Vec<WeightedFlow> {
    let mut chosen = Vec::new();
    let mut choose = |name: &str, weight: u32, span: Span| match file.flows.get_index_of(name) {
        Some(flow) => chosen.push(WeightedFlow { flow, weight }),
        None if at.child("exec").has_comment_of_javascript() => {
            findings.push(Finding::at(span, format!("unknown flow `{name}`")).help(COMMENT));
        }
        None => findings.push(
            Finding::at(span, format!("unknown flow `{name}`"))
                .suggest(name, file.flows.keys().map(String::as_str)),
        ),
    };
    if !spec.executor.sends() {
        if spec.exec.is_some() {
            findings.push(
                Finding::at(at.key("exec"), "a window that sends nothing has no flows")
                    .help("leave `exec` out"),
            );
        }
        return Vec::new();
    }
    match &spec.exec {
        Some(Exec::One(name)) => choose(name, 1, at.value("exec")),
        Some(Exec::Mix(mix)) => {
            let node = at.child("exec");
            for (name, weight) in mix {
                choose(name, *weight, node.key(name));
            }
            if mix.is_empty() {
                findings.push(Finding::at(at.key("exec"), "`exec` names no flow"));
            }
            for (name, _) in mix.iter().filter(|(_, weight)| **weight == 0) {
                let message = format!("the weight of `{name}` is 0");
                findings.push(
                    Finding::at(node.value(name), message)
                        .help("leave the flow out, or give it 1 or more"),
                );
            }
            let total: u64 = mix.values().map(|weight| u64::from(*weight)).sum();
            if total > u64::from(MAX_INDEX) {
                let message = format!("the weights add up to {total}, more than {MAX_INDEX}");
                findings.push(Finding::at(at.key("exec"), message).help("use smaller weights"));
            }
        }
        None if file.flows.contains_key("default") => choose("default", 1, key),
        None => {
            let message = "the scenario names no flow, and there is no flow `default`";
            let help = match file.flows.keys().next() {
                Some(first) => {
                    format!("add `exec:` with the name of a flow, such as `exec: {first}`")
                }
                None => "add a flow".to_owned(),
            };
            findings.push(Finding::at(key, message).help(help));
        }
    }
    chosen
}

/// The guard time of a scenario in scaled nanoseconds.
fn guard(
    file: &ScenarioFile,
    spec: &ScenarioSpec,
    root: &Node,
    at: &Node,
    window: Window,
    scale: f64,
    findings: &mut Vec<Finding>,
) -> u64 {
    let (guard, span) = match (spec.guard, file.guard) {
        (Some(guard), _) => (guard, at.value("guard")),
        (None, Some(guard)) => (guard, root.value("guard")),
        (None, None) => (GUARD, at.span),
    };
    let length = window.length_ns;
    let (ns, within) = match guard {
        Guard::Percent(percent) => (
            (length as f64 * percent / 100.0).round() as u64,
            (0.0..=50.0).contains(&percent),
        ),
        Guard::Time(time) => (time.ns, length == 0 || time.ns <= length / 2),
    };
    if !within {
        findings.push(
            Finding::at(span, "the guard is out of range")
                .help("use 0% to 50%, or a duration up to half of the window"),
        );
    }
    timetable::scale_ns(ns, scale)
}

/// k6's rule for names of scenarios, used for all names that end up in file names.
fn check_name(name: &str, what: &str, span: Span, findings: &mut Vec<Finding>) {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > 100 || !name.bytes().all(allowed) {
        findings.push(
            Finding::at(span, format!("`{name}` cannot be the name of {what}"))
                .help("use up to 100 letters, digits, `_` and `-`"),
        );
    }
}

fn texts(map: &IndexMap<String, Text>) -> IndexMap<String, String> {
    map.iter()
        .map(|(key, text)| (key.clone(), text.0.clone()))
        .collect()
}

fn stem(name: &str) -> String {
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or("scenario").to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
