//! The requests that a file holds, to send them again.

use std::io::Cursor;

use loadgen_otlp::source::{Skipped, Source, Unit, requests};
use loadgen_otlp::{Signal, SignalRequest, json};

use crate::kit::{SIGNALS, fixture, message, read};

/// The requests of a file with this content, and what couldn't be read.
fn sent_again(content: impl Into<Vec<u8>>) -> (Vec<SignalRequest>, Vec<Skipped>) {
    let mut source = Source::from_reader(Cursor::new(content.into())).expect("readable");
    let (mut unit, mut all, mut skipped) = (Unit::default(), Vec::new(), Vec::new());
    while source.next_unit(&mut unit).expect("readable") {
        skipped.extend(requests(&unit, |request| all.push(request)));
    }
    (all, skipped)
}

/// As the file exporter writes them, so that NaN equals NaN.
fn lines(requests: &[SignalRequest]) -> Vec<String> {
    let line = |request: &SignalRequest| {
        let mut line = Vec::new();
        match request {
            SignalRequest::Traces(request) => json::write(request, &mut line),
            SignalRequest::Metrics(request) => json::write(request, &mut line),
            SignalRequest::Logs(request) => json::write(request, &mut line),
        }
        String::from_utf8(line).expect("text")
    };
    requests.iter().map(line).collect()
}

#[test]
fn each_form_holds_the_same_requests() {
    for signal in SIGNALS {
        let (of_json, skipped) = sent_again(fixture("json-none", signal));
        assert!(of_json.len() > 1 && skipped.is_empty());
        let items = of_json.iter().map(SignalRequest::items).sum::<u64>();
        assert_eq!(
            items,
            read(fixture("json-none", signal)).1.counts.all_items()
        );
        for form in ["json-zstd", "proto-none", "proto-zstd"] {
            let (requests, skipped) = sent_again(fixture(form, signal));
            assert!(skipped.is_empty(), "{form} {signal}: {skipped:?}");
            assert_eq!(lines(&requests), lines(&of_json), "{form} {signal}");
        }
    }
}

#[test]
fn a_message_of_several_signals_is_several_requests_and_an_empty_one_none() {
    let mixed = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"7"}]}]}],
        "resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}"#;
    let content = mixed.replace('\n', " ") + "\n{\"resourceSpans\":[]}\n\n";
    let (requests, skipped) = sent_again(content);
    let signals: Vec<Signal> = requests.iter().map(SignalRequest::signal).collect();
    assert_eq!(signals, [Signal::Traces, Signal::Logs]);
    assert_eq!(skipped, []);
}

#[test]
fn what_is_no_request_is_named() {
    let span = r#"{"traceID":"1","spanID":"1","operationName":"a","startTime":1,"duration":1}"#;
    let jaegers = format!(r#"{{"data":[{{"traceID":"1","spans":[{span}]}}]}}"#);
    for (content, reason) in [(jaegers.as_str(), "Jaeger"), ("{\"a\":1}\n", "none of")] {
        let (requests, skipped) = sent_again(content);
        assert!(requests.is_empty());
        assert!(skipped[0].reason.contains(reason), "{skipped:?}");
    }
    let (_, skipped) = sent_again("{\"resourceSpans\":[{\"scopeSp");
    assert!(skipped[0].torn);
}

#[test]
fn what_requests_have_no_place_for_is_named() {
    let content = message("a").replacen("\"scopeSpans\"", r#""Spans":[{},{}],"scopeSpans""#, 1);
    let mut source = Source::from_reader(Cursor::new(content + "\n")).expect("readable");
    let mut unit = Unit::default();
    assert!(source.next_unit(&mut unit).expect("readable"));
    let mut sent = 0;
    let skipped = requests(&unit, |request| sent += request.items());
    let parts: Vec<u64> = skipped.iter().map(|it| it.parts).collect();
    assert_eq!((sent, &parts[..]), (1, &[2][..]));
}
