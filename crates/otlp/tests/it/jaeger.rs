//! Jaeger's JSON in the forms in which people have it.

use crate::kit::read;
use loadgen_otlp::Signal;
use loadgen_otlp::source::UnitSummary;

/// A trace with one span, with what is special about it.
fn trace(id: u32, special: &str) -> String {
    format!(
        r#"{{"traceID":"{id:x}","spans":[{{"traceID":"{id:x}","spanID":"{id:x}","operationName":"op",{special}"startTime":1770000000000001,"duration":5,"processID":"p1"}}],"processes":{{"p1":{{"serviceName":"web","tags":[{{"key":"host.name","value":"h"}}]}}}}}}"#
    )
}

fn plain(id: u32) -> String {
    trace(id, "")
}

fn answer(traces: &[String]) -> String {
    format!(
        r#"{{"data":[{}],"total":0,"errors":null}}"#,
        traces.join(",")
    )
}

#[track_caller]
fn only_span(content: &str) -> String {
    let (items, summary) = read(content);
    assert_eq!((items.len(), &summary.skipped[..]), (1, &[][..]));
    items[0].clone()
}

#[track_caller]
fn assert_has(span: &str, parts: &[&str]) {
    for part in parts {
        assert!(span.contains(part), "no {part} in {span}");
    }
}

#[test]
fn a_span_of_jaeger_has_all_that_one_of_otlp_has() {
    let special = r#""references":[{"refType":"CHILD_OF","traceID":"a","spanID":"1"},{"refType":"FOLLOWS_FROM","traceID":"b","spanID":"9"}],
        "tags":[{"key":"span.kind","type":"string","value":"server"},{"key":"error","type":"bool","value":true},
        {"key":"http.request.header.x-anomaly-type","type":"string","value":"[\"timeout\"]"},{"key":"n","type":"int64","value":5},
        {"key":"t","type":"int64","value":"6"},{"key":"d","type":"float64","value":7},{"key":"b","type":"binary","value":"AP8="},
        {"key":"otel.scope.name","value":"lib"},{"key":"otel.scope.version","value":"2"}],"#;
    let span = only_span(&answer(&[trace(0xa, special)]));
    assert_has(
        &span,
        &[
            "key: \"service.name\", value: Text(\"web\")",
            "key: \"host.name\", value: Text(\"h\")",
            "name: \"lib\", version: \"2\"",
            "trace_id: TraceId(10), span_id: SpanId(10), parent_span_id: SpanId(1)",
            "kind: SpanKind(2)",
            "start_time_unix_nano: UnixNanos(1770000000000001000)",
            "end_time_unix_nano: UnixNanos(1770000000000006000)",
            "value: Array([Text(\"timeout\")])",
            "key: \"n\", value: Int(5)",
            "key: \"t\", value: Int(6)",
            "key: \"d\", value: Double(7.0)",
            "key: \"b\", value: Bytes([0, 255])",
            "code: StatusCode(2)",
            "links: [Link { trace_id: TraceId(11), span_id: SpanId(9) }]",
        ],
    );
    assert!(!span.contains("span.kind") && !span.contains("otel.scope"));
}

#[test]
fn the_parent_is_the_first_child_of_or_else_what_is_followed_in_the_same_trace() {
    let of = |references: &str| {
        let span = only_span(&plain(3).replace(
            "\"startTime\"",
            &format!("\"references\":[{references}],\"startTime\""),
        ));
        let (_, rest) = span
            .split_once("parent_span_id: SpanId(")
            .expect("a parent");
        rest.split(')').next().unwrap_or_default().to_owned()
    };
    let child = |trace: u32, span: u32| {
        format!(r#"{{"refType":"CHILD_OF","traceID":"{trace:x}","spanID":"{span:x}"}}"#)
    };
    let follows = |trace: u32, span: u32| child(trace, span).replace("CHILD_OF", "FOLLOWS_FROM");
    assert_eq!(of(&follows(3, 8)), "8");
    assert_eq!(
        of(&[follows(3, 8), child(3, 5), child(3, 6)].join(",")),
        "5"
    );
    assert_eq!(of(&[child(4, 5), follows(4, 6)].join(",")), "0");
    assert_eq!(of(r#"{"refType":"CHILD_OF","spanID":"7"}"#), "7");
}

#[test]
fn documents_lists_and_single_traces_are_read_however_they_follow_each_other() {
    let both = [answer(&[plain(1), plain(2)]), answer(&[plain(3)])];
    for content in [
        both.concat(),
        both.join("\n"),
        both.join("\n\n,"),
        format!("\u{feff}{}", both.join("\n")),
        [plain(1), plain(2), plain(3)].join("\n"),
        format!("[{}]", [plain(1), plain(2), plain(3)].join(",")),
        // Keys in another order, and traces in two lists.
        format!(
            r#"{{"total":1,"more":{{"data":[1]}},"data" : [{}],"data":[{},{}],"errors":[]}}"#,
            plain(1),
            plain(2),
            plain(3)
        ),
    ] {
        let (items, summary) = read(content.clone());
        assert_eq!(summary.skipped, [], "{content}");
        let ids: Vec<bool> = (1..=3)
            .map(|id| {
                items
                    .get(id - 1)
                    .is_some_and(|item| item.contains(&format!("TraceId({id})")))
            })
            .collect();
        assert_eq!((items.len(), ids), (3, vec![true; 3]), "{content}");
    }
}

#[test]
fn an_odd_trace_costs_itself_and_nulls_and_negative_times_are_not_odd() {
    let skipped = |odd: String, spans: usize| -> UnitSummary {
        let (items, summary) = read(answer(&[plain(1), odd.clone(), plain(3)]));
        assert_eq!(items.len(), spans, "{odd}: {summary:?}");
        summary
    };
    for (from, to, spans) in [
        ("\"duration\":5", "\"duration\":-5", 3),
        ("\"duration\":5", "\"duration\":null", 3),
        (
            "\"duration\":5",
            "\"references\":null,\"tags\":[null],\"logs\":7",
            3,
        ),
        ("\"spans\":[", "\"spans\":[null,", 3),
        ("1770000000000001", "99999999999999999999", 2),
        ("1770000000000001", "9223372036854775807", 2),
        ("\"spanID\":\"2\"", "\"spanID\":\"not hex\"", 2),
        ("\"spanID\":\"2\"", "\"spanID\":\"+2\"", 2),
        ("\"duration\":5", "\"tags\":{}", 2),
    ] {
        let plain = plain(2);
        assert!(plain.contains(from));
        let summary = skipped(plain.replace(from, to), spans);
        assert_eq!(summary.skipped.len(), 3 - spans, "{to}");
        assert!(
            summary
                .skipped
                .iter()
                .all(|skipped| skipped.message == 1 && !skipped.torn)
        );
    }
}

#[test]
fn an_answer_that_breaks_off_gives_the_traces_before() {
    let whole = answer(&[plain(1), plain(2), plain(3)]);
    let (items, summary) = read(&whole[..whole.len() - 60]);
    assert_eq!((items.len(), summary.skipped.len()), (2, 1));
    assert!(summary.skipped[0].torn && summary.skipped[0].message == 2);
    // Between two traces, too.
    let (items, summary) = read(format!("{{\"data\":[{},", plain(1)));
    assert_eq!((items.len(), summary.skipped.len()), (1, 1));
}

#[test]
fn an_answer_without_traces_says_what_it_is() {
    let (_, summary) = read(r#"{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}"#);
    assert!(summary.skipped[0].reason.contains("Jaeger"), "{summary:?}");
    let (items, summary) = read(r#"{"data":[],"errors":null}"#);
    assert_eq!((items.len(), summary.skipped.len()), (0, 0));
}

#[test]
fn otlp_in_an_answer_of_the_newer_query_api_is_read() {
    let otlp =
        r#"{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"q+8AAAAAAAA="}]}]}]}}"#;
    let (items, summary) = read(format!("{otlp}\n{otlp}\n"));
    assert_eq!(
        (
            items.len(),
            summary.skipped.len(),
            summary.counts.messages(Signal::Traces)
        ),
        (2, 0, 2)
    );
}

/// Reasons and numbers of what was not read.
fn unread(content: &str) -> (usize, Vec<(String, u64)>) {
    let (items, summary) = read(content);
    let skipped = summary.skipped.into_iter();
    let mut named: Vec<(String, u64)> = skipped.map(|it| (it.reason, it.parts)).collect();
    named.sort();
    (items.len(), named)
}

#[test]
fn what_is_no_trace_among_traces_is_counted_and_named() {
    let elements = [
        plain(1),
        "null".to_owned(),
        "7".to_owned(),
        r#""a,]{\"b""#.to_owned(),
        plain(2),
        r#"{"traceID":"3","processes":{}}"#.to_owned(),
        "true".to_owned(),
    ];
    let answer = answer(&elements);
    // As a document, and on a line of a file of lines.
    for content in [
        answer.clone(),
        format!("{{\"resourceSpans\":[]}}\n{answer}\n"),
    ] {
        let (spans, named) = unread(&content);
        assert_eq!(spans, 2, "{named:?}");
        let parts: u64 = named.iter().map(|(_, parts)| (*parts).max(1)).sum();
        assert_eq!(parts, 5, "{named:?}");
        assert!(named.iter().all(|(reason, _)| reason.contains("trace")));
    }
}

#[test]
fn what_stands_beside_the_traces_of_an_answer_is_read_or_named() {
    let otlp = r#"[{"scopeSpans":[{"spans":[{"spanId":"00000000000000ff"}]}]}]"#;
    let trace = plain(1);
    for content in [
        format!(r#"{{"resourceSpans":{otlp},"data":[{trace}]}}"#),
        format!(r#"{{"data":[{trace}],"total":0,"resourceSpans":{otlp}}}"#),
        format!(r#"{{"data":[{trace}],"data":[],"resourceSpans":{otlp},"data":[]}}"#),
    ] {
        assert_eq!(unread(&content), (2, vec![]), "{content}");
    }
    let content = format!(
        r#"{{"data":[{trace}],"errors":[{{"code":500,"msg":"no \"x\""}}],"more":[{{}},1,{{}}]}}"#
    );
    let (spans, named) = unread(&content);
    assert_eq!(spans, 1);
    let [(unknown, 2), (errors, 1)] = &named[..] else {
        panic!("{named:?}");
    };
    assert!(
        errors.contains("500") && unknown.contains("`more`"),
        "{named:?}"
    );
}

#[test]
fn an_odd_span_or_process_costs_itself_and_not_its_trace() {
    let span = |id: u32, special: &str| {
        format!(
            r#"{{"spanID":"{id:x}","operationName":"op",{special}"startTime":1770000000000001,"processID":"p1"}}"#
        )
    };
    let of = |spans: &[String], processes: &str| {
        let spans = spans.join(",");
        format!(r#"{{"data":[{{"traceID":"5","spans":[{spans}],"processes":{processes}}}]}}"#)
    };
    let web = r#"{"p1":{"serviceName":"web"}}"#;
    let nanoseconds = span(2, "").replace("1770000000000001", "1770000000000000001");
    let wrapped = span(2, "\"duration\":18446744073709551611,");
    for odd in [
        nanoseconds.as_str(),
        &wrapped,
        "7",
        "[]",
        "{}",
        r#"{"traceId":"00","spanId":"01","name":"of OTLP"}"#,
    ] {
        let content = of(&[span(1, ""), odd.to_owned(), span(3, "")], web);
        let (items, summary) = read(content);
        assert_eq!(items.len(), 2, "{odd}");
        assert!(
            items.iter().all(|span| span.contains("TraceId(5)")),
            "{items:?}"
        );
        let parts: Vec<u64> = summary.skipped.iter().map(|it| it.parts).collect();
        assert_eq!(parts, [1], "{odd}: {summary:?}");
        let says = odd.contains("1770000000000000001");
        let reason = &summary.skipped[0].reason;
        assert_eq!(reason.contains("Divide startTime"), says, "{reason}");
    }
    let spans = [span(1, ""), span(2, "")];
    let (spans, named) = unread(&of(&spans, r#"{"p1":{"serviceName":7}}"#));
    assert_eq!((spans, named.len()), (2, 1), "{named:?}");
    let misspelt = plain(1).replace("\"processes\"", "\"process\"");
    let (spans, named) = unread(&format!("{{\"data\":[{misspelt}]}}"));
    assert_eq!((spans, named.len()), (1, 1), "{named:?}");
    // Where nothing is read of it, it is no trace that was read.
    let (_, summary) = read(of(&[nanoseconds], web));
    assert_eq!(summary.counts.messages(Signal::Traces), 0);
}

#[test]
fn of_many_odd_spans_all_are_counted_and_some_are_named() {
    let odd = vec!["7"; 5000].join(",");
    let (spans, named) = unread(&format!(r#"{{"traceID":"1","spans":[{odd}]}}"#));
    assert_eq!((spans, named.len()), (0, 101));
    assert_eq!(named.iter().map(|(_, parts)| parts).sum::<u64>(), 5000);
}

#[test]
fn traces_may_stand_alone_or_in_lists_of_lists() {
    for data in [
        plain(1),
        format!("[[{}]]", plain(1)),
        format!("[{}]", plain(1)),
    ] {
        let answer = format!("{{\"data\":{data}}}");
        assert_eq!(unread(&answer), (1, vec![]), "{answer}");
        let line = format!("{{\"resourceSpans\":[]}}\n{answer}\n");
        assert_eq!(unread(&line), (1, vec![]), "{line}");
    }
}
