//! The end of an extraction: each window with its verdict, what stays out of the files of classes, what
//! the audit found, the files.

use std::path::Path;

use loadgen_extract::ExtractReport;
use loadgen_timeline::audit::{Audit, DatasetVerdict, Figures, Level, WindowFigures};

use super::{bytes, counted, table, wrapped};

/// So many details of a check are shown.
const DETAILS_SHOWN: usize = 10;

/// The dataset: windows first. `show` is the folder that `loadgen show` is to be given, `page` the
/// report, if there is one; `earlier` the number of extractions that are in the folder already.
pub(crate) fn dataset(
    report: &ExtractReport,
    show: &Path,
    page: Option<&Path>,
    earlier: usize,
) -> String {
    let figures = &report.figures;
    let mut out = windows(&figures.windows);
    out += &left_out(figures);
    let read = format!(
        "{}, {} and {} read from {} of {}, {}",
        counted(figures.spans.read, "span"),
        counted(figures.points.read, "data point"),
        counted(figures.logs.read, "log record"),
        counted(report.input.files, "file"),
        bytes(report.input.bytes),
        counted(figures.traces, "trace")
    );
    out += &wrapped(&read, "");
    let filtered = figures.spans.filtered + figures.points.filtered + figures.logs.filtered;
    if filtered > 0 {
        out += &format!("{filtered} of them left out on request\n");
    }
    let foreign = figures.spans.foreign + figures.points.foreign + figures.logs.foreign;
    if foreign > 0 {
        let text = format!(
            "{foreign} of these rows left out: of another run, of the doctor, or from outside the run's \
             time"
        );
        out += &wrapped(&text, "");
    }
    for problem in report.skipped.iter().chain(&report.torn).take(10) {
        let text = format!(
            "warning: {}, line {}, byte {}: {}",
            problem.file.display(),
            problem.line,
            problem.byte,
            problem.reason
        );
        out += &wrapped(&text, "");
    }
    out += &checks(&report.audit, Level::Info);
    out += &format!("\nWritten to {}:\n", report.output.display());
    let mut without_rows = Vec::new();
    for file in &report.files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let rows = match (name.ends_with(".json"), file.rows) {
            (true, _) => String::new(),
            (false, 0) => {
                without_rows.push(name);
                continue;
            }
            (false, rows) => format!("{rows} rows, "),
        };
        out += &format!("  {name}  {rows}{}\n", bytes(file.bytes));
    }
    if !without_rows.is_empty() {
        out += &wrapped(&format!("without rows: {}", without_rows.join(", ")), "  ");
    }
    out += &self::earlier(report, earlier);
    out += &format!(
        "\nWhat each verdict rests on:\n  loadgen show {}\n",
        show.display()
    );
    if let Some(page) = page {
        out += &format!("\nTo look at in a browser:\n  {}\n", page.display());
    }
    out
}

/// That there are earlier extractions in the same folder.
fn earlier(report: &ExtractReport, earlier: usize) -> String {
    if earlier == 0 {
        return String::new();
    }
    let text = format!(
        "note: {} is in the same folder; `show`, `report` and `dataset build` take this one, {}",
        counted(earlier as u64, "earlier extraction"),
        report.stamp
    );
    wrapped(&text, "")
}

/// A line for each window; none without a timeline.
fn windows(windows: &[WindowFigures]) -> String {
    if windows.is_empty() {
        return "\n".to_owned();
    }
    let columns = ["window", "verdict", "strongest effect", "met", "rank"];
    let mut table = table(&columns, &[3, 4]);
    for window in windows {
        let effect = window.effect.as_ref().map_or("-".to_owned(), |of| {
            format!(
                "{:+.2} ({:+.2} to {:+.2}) {}",
                of.value, of.low, of.high, of.signal
            )
        });
        let met = window.traces_met.map_or("-".to_owned(), |n| n.to_string());
        let rank = match (window.root_cause_rank, window.root_cause_tied) {
            (None, _) => "-".to_owned(),
            (Some(rank), false) => rank.to_string(),
            (Some(rank), true) => format!("{rank}="),
        };
        table.add_row([
            window_label(window),
            verdict_label(window).to_owned(),
            effect,
            met,
            rank,
        ]);
    }
    let legend = "met: traces that met the declared service while the window's condition held. rank: its \
                  place among all services, = where tied. Both only where an anomaly is declared.";
    format!("\n{table}\n{}{}", wrapped(legend, ""), higher_load(windows))
}

/// That effects may be those of the load alone.
fn higher_load(windows: &[WindowFigures]) -> String {
    let with_more = |window: &WindowFigures| {
        let is_backed = matches!(window.verdict.as_deref(), Some("supported" | "weak"));
        let times = window.higher_load.filter(|_| is_backed)?;
        Some(format!("{} {times:.1} ×", window_label(window)))
    };
    let with_more: Vec<String> = windows.iter().filter_map(with_more).collect();
    if with_more.is_empty() {
        return String::new();
    }
    let text = format!(
        "note: services get more requests a second than in normal time ({}). What is due to that and what \
         to a fault can't be told apart, only by a sham window under the same load.",
        with_more.join(", ")
    );
    wrapped(&text, "")
}

/// A window's verdict, and that there was nothing to compare it with.
pub(crate) fn verdict_label(window: &WindowFigures) -> &str {
    match &window.verdict {
        Some(_) if window.is_not_compared() => "clean, not compared",
        Some(verdict) => verdict,
        None if window.warm_up => "-",
        None => "not evaluated",
    }
}

/// A window by its scenario, and by its type where that has another name.
pub(crate) fn window_label(window: &WindowFigures) -> String {
    let (scenario, kind) = (&window.scenario, &window.anomaly_type);
    match &window.declared {
        _ if window.warm_up => format!("{scenario} (warm-up)"),
        Some(declared) if window.sham => format!("{scenario} (sham of {declared})"),
        Some(declared) if window.harmless => {
            format!("{scenario} (harmless, evaluated as {declared})")
        }
        _ if scenario == kind => scenario.clone(),
        _ => format!("{scenario} ({kind})"),
    }
}

/// How many spans are in no file of a class, and why.
fn left_out(figures: &Figures) -> String {
    let all: u64 = figures.left_out.values().sum();
    if all == 0 {
        return String::new();
    }
    let mut reasons: Vec<(&String, &u64)> = figures.left_out.iter().collect();
    reasons.sort_by_key(|(_, spans)| std::cmp::Reverse(**spans));
    let reasons: Vec<String> = reasons
        .iter()
        .map(|(why, spans)| format!("{spans} {why}"))
        .collect();
    let text = format!(
        "{} of {} spans are in the files of classes; left out: {}",
        figures.spans.written.saturating_sub(all),
        figures.spans.written,
        reasons.join(", ")
    );
    wrapped(&text, "")
}

/// All checks of an audit that was repeated: those that found something in full, the others by name.
pub(crate) fn audit(audit: &Audit) -> String {
    let legend = "The check `files` is of this command alone: it looks at the files on the disk. The \
                  others are those of the extraction.";
    checks(audit, Level::Ok) + &wrapped(legend, "")
}

/// The checks from a level on, and the verdict.
fn checks(audit: &Audit, from: Level) -> String {
    let mut checks = table(&["check", "level", "found"], &[]);
    let shown = || audit.checks.iter().filter(|check| check.level >= from);
    for check in shown() {
        let level = match check.level {
            Level::Ok => "ok",
            Level::Info => "info",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        };
        let cells = [&*check.id, level, &check.figure];
        checks.add_row(cells.map(str::to_owned));
    }
    let mut out = match shown().next() {
        Some(_) => format!("\n{checks}\n"),
        None => String::new(),
    };
    for check in shown().filter(|check| check.level > Level::Info) {
        let limit = match check.limit.as_str() {
            "" => String::new(),
            limit => format!(" (limit: {limit})"),
        };
        let found = format!("{}: {}{limit}.", check.id, check.figure);
        out += &format!("\n{}{}", wrapped(&found, ""), wrapped(&check.advice, "  "));
        let hidden = check.details.len().saturating_sub(DETAILS_SHOWN);
        for detail in check.details.iter().take(DETAILS_SHOWN) {
            out += &wrapped(&format!("- {detail}"), "  ");
        }
        if hidden > 0 {
            out += &format!("  and {hidden} more in the audit file\n");
        }
    }
    let quiet = audit.checks.iter().filter(|c| c.level == Level::Ok).count();
    out += &format!(
        "\nAudit: {} ({quiet} of {} checks found nothing)\n",
        verdict(audit.verdict),
        audit.checks.len()
    );
    out
}

/// What to think of a dataset, in words.
pub(crate) fn verdict(verdict: DatasetVerdict) -> &'static str {
    match verdict {
        DatasetVerdict::Usable => "usable",
        DatasetVerdict::UsableWithWarnings => "usable with warnings",
        DatasetVerdict::NotUsable => "NOT USABLE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_timeline::audit::Effect;

    fn window(scenario: &str, kind: &str) -> WindowFigures {
        WindowFigures {
            scenario: scenario.into(),
            anomaly_type: kind.into(),
            verdict: Some("supported".into()),
            traces: 300,
            traces_met: Some(215),
            root_cause_rank: Some(1),
            root_cause_tied: true,
            effect: Some(Effect {
                signal: "saturation".into(),
                value: 0.93,
                low: 0.88,
                high: 0.972,
            }),
            ..WindowFigures::default()
        }
    }

    #[test]
    fn a_line_for_each_window_fits_the_screen() {
        let mut sham = window("quiet", "none");
        (sham.sham, sham.declared) = (true, Some("dependency_bottleneck".into()));
        let mut warm_up = window("warm_up", "none");
        (warm_up.warm_up, warm_up.verdict, warm_up.effect) = (true, None, None);
        (warm_up.traces_met, warm_up.root_cause_rank) = (None, None);
        let shown = windows(&[
            window("dependency_bottleneck", "dependency_bottleneck"),
            sham,
            warm_up,
        ]);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines.iter().all(|line| line.chars().count() <= 100),
            "{shown}"
        );
        let has = |parts: &[&str]| {
            lines
                .iter()
                .any(|l| parts.iter().all(|part| l.contains(part)))
        };
        let effect = "+0.93 (+0.88 to +0.97) saturation";
        assert!(
            has(&[
                " dependency_bottleneck ",
                "supported",
                effect,
                "  215 ",
                "1="
            ]),
            "{shown}"
        );
        assert!(
            has(&["quiet (sham of dependency_bottleneck)", "supported"]),
            "{shown}"
        );
        // What met no declared service is not counted as if it had.
        assert!(has(&["warm_up (warm-up)", "    -     -│"]), "{shown}");
        assert!(!shown.contains("300"), "{shown}");
        assert!(!shown.contains("note:"), "{shown}");
    }

    #[test]
    fn an_effect_that_may_be_that_of_the_load_is_told() {
        let mut spike = window("spike", "latency_spike");
        spike.higher_load = Some(3.24);
        let told = |window| windows(&[window]).replace("\n  ", " ");
        let note = "than in normal time (spike (latency_spike) 3.2 ×)";
        assert!(told(spike.clone()).contains(note));
        spike.verdict = Some("not_supported".to_owned());
        assert!(!told(spike).contains("note:"));
    }

    #[test]
    fn what_is_left_out_is_told_by_reason() {
        let mut figures = Figures::default();
        figures.spans.written = 100;
        assert_eq!(left_out(&figures), "");
        figures.left_out = [
            ("label unknown".to_owned(), 5),
            ("not steady".to_owned(), 30),
        ]
        .into();
        assert_eq!(
            left_out(&figures),
            "65 of 100 spans are in the files of classes; left out: 30 not steady, 5 label unknown\n"
        );
    }
}
