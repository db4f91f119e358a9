//! `README.md`: the dataset's card in the form that Hugging Face reads, filled in from facts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::cases::{CASES, audit_name};
use crate::facts::{Facts, FaultFacts, count, day};
use crate::splits::{Split, SplitBy};
use crate::verdict::MOST_UNSUPPORTED;
use crate::windows::Standing;

/// What the file is called.
pub(crate) const CARD: &str = "README.md";

/// So many unsupported windows, and notes, are named; all are in the index.
const NAMED: usize = 20;

/// The card.
pub(crate) fn card(facts: &Facts<'_>) -> String {
    let mut text = front_matter(facts);
    let _ = write!(
        text,
        "\n# {}\n\n{}\n",
        plain(&facts.title()),
        plain(&facts.summary())
    );
    if !facts.standing.usable {
        let _ = write!(
            text,
            "\n> **Not usable as it is**: {} of {} windows with an anomaly are not supported by the \
             measurements, more than {:.0} %.\n",
            facts.standing.unsupported.len(),
            facts.standing.counted,
            100.0 * MOST_UNSUPPORTED
        );
    }
    for part in [
        contents, splits, loading, faults, verdicts, runs, hardware, limits, ending,
    ] {
        text.push('\n');
        text += &part(facts);
    }
    text
}

/// A line of text from a run's files, as text and nothing else.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' => out.extend(['\\', c]),
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A text as YAML and JSON write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What Hugging Face reads: `datasets` loads each configuration by its name.
fn front_matter(facts: &Facts<'_>) -> String {
    let mut yaml = format!("---\npretty_name: {}\n", quoted(&facts.title()));
    if let Some(licence) = &facts.about.licence {
        let _ = writeln!(yaml, "license: {}", quoted(licence));
    }
    let rows: u64 = facts.tables.tables.values().map(|of| of.rows).sum();
    let _ = writeln!(yaml, "size_categories:\n- {}", size_category(rows));
    yaml += "tags:\n- anomaly-detection\n- root-cause-analysis\n- microservices\n- opentelemetry\n\
             - time-series\nconfigs:\n";
    let mut config = |name: &str, files: &str, is_default: bool| {
        let _ = writeln!(yaml, "- config_name: {name}\n  data_files: \"{files}\"");
        if is_default {
            yaml += "  default: true\n";
        }
    };
    config(CASES, &format!("{CASES}.parquet"), true);
    for (table, _) in facts.tables.tables.iter().filter(|(_, of)| of.rows > 0) {
        config(table, &format!("tables/{table}/*/*.parquet"), false);
    }
    for (class, _) in facts.tables.classes.iter().filter(|(_, rows)| **rows > 0) {
        config(
            &format!("class-{class}"),
            &format!("classes/{class}/*/*.parquet"),
            false,
        );
    }
    yaml + "---\n"
}

fn size_category(rows: u64) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        10_000_000..100_000_000 => "10M<n<100M",
        100_000_000..1_000_000_000 => "100M<n<1B",
        _ => "n>1B",
    }
}

fn contents(facts: &Facts<'_>) -> String {
    let mut text = "## What is in it\n\n\
        - `cases.parquet`, `cases.csv`: the index, a row for each window of each run.\n\
        - `tables/<table>/run_id=<run>/part.parquet`: all rows of all runs, partitioned by run.\n\
        - `classes/<type>/run_id=<run>/part.parquet`: spans to train on, by anomaly type (`normal` \
        too): steady time of windows that the measurements back.\n\
        - `runs/<run>/`: what each run says of itself: timeline (ground truth), scenario, plan, \
        evidence, audit.\n\
        - `splits.json`: lists of episodes to train, validate and test with.\n\
        - `columns.json`: each column of each table, with type, unit and meaning.\n\
        - `croissant.json`, `SHA256SUMS` (`sha256sum -c SHA256SUMS`).\n\n\
        Each row of each table has its `run_id` and `episode_id`. An episode is the normal time before \
        an anomaly, the anomaly, and the recovery from it; no trace lies in two.\n\n\
        | Table | Rows | Columns |\n|---|--:|--:|\n"
        .to_owned();
    for (table, of) in &facts.tables.tables {
        let _ = writeln!(
            text,
            "| `{table}` | {} | {} |",
            of.rows,
            of.schema.fields().len()
        );
    }
    text += "\n| Class | Spans |\n|---|--:|\n";
    for (class, rows) in &facts.tables.classes {
        let _ = writeln!(text, "| `{class}` | {rows} |");
    }
    let all: u64 = facts.spans_by_type().values().sum();
    text += "\n| Anomaly type, of all spans | Spans | Share |\n|---|--:|--:|\n";
    for (kind, spans) in facts.spans_by_type() {
        let share = 100.0 * spans as f64 / all.max(1) as f64;
        let _ = writeln!(text, "| {} | {spans} | {share:.1} % |", plain(kind));
    }
    text
}

fn splits(facts: &Facts<'_>) -> String {
    let dealt = facts.dealt;
    let options = &dealt.options;
    let unit = match options.by {
        SplitBy::Episode => "Episodes",
        SplitBy::Run => "Runs",
    };
    let mut text = format!(
        "## Splits\n\n\
         {unit} are dealt out to five folds, by fault (seed {}); shams and normal time are dealt out \
         like faults of their own. Column `fold` says which, column `split` what for: fold 4 is \
         `test`, 3 `validation`, the others `train`. No trace is in two. Rows of the first {} s of an \
         episode that follows one of another split in the same run are in none. `splits.json` has the \
         lists, also to leave out a fault or a service. Never split by row.\n\n\
         | Episodes with | Train | Validation | Test |\n|---|--:|--:|--:|\n",
        options.seed, options.embargo_s
    );
    for (group, [train, validation, test]) in dealt.by_group() {
        let name = plain(&group.to_string());
        let _ = writeln!(text, "| {name} | {train} | {validation} | {test} |");
    }
    text += "\n| Spans, by anomaly type | Train | Validation | Test | In no split |\n\
             |---|--:|--:|--:|--:|\n";
    let spans = &facts.tables.spans;
    let kinds: BTreeSet<&String> = spans.keys().map(|(kind, _)| kind).collect();
    for kind in kinds {
        let splits = Split::ALL.into_iter().map(Some).chain([None]);
        let counts = splits.map(|split| spans.get(&(kind.clone(), split)).copied());
        let counts = counts.map(|count| count.unwrap_or_default().to_string());
        let counts = counts.collect::<Vec<_>>().join(" | ");
        let _ = writeln!(text, "| {} | {counts} |", plain(kind));
    }
    text
}

fn loading(_: &Facts<'_>) -> String {
    "## How to load it\n\n\
     ```python\n\
     import duckdb, pandas, polars\n\n\
     cases = pandas.read_parquet(\"cases.parquet\")\n\
     spans = polars.scan_parquet(\"tables/traces_labeled/**/*.parquet\", hive_partitioning=True)\n\
     duckdb.sql(\"\"\"\n    \
         SELECT anomaly_type, count(*)\n    \
         FROM read_parquet('tables/traces_labeled/**/*.parquet', hive_partitioning = true)\n    \
         GROUP BY 1 ORDER BY 1\n\
     \"\"\")\n\
     ```\n\n\
     With `datasets`, from this folder or from the hub: `load_dataset(\".\", \"traces_labeled\")`.\n"
        .to_owned()
}

fn faults(facts: &Facts<'_>) -> String {
    let mut text = "## Faults\n\n\
        | Anomaly type | Service | Fault | Driver | Intensity | Windows | Verdicts |\n\
        |---|---|---|---|---|--:|---|\n"
        .to_owned();
    for ([kind, service, fault], of) in facts.faults() {
        let drivers: Vec<String> = of.drivers.iter().map(|driver| plain(driver)).collect();
        let drivers = match drivers.is_empty() {
            true => "-".to_owned(),
            false => drivers.join(", "),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {drivers} | {} | {} | {} |",
            plain(kind),
            plain(service),
            plain(fault),
            intensities(&of),
            windows(&of),
            listed(&of.by_verdict)
        );
    }
    if facts.faults().is_empty() {
        text = "## Faults\n\nNone: no window of any run declares an anomaly.\n".to_owned();
    }
    text
}

fn intensities(of: &FaultFacts) -> String {
    match of.intensities {
        None => "-".to_owned(),
        Some((least, most)) if least == most => least.to_string(),
        Some((least, most)) => format!("{least} to {most}"),
    }
}

fn windows(of: &FaultFacts) -> String {
    let apart = [
        (Standing::Sham, "sham"),
        (Standing::Harmless, "harmless change"),
    ];
    let apart: Vec<String> = (apart.into_iter())
        .filter_map(|(standing, name)| Some((of.by_standing.get(&standing)?, name)))
        .map(|(number, name)| count(*number as usize, name))
        .collect();
    match apart.is_empty() {
        true => of.windows.to_string(),
        false => format!("{} ({})", of.windows, apart.join(", ")),
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let each = counts
        .iter()
        .map(|(name, count)| format!("{count} `{}`", name.replace('`', "'")));
    each.collect::<Vec<_>>().join(", ")
}

fn verdicts(facts: &Facts<'_>) -> String {
    let standing = facts.standing;
    let mut text = format!(
        "## Whether the labels are true\n\n\
         A label says what fault was confirmed to be in force. Beside it stands, for each window, \
         whether the measurements show it: `supported`, `weak`, `not_supported` or \
         `not_enough_data`; of normal time `clean` or `disturbed`. The comparisons are in \
         `runs/<run>/evidence.json`, effect and interval in the index.\n\n\
         {} of {} windows with an anomaly are not supported ({:.1} %; the dataset counts as not \
         usable above {:.0} %). Such windows stay in tables and index, with their verdict, and are \
         in no class. All windows, by how they count: {}. Shams, harmless changes, failed faults (`unknown`) and \
         intensities that are weak on purpose (below {}) are apart.\n",
        standing.unsupported.len(),
        standing.counted,
        100.0 * standing.share(),
        100.0 * MOST_UNSUPPORTED,
        listed(&standing.windows),
        standing.weak_below
    );
    if !standing.unsupported.is_empty() {
        text.push('\n');
    }
    for window in standing.unsupported.iter().take(NAMED) {
        let _ = writeln!(text, "- {}", plain(window));
    }
    let more = standing.unsupported.len().saturating_sub(NAMED);
    if more > 0 {
        let _ = writeln!(text, "- and {more} more, in the index");
    }
    text
}

fn runs(facts: &Facts<'_>) -> String {
    let mut text = "## Runs\n\n\
        | Run | Began (UTC) | Scenario file | Seed | Time scale | Engine | Target | loadgen | Episodes | Audit |\n\
        |---|---|---|--:|--:|---|---|---|--:|---|\n"
        .to_owned();
    for run in facts.runs {
        let of = &run.input.facts;
        let started = of.started.as_ref();
        let engine = started.map_or("-".to_owned(), |run| {
            let version = run.engine_version.as_deref().unwrap_or_default();
            let name = match run.engine {
                loadgen_timeline::event::Engine::Rust => "loadgen",
                loadgen_timeline::event::Engine::K6 => "k6",
            };
            format!("{name} {version}").trim_end().to_owned()
        });
        let target = started.map_or("-", |run| &run.target);
        let version = started.map_or(&*of.extracted_by, |run| &run.loadgen_version);
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            run.input.run_id,
            day(of.began_ns),
            plain(&of.scenario_file),
            of.seed,
            of.time_scale,
            plain(&engine),
            plain(target),
            plain(version),
            run.episodes.len(),
            audit_name(of.verdict).replace('_', " ")
        );
    }
    for run in facts.left_out {
        let _ = write!(
            text,
            "\nLeft out, because its audit finds it not usable: {}.\n",
            plain(run)
        );
    }
    text
}

fn hardware(facts: &Facts<'_>) -> String {
    let hardware = match &facts.about.hardware {
        Some(hardware) => plain(hardware),
        None => "Not recorded.".to_owned(),
    };
    format!("## Hardware\n\n{hardware}\n")
}

fn limits(facts: &Facts<'_>) -> String {
    let mut text = "## Limits\n\n\
        - The load is generated, the faults are injected: neither is drawn from a real operation.\n\
        - A row's label says what was wrong with the system at its moment, not whether the row shows \
        it. `is_root_cause_service`, `touches_root_cause` and `service_affected` say more.\n"
        .to_owned();
    if let Some(unknown) = facts.spans_by_type().get("unknown") {
        let _ = writeln!(text, "- {unknown} spans have the label `unknown`.");
    }
    for run in facts
        .runs
        .iter()
        .filter(|run| !run.input.facts.errors.is_empty())
    {
        let _ = writeln!(
            text,
            "- Run {} is not usable by its audit and was taken all the same: {}.",
            run.input.run_id,
            plain(&run.input.facts.errors.join("; "))
        );
    }
    let findings = facts.findings();
    if !findings.is_empty() {
        let each = findings
            .iter()
            .map(|(check, runs)| format!("`{check}` in {runs}"));
        let _ = writeln!(
            text,
            "- Audits of {} found something, which `runs/<run>/audit.json` tells: {}.",
            count(facts.runs.len(), "run"),
            each.collect::<Vec<_>>().join(", ")
        );
    }
    for note in facts.notes.iter().take(NAMED) {
        let _ = writeln!(text, "- {}.", plain(note));
    }
    text
}

fn ending(facts: &Facts<'_>) -> String {
    let licence = match &facts.about.licence {
        Some(licence) => plain(licence),
        None => "None is stated; ask its makers.".to_owned(),
    };
    format!(
        "## Licence\n\n{licence}\n\n\
         ## Citation\n\n```bibtex\n{}\n```\n\n\
         The SHA-256 in it is that of all lines of `SHA256SUMS` but those of this file, of \
         `croissant.json`, `columns.json` and `report.html`.\n",
        facts.citation().replace('`', "'")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_runs_stays_text() {
        assert_eq!(
            plain("a|b <script>\n# `x`"),
            "a\\|b &lt;script> \\# \\`x\\`"
        );
        assert_eq!(quoted("a: \"b\"\n"), r#""a: \"b\"\n""#);
        assert_eq!(
            [size_category(999), size_category(1000)],
            ["n<1K", "1K<n<10K"]
        );
    }
}
