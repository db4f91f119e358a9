//! Feature flags that are read while the run goes on: each from one place, and each name that refers
//! to one known.

use super::check_name;
use crate::diagnostic::{Finding, Span};
use crate::duration::Duration;
use crate::file::{FlagSpec, FlowSpec, ScenarioFile, StepSpec, VarSpec};
use crate::plan::{Flag, FlagSource};
use crate::yaml::Node;

/// How often a flag is looked at where the file says nothing: as often as the OpenTelemetry Demo's
/// load generator does.
const EVERY: Duration = Duration { ns: 10_000_000_000 };

pub(super) fn resolve(file: &ScenarioFile, root: &Node, findings: &mut Vec<Finding>) -> Vec<Flag> {
    let node = root.child("flags");
    let mut flags = Vec::with_capacity(file.flags.len());
    for (name, spec) in &file.flags {
        check_name(name, "a flag", node.key(name), findings);
        let every = spec.every.unwrap_or(EVERY);
        if every.ns == 0 {
            let finding = Finding::at(node.child(name).value("every"), "`every` is 0");
            findings.push(finding.help("give it a length, such as 10s"));
        }
        flags.extend(
            source(spec, node.child(name), node.key(name), findings).map(|source| Flag {
                name: name.clone(),
                flag: spec.flag.clone(),
                source,
                every_ns: every.ns,
            }),
        );
    }
    let flows = root.child("flows");
    for (name, flow) in &file.flows {
        check_flow(file, flow, flows.child(name), findings);
    }
    flags
}

fn source(
    spec: &FlagSpec,
    at: &Node,
    key: Span,
    findings: &mut Vec<Finding>,
) -> Option<FlagSource> {
    match (&spec.flagd_file, &spec.ofrep_url) {
        (Some(file), None) => Some(FlagSource::FlagdFile(file.clone())),
        (None, Some(url)) => {
            let is_http = url.starts_with("http://") || url.starts_with("https://");
            if !is_http {
                let message = format!("`{url}` is not the address of a flagd");
                findings.push(
                    Finding::at(at.value("ofrep_url"), message)
                        .help("write it like http://flagd:8016"),
                );
            }
            Some(FlagSource::OfrepUrl(url.trim_end_matches('/').to_owned()))
        }
        _ => {
            let message = "a flag is read from either `flagd_file` or `ofrep_url`";
            findings.push(Finding::at(key, message).help(
                "give `flagd_file: demo.flagd.json`, or `ofrep_url: http://flagd:8016` where flagd \
                 runs",
            ));
            None
        }
    }
}

/// The index of a flag that something names.
pub(super) fn find(
    file: &ScenarioFile,
    name: &str,
    span: Span,
    findings: &mut Vec<Finding>,
) -> Option<usize> {
    let index = file.flags.get_index_of(name);
    if index.is_none() {
        let finding = Finding::at(span, format!("unknown flag `{name}`"));
        findings.push(match file.flags.is_empty() {
            true => finding.help("say under `flags` where it is read"),
            false => finding.suggest(name, file.flags.keys().map(String::as_str)),
        });
    }
    index
}

/// Flags that variables are drawn from.
fn check_flow(file: &ScenarioFile, flow: &FlowSpec, at: &Node, findings: &mut Vec<Finding>) {
    check_vars(file, flow.vars.iter(), at.child("vars"), findings);
    check_steps(file, &flow.steps, at.child("steps"), findings);
}

fn check_steps(file: &ScenarioFile, steps: &[StepSpec], at: &Node, findings: &mut Vec<Finding>) {
    for (index, step) in steps.iter().enumerate() {
        let at = at.item(index);
        check_vars(file, step.vars.iter(), at.child("vars"), findings);
        if let Some(inner) = &step.steps {
            check_steps(file, inner, at.child("steps"), findings);
        }
    }
}

fn check_vars<'v>(
    file: &ScenarioFile,
    vars: impl Iterator<Item = (&'v String, &'v VarSpec)>,
    at: &Node,
    findings: &mut Vec<Finding>,
) {
    for (name, var) in vars {
        if let Some(flag) = &var.flag {
            find(file, flag, at.child(name).value("flag"), findings);
        }
    }
}
