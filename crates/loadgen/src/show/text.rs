//! A dataset in words: each window's verdict and why, the signals of its declared service, the
//! ranking; then rows by label and phase.

use std::collections::BTreeMap;

use loadgen_evidence::{
    Estimate, EvaluatedAs, Measure, RankedService, SignalComparison, SignalEvidence, Strength,
    WindowEvidence,
};

use super::{Shown, ShownWindow};
use crate::tables::{self, counted, table, wrapped};

/// Services of a ranking that are shown, if not all are asked for.
const SERVICES_SHOWN: usize = 5;

/// All windows in short, or one in full.
pub(crate) fn text(shown: &Shown, in_full: bool) -> String {
    let mut out = format!(
        "Dataset {} in {}: {}\n",
        shown.stamp,
        shown.folder.display(),
        tables::verdict(shown.verdict)
    );
    if let Some(run) = &shown.run {
        let text = format!(
            "Run {} of {}, seed {}, time scale {}",
            run.run_id, run.scenario_file, run.seed, run.time_scale
        );
        out += &wrapped(&text, "");
    }
    out += &format!(
        "Windows are compared with {:.1} s of steady normal time\n",
        shown.reference.seconds
    );
    for window in &shown.windows {
        out += &of_window(window, in_full);
    }
    if in_full {
        return out;
    }
    out += "\nSpans by anomaly type and by phase:\n";
    for (name, counts) in [
        ("type", &shown.spans_by_type),
        ("phase", &shown.spans_by_phase),
        ("in no file of a class", &shown.left_out),
    ] {
        if !counts.is_empty() {
            out += &wrapped(&format!("{name}: {}", list(counts)), "  ");
        }
    }
    out
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    parts.join(", ")
}

fn of_window(window: &ShownWindow, in_full: bool) -> String {
    let (figures, evidence) = (&window.figures, &window.evidence);
    let mut out = format!(
        "\n{}  {}: {}\n",
        window.number,
        tables::window_label(figures),
        match evidence.verdict {
            Some(_) => tables::verdict_label(figures),
            None => "not evaluated, it only warms the target up",
        }
    );
    for reason in &evidence.reasons {
        out += &wrapped(reason, "   ");
    }
    out += &wrapped(&facts(window).join(", "), "   ");
    let signals = signals(evidence, in_full);
    if !signals.is_empty() {
        let of = match evidence.declared.as_ref().map(|d| &d.root_cause_service) {
            Some(Some(service)) => format!("of {service}"),
            Some(None) => "of all services together".to_owned(),
            None => "of all services".to_owned(),
        };
        out += &format!("   Signals {of}:\n{signals}");
    }
    if evidence.evaluated_as != EvaluatedAs::WarmUp {
        out += &ranking(evidence, in_full);
    }
    out
}

/// How long it was, what was sent, when it showed.
fn facts(window: &ShownWindow) -> Vec<String> {
    let (row, figures, evidence) = (&window.row, &window.figures, &window.evidence);
    let number = |name: &str| row.get(name).and_then(|text| text.parse::<i64>().ok());
    let mut facts = Vec::new();
    if let (Some(opened), Some(closed)) = (number("opened_ns"), number("closed_ns")) {
        facts.push(format!("{:.1} s", (closed - opened) as f64 / 1e9));
    }
    if let Some(fault) = row.get("fault") {
        let service = row.get("fault_service").map_or("?", String::as_str);
        facts.push(format!("{fault} in {service} ({})", figures.fault_state));
    }
    facts.push(counted(figures.requests, "request"));
    facts.push(counted(figures.traces, "trace"));
    facts.push(format!(
        "{} of {} spans steady",
        figures.steady_spans, figures.spans
    ));
    if let Some(declared) = &evidence.declared {
        let met = evidence.traces_met;
        facts.push(match &declared.root_cause_service {
            Some(service) => format!("{met} met {service} while its condition held"),
            None => format!("{met} while its condition held"),
        });
    }
    if let Some(onset) = evidence.onset_s {
        facts.push(format!("first effect {onset:.1} s after the injection"));
    }
    if let Some(recovery) = evidence.recovery_s {
        facts.push(format!("last effect {recovery:.1} s after the clearing"));
    }
    facts
}

/// The signals that were tested: what each stands for or, in full, all that was compared.
fn signals(evidence: &WindowEvidence, in_full: bool) -> String {
    const COLUMNS: [&str; 8] = [
        "signal",
        "of",
        "before",
        "in",
        "ratio",
        "effect",
        "95 % interval",
        "p",
    ];
    let columns = &COLUMNS[..if in_full { 8 } else { 7 }];
    let numbers = &[2, 3, 4, 5, 7][..if in_full { 5 } else { 4 }];
    let mut table = table(columns, numbers);
    let declared = evidence.declared.as_ref();
    let declared = declared.and_then(|d| d.root_cause_service.as_deref());
    let mut untested = String::new();
    let mut rows = 0;
    for signal in &evidence.family {
        if let Some(why) = signal.not_tested.as_ref().filter(|_| in_full) {
            untested += &wrapped(&format!("{}: not tested, {why}", signal.signal), "   ");
        }
        for comparison in shown_comparisons(signal, in_full) {
            let cells = cells(signal, comparison, declared);
            table.add_row(cells.into_iter().take(columns.len()));
            rows += 1;
        }
    }
    match rows {
        0 => untested,
        _ => format!("{table}\n{untested}"),
    }
}

fn shown_comparisons(signal: &SignalEvidence, in_full: bool) -> Vec<&SignalComparison> {
    match in_full {
        true => signal.comparisons.iter().collect(),
        false => {
            let deciding = signal.deciding.and_then(|at| signal.comparisons.get(at));
            deciding.into_iter().collect()
        }
    }
}

fn cells(signal: &SignalEvidence, of: &SignalComparison, declared: Option<&str>) -> [String; 8] {
    // The declared service stands above the table.
    let subject = of.subject.to_string();
    let own = declared.and_then(|service| subject.strip_prefix(service)?.strip_prefix(' '));
    [
        signal.signal.to_string(),
        own.unwrap_or(&subject).to_owned(),
        value(of.reference.value, of.measure),
        value(of.window.value, of.measure),
        of.ratio.map_or("-".to_owned(), |r| ratio(r.value)),
        format!("{:+.2}", of.effect.value),
        interval(&of.effect),
        p(of.p),
    ]
}

fn ratio(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.2} ×"),
        ..100.0 => format!("{ratio:.1} ×"),
        _ => format!("{ratio:.0} ×"),
    }
}

fn value(value: Option<f64>, measure: Measure) -> String {
    match (value, measure.unit()) {
        (None, _) => "-".to_owned(),
        (Some(value), "") => format!("{value:.3}"),
        (Some(value), unit) if value.abs() < 10.0 => format!("{value:.2} {unit}"),
        (Some(value), unit) => format!("{value:.0} {unit}"),
    }
}

fn interval(of: &Estimate) -> String {
    format!("{:.2} to {:.2}", of.low, of.high)
}

fn p(p: f64) -> String {
    match p {
        p if p < 0.0001 => "<0.0001".to_owned(),
        p => format!("{p:.4}"),
    }
}

/// Services by the strength of their own effect.
fn ranking(evidence: &WindowEvidence, in_full: bool) -> String {
    let declared = evidence
        .declared
        .as_ref()
        .and_then(|d| d.root_cause_service.as_deref());
    let mut out = String::new();
    let shown = if in_full {
        evidence.services.len()
    } else {
        SERVICES_SHOWN
    };
    let known = evidence.services.iter().filter(|s| s.strength.is_some());
    let lines: Vec<String> = known
        .take(shown)
        .map(|s| service(s, declared, in_full))
        .collect();
    if !lines.is_empty() {
        out += "   Services by their own effect:\n";
        out += &lines.concat();
    }
    if let Some(rank) = evidence
        .root_cause_rank
        .filter(|rank| rank.rank as usize > shown)
    {
        out += &format!(
            "     … the declared service is number {} of {}\n",
            rank.rank, rank.of
        );
    }
    if in_full && !evidence.edges.is_empty() {
        out += "   Calls between services by their effect:\n";
        for edge in evidence
            .edges
            .iter()
            .filter_map(|e| Some((e, e.strength.as_ref()?)))
        {
            let (of, strength) = edge;
            let name = format!("{} → {}", of.caller, of.callee);
            out += &format!(
                "     {:>2} {name:<34} {}\n",
                of.rank,
                self::strength(strength)
            );
        }
    }
    out
}

fn service(of: &RankedService, declared: Option<&str>, in_full: bool) -> String {
    let Some(strength) = &of.strength else {
        return String::new();
    };
    let mut notes = String::new();
    if let Some(onset) = of.onset_s.filter(|_| in_full) {
        notes += &format!(", from {onset:.1} s on");
    }
    if of.affected {
        notes += ", affected";
    }
    if declared == Some(&of.service) {
        notes += ", declared";
    }
    format!(
        "     {:>2} {:<16} {}{notes}\n",
        of.rank,
        of.service,
        self::strength(strength)
    )
}

fn strength(of: &Strength) -> String {
    let measure = serde_json::to_value(of.measure).ok();
    let measure = measure
        .as_ref()
        .and_then(|m| m.as_str())
        .unwrap_or_default()
        .replace('_', " ");
    format!(
        "{:+.2} ({}) {measure}, q {}",
        of.effect.value,
        interval(&of.effect),
        p(of.q)
    )
}
