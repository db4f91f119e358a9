//! Tables for people, on standard output.

mod built;
mod dataset;
mod pass;
mod replayed;

use std::fmt;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use loadgen_doctor::Finding;
use loadgen_doctor::diagnose::Diagnosis;
use loadgen_doctor::probe::StepOutcome;
use loadgen_engine::consumers::ClientSpanReport;
use loadgen_scenario::{Executor, Fault, Plan, PlannedScenario, Stage, Target, evaluation_counts};
use loadgen_timeline::Failure;
use loadgen_timeline::summary::{ScenarioSummary, Summary};

pub(crate) use built::built;
pub(crate) use dataset::{audit, dataset, verdict, verdict_label, window_label};
pub(crate) use pass::pass;
pub(crate) use replayed::replayed;

/// `loadgen plan`: when what runs.
pub(crate) fn timetable(plan: &Plan) -> String {
    let mut table = table(
        &["start", "end", "scenario", "executor", "anomaly", "fault"],
        &[],
    );
    // Scenarios of the same mix stand together.
    let mut flows: Vec<(String, Vec<&str>)> = Vec::new();
    for scenario in &plan.scenarios {
        table.add_row([
            duration(scenario.start_ns),
            duration(scenario.end_ns),
            scenario.name.clone(),
            executor(&scenario.executor),
            condition(scenario),
            scenario.fault.as_ref().map_or("-".to_owned(), fault),
        ]);
        let mix: Vec<String> = scenario
            .exec
            .iter()
            .map(|e| {
                let name = plan
                    .flows
                    .get(e.flow)
                    .map_or("?", |flow| flow.name.as_str());
                if scenario.exec.len() == 1 {
                    name.into()
                } else {
                    format!("{name} {}", e.weight)
                }
            })
            .collect();
        if !scenario.executor.sends() {
            continue;
        }
        let mix = mix.join(", ");
        match flows.iter_mut().find(|(known, _)| *known == mix) {
            Some((_, scenarios)) => scenarios.push(&scenario.name),
            None => flows.push((mix, vec![&scenario.name])),
        }
    }
    let flows: String = flows
        .iter()
        .map(|(mix, scenarios)| wrapped(&format!("{}: {mix}", scenarios.join(", ")), "  "))
        .collect();
    let target = match &plan.target {
        Target::Embedded => "embedded",
        Target::BaseUrl(url) => url,
    };
    format!(
        "{}: {} in {}, target {target}, seed {}, time scale {}\n{table}\n{}\
         Flows, with their weights:\n{flows}",
        plan.name,
        counted(plan.scenarios.len() as u64, "scenario"),
        duration(plan.end_ns()),
        plan.seed,
        plan.time_scale,
        evaluation_windows(plan)
    )
}

/// How much of the time is anomalous, where windows lie in a load that goes on.
fn evaluation_windows(plan: &Plan) -> String {
    if plan.scenarios.iter().all(|s| s.executor.sends()) {
        return String::new();
    }
    let (normal, anomalous) = evaluation_counts(plan);
    let share = 100.0 * anomalous as f64 / (normal + anomalous).max(1) as f64;
    format!(
        "Windows of 5 s in the settled part of one condition: {normal} normal, {anomalous} anomalous \
         ({share:.1} %)\n\n"
    )
}

/// What a window is labelled with, and what for where that is not the anomaly itself.
fn condition(scenario: &PlannedScenario) -> String {
    let kind = &scenario.anomaly.kind;
    match &scenario.declared {
        Some(declared) => format!("{kind} (declares {})", declared.kind),
        None if scenario.warm_up => format!("{kind} (warm-up)"),
        None => kind.clone(),
    }
}

fn fault(fault: &Fault) -> String {
    let how = match (fault.sham, fault.harmless) {
        (true, _) => "sham: ",
        (false, true) => "harmless: ",
        (false, false) => "",
    };
    let Fault {
        fault,
        service,
        intensity,
        ..
    } = fault;
    format!("{how}{fault} in {service} ({intensity})")
}

fn executor(executor: &Executor) -> String {
    let per = |unit_ns: u64| match unit_ns {
        1_000_000_000 => "/s".to_owned(),
        ns => format!(" per {}", duration(ns)),
    };
    match executor {
        Executor::ConstantVus { vus, .. } => format!("constant-vus {vus}"),
        Executor::RampingVus {
            start_vus, stages, ..
        } => {
            format!("ramping-vus {}", path(*start_vus, stages))
        }
        Executor::ConstantArrivalRate {
            rate, time_unit_ns, ..
        } => {
            format!("constant-arrival-rate {rate}{}", per(*time_unit_ns))
        }
        Executor::RampingArrivalRate {
            start_rate,
            time_unit_ns,
            stages,
            ..
        } => {
            format!(
                "ramping-arrival-rate {}{}",
                path(*start_rate, stages),
                per(*time_unit_ns)
            )
        }
        Executor::PerVuIterations {
            vus, iterations, ..
        } => {
            format!("per-vu-iterations {vus} × {iterations}")
        }
        Executor::SharedIterations {
            vus, iterations, ..
        } => {
            format!("shared-iterations {iterations} by {vus}")
        }
        Executor::ExternallyControlled { vus, max_vus, .. } => {
            format!("externally-controlled {vus} of {max_vus}")
        }
        Executor::NoLoad { .. } => "-".to_owned(),
    }
}

fn path(start: u32, stages: &[Stage]) -> String {
    /// More than these would push all else from the screen.
    const MOST: usize = 6;
    let targets = stages.iter().map(|stage| stage.target);
    if stages.len() > MOST {
        let all = || std::iter::once(start).chain(targets.clone());
        let (least, most) = (all().min().unwrap_or(0), all().max().unwrap_or(0));
        return format!("{least}…{most}");
    }
    let numbers: Vec<String> = std::iter::once(start)
        .chain(targets)
        .map(|n| n.to_string())
        .collect();
    numbers.join("→")
}

/// The end of a run: what the generator measured.
pub(crate) fn summary(summary: &Summary, client_spans: Option<&ClientSpanReport>) -> String {
    let table = table_of_scenarios(&summary.scenarios);
    let legend = "Latency in ms from the actual send; * from the intended send. lag: p99 of actual \
                  minus intended send, in ms.";
    let mut out = format!("\n{table}\n{}", wrapped(legend, ""));
    let failures: String = summary.scenarios.iter().filter_map(failures).collect();
    if !failures.is_empty() {
        out += &format!("Requests that did not go as the flows expect:\n{failures}");
    }
    out += &warnings(summary, client_spans);
    out
}

fn table_of_scenarios(scenarios: &[ScenarioSummary]) -> Table {
    let columns = [
        "scenario", "requests", "req/s", "iter/s", "asked", "failed", "dropped", "p50", "p95",
        "p99", "max", "p99*", "lag",
    ];
    let numbers: Vec<usize> = (1..columns.len()).collect();
    let mut table = table(&columns, &numbers);
    if width() < WIDEST {
        // What is left is in summary.json.
        let second = ["iter/s", "asked", "max", "p95"];
        for (index, _) in columns
            .iter()
            .enumerate()
            .filter(|(_, name)| second.contains(name))
        {
            table.hide(index);
        }
    }
    for scenario in scenarios {
        table.add_row([
            scenario.scenario.clone(),
            scenario.requests.to_string(),
            format!("{:.1}", scenario.requests_per_s),
            format!("{:.1}", scenario.achieved_iterations_per_s),
            scenario
                .asked_iterations_per_s
                .map_or("-".into(), |asked| format!("{asked:.1}")),
            scenario.failed.to_string(),
            scenario.dropped_iterations.to_string(),
            ms(scenario.latency.map(|l| l.p50_ms)),
            ms(scenario.latency.map(|l| l.p95_ms)),
            ms(scenario.latency.map(|l| l.p99_ms)),
            ms(scenario.latency.map(|l| l.max_ms)),
            ms(scenario.latency_from_intended.map(|l| l.p99_ms)),
            ms(scenario.scheduling_lag.map(|l| l.p99_ms)),
        ]);
    }
    table
}

/// A line with the kinds of failures of a scenario and how often they came; none: all went well.
fn failures(scenario: &ScenarioSummary) -> Option<String> {
    let mut kinds: Vec<String> = scenario
        .failures
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    if scenario.unsent_steps > 0 {
        kinds.push(format!(
            "{} steps not sent for want of a value",
            scenario.unsent_steps
        ));
    }
    let line = || {
        wrapped(
            &format!("{}: {}", scenario.scenario, kinds.join(", ")),
            "  ",
        )
    };
    (!kinds.is_empty()).then(line)
}

/// What went wrong beside the requests.
fn warnings(summary: &Summary, client_spans: Option<&ClientSpanReport>) -> String {
    let mut out = String::new();
    let mut warn = |text: &str| out += &wrapped(&format!("warning: {text}"), "");
    let of_scenario = |s: &ScenarioSummary| s.failures.get(Failure::Generator.name()).copied();
    let short: u64 = summary.scenarios.iter().filter_map(of_scenario).sum();
    if short > 0 {
        warn(&format!(
            "{short} requests were not sent, because this generator ran out of file descriptors or of \
             ports: they say nothing of the target. Raise the hard limit (`ulimit -Hn`) and \
             `net.ipv4.ip_local_port_range`, ask for fewer VUs, or share the run among several \
             generators (--shard)"
        ));
    }
    for failure in &summary.fault_failures {
        warn(failure);
    }
    for step in &summary.clock_steps_ns {
        let ms = step / 1_000_000;
        warn(&format!(
            "the wall clock was moved during the run, by {ms} ms"
        ));
    }
    match client_spans {
        Some(report) if report.lost > 0 || report.last_error.is_some() => {
            let why = report.last_error.as_deref().unwrap_or("unknown");
            warn(&format!(
                "{} of {} client spans were not exported ({why}): their traces have no root",
                report.lost,
                report.lost + report.exported
            ));
        }
        _ => {}
    }
    out
}

/// What the doctor found: each step, what became of the traces, and what to fix.
pub(crate) fn doctor(
    steps: &[StepOutcome],
    traces: Option<&Diagnosis>,
    findings: &[Finding],
) -> String {
    let mut out = format!("\n{}\n", table_of_steps(steps));
    if let Some(traces) = traces {
        out += &arrival(traces);
        out += &format!("{}\n", table_of_services(traces));
    }
    for finding in findings {
        let level = match finding.level {
            loadgen_doctor::FindingLevel::Error => "ERROR",
            loadgen_doctor::FindingLevel::Warning => "WARNING",
            loadgen_doctor::FindingLevel::Info => "info",
        };
        let what = format!("{level} {}: {}", finding.id, finding.message);
        out += &format!("\n{}{}", wrapped(&what, ""), wrapped(&finding.advice, "  "));
    }
    if findings.is_empty() {
        out += "\nNothing to fix.\n";
    }
    out
}

fn table_of_steps(steps: &[StepOutcome]) -> Table {
    let mut rows = table(
        &["flow", "step", "request", "status", "ms", "found"],
        &[3, 4],
    );
    for step in steps {
        let status = step
            .status
            .map_or_else(String::new, |status| status.to_string());
        let found = if step.problem.is_empty() {
            "ok"
        } else {
            &step.problem
        };
        rows.add_row([
            step.flow.clone(),
            step.step.clone(),
            format!("{} {}", step.method, step.path),
            status,
            format!("{:.1}", step.milliseconds),
            found.to_owned(),
        ]);
    }
    rows
}

/// How many traces arrived, where they begin, and how far they go.
fn arrival(traces: &Diagnosis) -> String {
    let begins: Vec<String> = (traces.begins_at.iter())
        .map(|(service, traces)| format!("{traces} begin at {service}"))
        .collect();
    let begins = match begins.is_empty() {
        true => "none begins at our request".to_owned(),
        false => begins.join(", "),
    };
    let text = format!(
        "{} of {} traces arrived; {begins}; at most {} services in one",
        traces.arrived, traces.sent, traces.most_services
    );
    format!("\n{}", wrapped(&text, ""))
}

fn table_of_services(traces: &Diagnosis) -> Table {
    let mut services = table(
        &["service", "spans", "captured headers", "baggage", "clock"],
        &[1],
    );
    for (name, service) in &traces.services {
        let captured: Vec<&str> = service.captured.iter().map(String::as_str).collect();
        let clock = match (service.ahead_ns, service.bound_ns) {
            (Some(ahead), Some(bound)) => {
                format!(
                    "{:+.1} ms ± {:.1} ms",
                    ahead as f64 / 1e6,
                    bound as f64 / 1e6
                )
            }
            _ => "not known".to_owned(),
        };
        services.add_row([
            name.clone(),
            service.spans.to_string(),
            captured.join(" "),
            if service.baggage { "yes" } else { "no" }.to_owned(),
            clock,
        ]);
    }
    services
}

/// A table for people. On a terminal text is broken so that the table fits; elsewhere a row is a line.
pub(crate) struct Table(comfy_table::Table);

/// Takes no room on the screen; text may be broken where it stands.
const BREAK: char = '\u{200b}';

impl Table {
    pub(crate) fn add_row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        let cells = cells.into_iter().map(|cell| breakable(cell.as_ref()));
        self.0.add_row(cells);
    }

    /// Leaves a column out.
    fn hide(&mut self, index: usize) {
        if let Some(column) = self.0.column_mut(index) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().replace(BREAK, ""))
    }
}

/// Text that is broken between words, and in names where their parts end: `db_`, `exhaustion`.
fn breakable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        out.push(character);
        let in_name = before.is_alphabetic()
            && matches!(character, '_' | '-' | '/' | '.')
            && characters.peek().is_some_and(|next| next.is_alphabetic());
        if character == ' ' || in_name {
            out.push(BREAK);
        }
        before = character;
    }
    out
}

/// A table whose columns at `right` are numbers.
pub(crate) fn table(columns: &[&str], right: &[usize]) -> Table {
    let mut table = comfy_table::Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_delimiter(BREAK)
        .set_header(columns);
    let is_narrow = width() < WIDEST;
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((1, 0));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
            column.set_constraint(ColumnConstraint::ContentWidth);
        } else if is_narrow {
            // Never a letter below the other.
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(10)));
        }
    }
    Table(table)
}

/// The most columns that text is broken for.
const WIDEST: usize = 100;

/// Columns that text is broken for: those of the terminal, at most [`WIDEST`].
fn width() -> usize {
    let of_terminal = comfy_table::Table::new()
        .width()
        .map_or(WIDEST, usize::from);
    of_terminal.clamp(40, WIDEST)
}

/// A line of text as lines that fit the screen, each with an indent; those after the first with two
/// columns more.
pub(crate) fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = indent.to_owned();
    let mut is_first_word = true;
    let width = width();
    for word in text.split(' ') {
        if !is_first_word && line.chars().count() + 1 + word.chars().count() > width {
            out += &line;
            out.push('\n');
            line = format!("{indent}  ");
            is_first_word = true;
        }
        if !is_first_word {
            line.push(' ');
        }
        line += word;
        is_first_word = false;
    }
    out + &line + "\n"
}

/// A number of things, in words.
pub(crate) fn counted(number: impl Into<u64>, thing: &str) -> String {
    match number.into() {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

fn ms(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}

/// `1m30s`, `500ms`: as in scenario files.
fn duration(ns: u64) -> String {
    let (minutes, rest) = (ns / 60_000_000_000, ns % 60_000_000_000);
    let seconds = rest as f64 / 1e9;
    match (minutes, rest) {
        (0, 0) => "0s".into(),
        (0, 1..1_000_000_000) => format!("{}ms", rest as f64 / 1e6),
        (0, _) => format!("{seconds}s"),
        (_, 0) => format!("{minutes}m"),
        _ => format!("{minutes}m{seconds}s"),
    }
}

fn bytes(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    if kib < 1024.0 {
        format!("{kib:.1} KiB")
    } else {
        format!("{:.1} MiB", kib / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_table_are_broken_where_their_parts_end() {
        let parts = |text: &str| -> Vec<String> {
            let text = breakable(text);
            text.split(BREAK).map(str::to_owned).collect()
        };
        assert_eq!(parts("db_exhaustion"), ["db_", "exhaustion"]);
        assert_eq!(parts("GET /a/{id}"), ["GET ", "/a/{id}"]);
        assert_eq!(parts("constant-vus 10"), ["constant-", "vus ", "10"]);
        // Numbers stay whole.
        assert_eq!(parts("-0.25"), ["-0.25"]);
        let mut narrow = table(&["name"], &[]);
        narrow.0.set_width(16);
        narrow.add_row(["dependency_bottleneck"]);
        let shown = narrow.to_string();
        assert!(
            shown.contains(" dependency_") && shown.contains(" bottleneck"),
            "{shown}"
        );
        assert!(!shown.contains(BREAK));
    }

    #[test]
    fn text_is_broken_between_words() {
        let text = format!("{} bcd", "a".repeat(97));
        assert_eq!(wrapped(&text, ""), format!("{}\n  bcd\n", "a".repeat(97)));
        assert_eq!(wrapped("ab cd", "  "), "  ab cd\n");
        // What can't be broken stays whole.
        assert_eq!(wrapped(&"a".repeat(120), ""), "a".repeat(120) + "\n");
    }
}
