//! The file of all spans is the same bytes whatever the order of lines, however spans are batched into
//! lines, and however lines are split into files; and there is a row for each span of the run.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use loadgen_extract::{ExtractOptions, ExtractReport, extract};
use proptest::prelude::*;

const START_NS: i64 = 1_770_000_000_000_000_000;

/// Windows of 100 ns with gaps of 20 ns between them, then one that overlaps with another type, and
/// two that overlap and are normal. The run begins with the first and ends with the last.
const WINDOWS: [(&str, i64, i64); 6] = [
    ("none", 0, 100),
    ("latency_spike", 120, 220),
    ("timeout", 240, 340),
    ("cache_miss", 300, 400),
    ("none", 420, 470),
    ("none", 440, 490),
];

#[derive(Debug, Clone)]
struct Span {
    trace: u8,
    is_root: bool,
    start: i64,
}

fn span() -> impl Strategy<Value = Span> {
    (0u8..12, prop::bool::weighted(0.2), 0i64..500).prop_map(|(trace, is_root, start)| Span {
        trace,
        is_root,
        start,
    })
}

/// A line of the spans at these positions; a span's position is its id.
fn line(spans: &[Span], positions: &[usize]) -> String {
    let mut line = r#"{"resourceSpans":[{"scopeSpans":[{"spans":["#.to_owned();
    for (index, &position) in positions.iter().enumerate() {
        let span = &spans[position];
        let start = START_NS + span.start;
        let comma = if index > 0 { "," } else { "" };
        let parent = if span.is_root {
            ""
        } else {
            r#""parentSpanId":"00000000000fffff","#
        };
        let _ = write!(
            line,
            r#"{comma}{{"traceId":"{:032x}","spanId":"{:016x}",{parent}"name":"s","startTimeUnixNano":"{start}","endTimeUnixNano":"{start}"}}"#,
            u32::from(span.trace) + 1,
            position + 1,
        );
    }
    line + "]}]}]}\n"
}

fn timeline() -> String {
    let mut text = String::new();
    for (kind, opened, closed) in WINDOWS {
        let (opened, closed) = (START_NS + opened, START_NS + closed);
        let _ = writeln!(
            text,
            r#"{{"event":"window_opened","scenario":"{kind}","anomaly":{{"type":"{kind}","label":"{kind}","root_cause":"r","msg":"","root_cause_service":null}},"planned_start_ns":{opened},"planned_end_ns":{closed},"at_ns":{opened}}}"#
        );
        let _ = writeln!(
            text,
            r#"{{"event":"window_closed","scenario":"{kind}","at_ns":{closed},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}"#
        );
    }
    text
}

/// The type of a trace, worked out the slow and plain way; none: it lies outside of the run.
fn expected_type(spans: &[Span], trace: u8) -> Option<String> {
    let of_trace = || spans.iter().filter(|span| span.trace == trace);
    let root = of_trace()
        .filter(|span| span.is_root)
        .map(|span| span.start)
        .min();
    let start = root
        .or_else(|| of_trace().map(|span| span.start).min())
        .expect("has spans");
    let ends = WINDOWS.iter().map(|w| w.2).max().expect("windows");
    let open = WINDOWS.iter().filter(|(_, o, c)| *o <= start && start < *c);
    let mut kinds: Vec<&str> = open.map(|w| w.0).filter(|kind| *kind != "none").collect();
    kinds.sort_unstable();
    let kind = match kinds[..] {
        [] => "none".to_owned(),
        _ => kinds.join("+"),
    };
    (start <= ends).then_some(kind)
}

fn run(dir: &Path, name: &str, files: &[String]) -> (Vec<String>, ExtractReport) {
    let folder = dir.join(name);
    fs::create_dir(&folder).expect("made");
    let write = |(index, text): (usize, &String)| {
        let path: PathBuf = folder.join(format!("traces-{index}.jsonl"));
        fs::write(&path, text).expect("written");
        path
    };
    fs::write(folder.join("timeline.jsonl"), timeline()).expect("written");
    let report = extract(&ExtractOptions {
        traces: files.iter().enumerate().map(write).collect(),
        timeline: Some(folder.join("timeline.jsonl")),
        output: folder.join("dataset"),
        ..ExtractOptions::default()
    })
    .expect("extracted");
    let text = fs::read_to_string(&report.files[0].path).expect("UTF-8");
    let rows: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    (rows, report)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_are_the_same_in_any_order_and_any_split(
        spans in prop::collection::vec(span(), 1..60),
        order: u64,
        batch in 1usize..8,
        files in 1usize..4,
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let in_order: Vec<usize> = (0..spans.len()).collect();
        let (rows, report) = run(dir.path(), "one", &[line(&spans, &in_order)]);
        let own = spans.iter().filter(|span| expected_type(&spans, span.trace).is_some()).count();
        prop_assert_eq!(rows.len(), own);
        prop_assert_eq!(report.figures.spans.foreign as usize, spans.len() - own);
        prop_assert!(report.reconciles());

        let mut shuffled = in_order;
        shuffled.sort_by_key(|&position| (position as u64 + 1).wrapping_mul(order | 1));
        let mut texts = vec![String::new(); files];
        for (index, positions) in shuffled.chunks(batch).enumerate() {
            texts[index % files] += &line(&spans, positions);
        }
        let (other_rows, _) = run(dir.path(), "many", &texts);
        prop_assert_eq!(&rows, &other_rows);

        let mut counted: HashMap<String, u64> = HashMap::new();
        for kind in spans.iter().filter_map(|span| expected_type(&spans, span.trace)) {
            *counted.entry(kind).or_default() += 1;
        }
        for label in &report.labels {
            let expected = counted.get(&label.anomaly_type).copied().unwrap_or(0);
            prop_assert_eq!(label.spans, expected, "{}", label.anomaly_type);
        }
        let by_type: u64 = report.labels.iter().map(|label| label.spans).sum();
        prop_assert_eq!(by_type, own as u64);
    }
}
