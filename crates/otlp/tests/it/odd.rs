//! What is odd in a message that is JSON costs itself, and is counted and named.

use loadgen_otlp::Signal;

use crate::kit::read;

/// A resource.
const WEB: &str = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]}"#;

/// A line of a signal with these items.
fn lines(items: &str, signal: Signal) -> String {
    let (resources, scopes, list) = match signal {
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
        Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
    };
    format!(
        r#"{{"{resources}":[{{"resource":{WEB},"{scopes}":[{{"scope":{{"name":"s"}},"{list}":[{items}]}}]}}]}}"#
    )
}

/// How many items are read of a line, and what is named.
fn counted(line: &str) -> (usize, Vec<(u64, String)>) {
    let (items, summary) = read(format!("{line}\n"));
    assert_eq!(items.len() as u64, summary.counts.all_items());
    let named = summary.skipped.into_iter().map(|it| (it.parts, it.reason));
    (items.len(), named.collect())
}

#[test]
fn an_odd_item_of_otlp_costs_itself() {
    let id = r#""spanId":"000000000000000a""#;
    for odd in [
        r#"{"startTimeUnixNano":"-5"}"#,
        r#"{"startTimeUnixNano":-5}"#,
        r#"{"endTimeUnixNano":"2026-11-28T09:00:00Z"}"#,
        r#"{"endTimeUnixNano":1.5}"#,
        r#"{"traceId":"abc"}"#,
        r#"{"traceId":7}"#,
        r#"{"name":7}"#,
        r#"{"kind":"SERVER"}"#,
        r#"{"attributes":{"a":1}}"#,
        r#"{"status":"OK","links":[{},{}]}"#,
        r#"{"links":{}}"#,
        "7",
        "[]",
        "\"span\"",
    ] {
        let spans = format!("{{{id}}},{odd},{{{id}}}");
        let (items, named) = counted(&lines(&spans, Signal::Traces));
        assert!(
            items == 2 && named.len() == 1 && named[0].0 == 1,
            "{odd}: {named:?}"
        );
    }
    for odd in [
        r#"{"timeUnixNano":-1}"#,
        r#"{"severityNumber":"x"}"#,
        r#"{"body":"text"}"#,
        "true",
    ] {
        let records = format!("{{{id}}},{odd},{{{id}}}");
        let (items, named) = counted(&lines(&records, Signal::Logs));
        assert!(
            items == 2 && named.len() == 1 && named[0].0 == 1,
            "{odd}: {named:?}"
        );
    }
    // Ids that are null are absent, which is not odd.
    let (items, named) = counted(&lines(r#"{"traceId":null,"spanId":null}"#, Signal::Traces));
    assert_eq!((items, named), (1, vec![]));
}

#[test]
fn of_a_metric_an_odd_point_costs_itself_and_what_is_odd_of_all_its_points_costs_them() {
    let good = r#"{"name":"a","gauge":{"dataPoints":[{"asInt":"1"}]}}"#;
    for (odd, points, lost) in [
        (
            r#"{"name":"b","sum":{"dataPoints":[{"asInt":"x"},{"asInt":"2"}]}}"#,
            1,
            1,
        ),
        (
            r#"{"name":"b","sum":{"dataPoints":[{"timeUnixNano":-1},7,{}]}}"#,
            1,
            2,
        ),
        (r#"{"name":7,"sum":{"dataPoints":[{},{},{}]}}"#, 0, 3),
        (
            r#"{"name":"b","sum":{"aggregationTemporality":"x","dataPoints":[{},{}]}}"#,
            0,
            2,
        ),
        (r#"{"name":"b","sum":{"dataPoints":{"asInt":"1"}}}"#, 0, 1),
        (r#"{"name":"b","sum":7}"#, 0, 1),
        ("7", 0, 1),
    ] {
        let line = lines(&[good, odd, good].join(","), Signal::Metrics);
        let (items, named) = counted(&line);
        let parts: u64 = named.iter().map(|(parts, _)| parts).sum();
        assert_eq!((items, parts), (2 + points, lost), "{odd}: {named:?}");
    }
}

#[test]
fn an_odd_attribute_costs_itself_and_an_odd_owner_leaves_what_is_its() {
    let good = lines(r#"{"name":"a"}"#, Signal::Traces);
    for (from, to, has_service) in [
        // An attribute beside the service's name.
        (
            "[{\"key\":\"service",
            "[{\"key\":\"n\",\"value\":{\"intValue\":\"x\"}},{\"key\":\"service",
            true,
        ),
        ("[{\"key\":\"service", "[7,{\"key\":\"service", true),
        ("{\"stringValue\":\"web\"}", "{\"stringValue\":7}", false),
        ("{\"name\":\"s\"}", "{\"name\":7}", true),
        ("{\"name\":\"s\"}", "[]", true),
        (WEB, "7", false),
        ("\"resourceSpans\":[", "\"resourceSpans\":[7,", true),
        (
            "\"scopeSpans\":[",
            "\"scopeSpans\":7,\"scopeSpans\":[\"x\",",
            true,
        ),
    ] {
        let line = good.replacen(from, to, 1);
        assert_ne!(line, good);
        let (items, summary) = read(format!("{line}\n{good}\n"));
        assert_eq!(items.len(), 2, "{line}: {summary:?}");
        assert_eq!(items[0].contains("Text(\"web\")"), has_service, "{line}");
        let lost = if to.contains("scopeSpans") { 2 } else { 1 };
        let parts: Vec<u64> = summary.skipped.iter().map(|it| it.parts).collect();
        assert_eq!(parts, vec![1; lost], "{line}: {summary:?}");
    }
}

#[test]
fn a_line_of_which_nothing_can_be_read_costs_itself_as_a_whole() {
    for line in [
        lines(r#"{"name":7},{"name":8}"#, Signal::Traces),
        lines(r#"{"name":"a"},{"name":7},"#, Signal::Traces),
        r#"{"resourceSpans":7}"#.to_owned(),
    ] {
        let (items, named) = counted(&line);
        assert!(
            items == 0 && matches!(named[..], [(0, _)]),
            "{line}: {named:?}"
        );
    }
}

#[test]
fn what_is_odd_is_named_by_its_own_place() {
    let line = lines(r#"{"name":"a"},{"name":"b","kind":"x"}"#, Signal::Traces);
    let (_, summary) = read(format!("{{\"resourceSpans\":[]}}\n{line}\n"));
    let [skipped] = &summary.skipped[..] else {
        panic!("{summary:?}");
    };
    let at = "{\"resourceSpans\":[]}\n".len() + line.find("\"x\"").expect("there");
    assert_eq!((skipped.message, skipped.byte), (1, at as u64));
    assert!(skipped.reason.contains("a span's kind"), "{skipped:?}");
}
