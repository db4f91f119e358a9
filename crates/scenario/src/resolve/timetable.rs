//! When each scenario's window begins and ends: starts that are given, that follow another
//! scenario, or that follow the one before; then one factor on all of it. Every boundary is
//! scaled by itself and lengths are differences, so windows that touch still touch.

use crate::diagnostic::Finding;
use crate::duration::{Duration, MAX_DURATION_NS};
use crate::file::{ExecutorName, Overlap, ScenarioFile, ScenarioSpec};
use crate::interval::{Interval, merged, without};
use crate::plan::{Executor, NONE, PlannedScenario, Stage};
use crate::yaml::Node;

/// A window as written, before the time scale. Relative to the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Window {
    pub(super) start_ns: u64,
    pub(super) length_ns: u64,
}

impl Window {
    pub(super) fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.length_ns)
    }
}

/// k6's default of `maxDuration`.
pub(super) const MAX_DURATION: Duration = Duration {
    ns: 600 * 1_000_000_000,
};

/// The windows, in the file's order.
pub(super) fn windows(
    file: &ScenarioFile,
    node: &Node,
    findings: &mut Vec<Finding>,
) -> Vec<Window> {
    let before = findings.len();
    let starts = Starts { file, node }.resolve(findings);
    let windows: Vec<Window> = starts
        .iter()
        .zip(file.scenarios.values())
        .map(|(&start_ns, spec)| Window {
            start_ns,
            length_ns: length_ns(spec),
        })
        .collect();
    check_end(file, node, &windows, findings);
    // Overlaps of windows that could not be placed would only confuse.
    if findings.len() == before && file.overlap != Some(Overlap::Allow) {
        check_overlaps(file, node, &windows, findings);
    }
    if findings.len() == before {
        check_load(file, node, &windows, findings);
    }
    windows
}

/// Length of a scenario's window as far as its options tell; 0 where they lack it, which is
/// reported elsewhere.
fn length_ns(spec: &ScenarioSpec) -> u64 {
    match spec.executor {
        ExecutorName::ConstantVus
        | ExecutorName::ConstantArrivalRate
        | ExecutorName::ExternallyControlled
        | ExecutorName::NoLoad => spec.duration.map_or(0, |duration| duration.ns),
        ExecutorName::RampingVus | ExecutorName::RampingArrivalRate => {
            let stages = spec.stages.iter().flatten();
            let lengths = stages.map(|stage| stage.duration.ns);
            lengths
                .chain(spec.shape.iter().map(|shape| shape.length.ns))
                .fold(0, u64::saturating_add)
        }
        ExecutorName::PerVuIterations | ExecutorName::SharedIterations => {
            spec.max_duration.unwrap_or(MAX_DURATION).ns
        }
    }
}

struct Starts<'f> {
    file: &'f ScenarioFile,
    node: &'f Node,
}

impl Starts<'_> {
    fn resolve(&self, findings: &mut Vec<Finding>) -> Vec<u64> {
        let mut starts = vec![None; self.file.scenarios.len()];
        for index in 0..starts.len() {
            self.settle(index, &mut starts, findings);
        }
        starts.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// Finds the start of a scenario by walking to one that is settled, then back. A loop, not a
    /// recursion: a file may hold thousands of scenarios.
    fn settle(&self, index: usize, starts: &mut [Option<u64>], findings: &mut Vec<Finding>) {
        let mut way = Vec::new();
        let mut on_way = vec![false; starts.len()];
        let mut current = index;
        let mut start = loop {
            if let Some(start) = starts[current] {
                break start.saturating_add(self.length(current));
            }
            if std::mem::replace(&mut on_way[current], true) {
                self.report_circle(current, findings);
                break 0;
            }
            way.push(current);
            match self.predecessor(current, findings) {
                Ok(predecessor) => current = predecessor,
                // The last of the way has a start of its own.
                Err(start) => {
                    starts[current] = Some(start);
                    way.pop();
                    break start.saturating_add(self.length(current));
                }
            }
        };
        for current in way.into_iter().rev() {
            starts[current].get_or_insert(start);
            start = start.saturating_add(self.length(current));
        }
    }

    fn length(&self, index: usize) -> u64 {
        self.file
            .scenarios
            .get_index(index)
            .map_or(0, |(_, spec)| length_ns(spec))
    }

    /// The scenario that this one follows, or its own start.
    fn predecessor(&self, index: usize, findings: &mut Vec<Finding>) -> Result<usize, u64> {
        let Some((name, spec)) = self.file.scenarios.get_index(index) else {
            return Err(0);
        };
        let at = self.node.child(name);
        if let Some(start) = spec.start_time {
            if spec.after.is_some() {
                findings.push(
                    Finding::at(at.key("after"), "both `start_time` and `after` are given")
                        .help("keep one of them"),
                );
            }
            return Err(start.ns);
        }
        match &spec.after {
            Some(after) => self.file.scenarios.get_index_of(after).ok_or_else(|| {
                let others = self.file.scenarios.keys().map(String::as_str);
                findings.push(
                    Finding::at(at.value("after"), format!("unknown scenario `{after}`"))
                        .suggest(after, others.filter(|other| other != name)),
                );
                0
            }),
            None => index.checked_sub(1).ok_or(0),
        }
    }

    fn report_circle(&self, index: usize, findings: &mut Vec<Finding>) {
        let Some((name, _)) = self.file.scenarios.get_index(index) else {
            return;
        };
        let span = self.node.child(name).value("after");
        findings.push(
            Finding::at(span, format!("`{name}` would have to start after itself"))
                .help("a scenario without `start_time` or `after` follows the one before it"),
        );
    }
}

/// The first window that ends too late; those after it would only repeat it.
fn check_end(file: &ScenarioFile, node: &Node, windows: &[Window], findings: &mut Vec<Finding>) {
    let mut windows = windows.iter().zip(file.scenarios.keys());
    if let Some((_, name)) = windows.find(|(window, _)| window.end_ns() > MAX_DURATION_NS) {
        findings.push(
            Finding::at(node.key(name), too_late(name))
                .help("shorten it or what goes before it; a longer test is several runs"),
        );
    }
}

fn too_late(name: &str) -> String {
    format!("`{name}` ends more than 100 days after the start")
}

/// Windows that send must be apart, and so must those that change the condition or are marked only.
/// One that sends nothing may lie within a normal one that sends: that is what it is for.
fn check_overlaps(
    file: &ScenarioFile,
    node: &Node,
    windows: &[Window],
    findings: &mut Vec<Finding>,
) {
    let of = |kind: &dyn Fn(&ScenarioSpec) -> bool| -> Vec<usize> {
        let specs = file.scenarios.values().enumerate();
        specs
            .filter(|(_, spec)| kind(spec))
            .map(|(index, _)| index)
            .collect()
    };
    let before = findings.len();
    let sending = of(&|spec| spec.executor.sends());
    check_apart(file, node, windows, sending, findings);
    if findings.len() == before && file.scenarios.values().any(|spec| !spec.executor.sends()) {
        let marks = |spec: &ScenarioSpec| {
            !spec.executor.sends() || spec.anomaly.as_deref().unwrap_or(NONE) != NONE
        };
        check_apart(file, node, windows, of(&marks), findings);
    }
}

/// Where nobody sends, a window without load shows nothing.
fn check_load(file: &ScenarioFile, node: &Node, windows: &[Window], findings: &mut Vec<Finding>) {
    let all = || windows.iter().zip(&file.scenarios);
    let interval = |window: &Window| (window.start_ns, window.end_ns());
    let mut sending: Vec<Interval> = all()
        .filter(|(_, (_, spec))| spec.executor.sends())
        .map(|(window, _)| interval(window))
        .collect();
    sending.sort_unstable();
    let sending = merged(sending);
    for (window, (name, _)) in all().filter(|(_, (_, spec))| !spec.executor.sends()) {
        let Some((from, to)) = without(vec![interval(window)], &sending).first().copied() else {
            continue;
        };
        let shown = |ns| Duration { ns };
        findings.push(
            Finding::at(
                node.key(name),
                format!(
                    "`{name}` sends nothing, and nobody else does from {} to {}",
                    shown(from),
                    shown(to)
                ),
            )
            .help("give it a `start_time` within the time of a scenario that sends"),
        );
    }
}

fn check_apart(
    file: &ScenarioFile,
    node: &Node,
    windows: &[Window],
    mut order: Vec<usize>,
    findings: &mut Vec<Finding>,
) {
    order.sort_by_key(|&index| windows[index].start_ns);
    let name = |index: usize| {
        file.scenarios
            .get_index(index)
            .map_or("", |(name, _)| name.as_str())
    };
    let mut latest: Option<usize> = None;
    for index in order {
        if let Some(other) = latest
            && windows[index].start_ns < windows[other].end_ns()
        {
            let at = node.child(name(index));
            let span = match file.scenarios.get_index(index).map(|(_, spec)| spec) {
                Some(spec) if spec.start_time.is_some() => at.value("start_time"),
                Some(spec) if spec.after.is_some() => at.value("after"),
                _ => node.key(name(index)),
            };
            let shown = |ns| Duration { ns };
            findings.push(
                Finding::at(
                    span,
                    format!(
                        "`{}` starts at {}, before `{}` ends at {}",
                        name(index),
                        shown(windows[index].start_ns),
                        name(other),
                        shown(windows[other].end_ns())
                    ),
                )
                .help("leave `start_time` out to follow the scenario before, or write `overlap: allow`"),
            );
        }
        if latest.is_none_or(|other| windows[other].end_ns() < windows[index].end_ns()) {
            latest = Some(index);
        }
    }
}

/// A time under the time scale, rounded to the nearest nanosecond. Exact at a scale of 1.
pub(super) fn scale_ns(ns: u64, scale: f64) -> u64 {
    (ns as f64 * scale).round() as u64
}

/// An executor with the times of its window scaled.
pub(super) fn scaled(mut executor: Executor, window: Window, scale: f64) -> Executor {
    let start = window.start_ns;
    let length = |from: u64, to: u64| {
        let boundary = |offset| scale_ns(start.saturating_add(offset), scale);
        boundary(to) - boundary(from)
    };
    match &mut executor {
        Executor::ConstantVus { duration_ns, .. }
        | Executor::ConstantArrivalRate { duration_ns, .. }
        | Executor::ExternallyControlled { duration_ns, .. }
        | Executor::NoLoad { duration_ns } => {
            *duration_ns = length(0, *duration_ns);
        }
        Executor::RampingVus { stages, .. } | Executor::RampingArrivalRate { stages, .. } => {
            let mut from = 0u64;
            for Stage { duration_ns, .. } in stages {
                let to = from.saturating_add(*duration_ns);
                *duration_ns = length(from, to);
                from = to;
            }
        }
        Executor::PerVuIterations {
            max_duration_ns, ..
        }
        | Executor::SharedIterations {
            max_duration_ns, ..
        } => {
            *max_duration_ns = length(0, *max_duration_ns);
        }
    }
    executor
}

/// Windows that the time scale has made too short or too late.
pub(super) fn check_scaled(scenarios: &[PlannedScenario], findings: &mut Vec<Finding>) {
    // Windows that are empty as written are reported with their place.
    if !findings.is_empty() {
        return;
    }
    for scenario in scenarios {
        if scenario.end_ns > MAX_DURATION_NS {
            findings.push(
                Finding::of_options(too_late(&scenario.name) + " at this time scale")
                    .help("use a smaller time scale"),
            );
        } else if scenario.end_ns <= scenario.start_ns {
            findings.push(
                Finding::of_options(format!(
                    "the time scale leaves nothing of `{}`",
                    scenario.name
                ))
                .help("use a larger time scale"),
            );
        }
    }
}
