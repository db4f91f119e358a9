//! The headers that every request carries: the four `x-anomaly-*` labels, W3C
//! [`traceparent`](https://www.w3.org/TR/trace-context/), and
//! [`baggage`](https://www.w3.org/TR/baggage/) with the labels and the run's id.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use loadgen_scenario::plan::Anomaly;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// `traceparent`, as a name that is hashed once.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// `baggage`, as a name that is hashed once.
pub(crate) const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The baggage key of the run's id, by which its traces are told from those of other runs.
pub const RUN_ID_KEY: &str = "loadgen.run_id";

/// The headers of a scenario that are the same for all its requests; `run_id` is none where the
/// requests are of no run.
pub fn scenario_headers(anomaly: &Anomaly, run_id: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("loadgen/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, _, value) in labels(anomaly) {
        headers.insert(HeaderName::from_static(name), header_value(value));
    }
    headers.insert(BAGGAGE, baggage(anomaly, run_id));
    headers
}

/// Header name, baggage key and value of each label.
fn labels(anomaly: &Anomaly) -> [(&'static str, &'static str, &str); 4] {
    [
        ("x-anomaly-type", "anomaly.type", &anomaly.kind),
        (
            "x-anomaly-root-cause",
            "anomaly.root_cause",
            &anomaly.root_cause,
        ),
        ("x-anomaly-label", "anomaly.label", &anomaly.label),
        ("x-anomaly-msg", "anomaly.msg", &anomaly.msg),
    ]
}

/// Any text as a header value: characters that HTTP/1.1 allows stay (RFC 9110, section 5.5,
/// without the obsolete bytes above 0x7F), white space becomes a space, all others a `?`.
pub fn header_value(text: &str) -> HeaderValue {
    let clean: String = text
        .trim()
        .chars()
        .map(|c| match c {
            ' '..='~' => c,
            c if c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect();
    HeaderValue::try_from(clean).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn baggage(anomaly: &Anomaly, run_id: Option<&str>) -> HeaderValue {
    let labels = labels(anomaly);
    let members: Vec<String> = labels
        .iter()
        .map(|(_, key, value)| (*key, *value))
        .chain(run_id.map(|id| (RUN_ID_KEY, id)))
        .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NOT_IN_BAGGAGE)))
        .collect();
    header_value(&members.join(","))
}

/// The baggage of a scenario with a request's own members after it.
pub(crate) fn with_members(ours: &HeaderValue, members: &[(&str, Cow<'_, str>)]) -> HeaderValue {
    let mut text = ours.to_str().unwrap_or_default().to_owned();
    for (key, value) in members {
        let value = utf8_percent_encode(value, NOT_IN_BAGGAGE);
        // Writing to a String does not fail.
        let _ = write!(text, ",{key}={value}");
    }
    header_value(&text)
}

/// All that a baggage value may not hold (baggage-octet of the W3C recommendation).
const NOT_IN_BAGGAGE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'\\');

/// A version-00 `traceparent` with the sampled flag.
pub fn traceparent(trace_id: &[u8; 16], span_id: &[u8; 8]) -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    text[3..35].copy_from_slice(const_hex::Buffer::<16>::new().format(trace_id).as_bytes());
    text[36..52].copy_from_slice(const_hex::Buffer::<8>::new().format(span_id).as_bytes());
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anomaly(msg: &str) -> Anomaly {
        Anomaly {
            kind: "latency_spike".into(),
            label: "anomalous".into(),
            symptom: None,
            root_cause: "slow_database_query".into(),
            msg: msg.into(),
            root_cause_service: None,
        }
    }

    #[test]
    fn a_message_cannot_break_out_of_its_header() {
        let evil = anomaly("slow\r\nx-evil: 1, grün=\"2\"; %");
        let headers = scenario_headers(&evil, None);
        assert_eq!(headers["x-anomaly-msg"], "slow  x-evil: 1, gr?n=\"2\"; %");
        assert_eq!(
            headers["baggage"],
            "anomaly.type=latency_spike,anomaly.root_cause=slow_database_query,\
             anomaly.label=anomalous,\
             anomaly.msg=slow%0D%0Ax-evil:%201%2C%20gr%C3%BCn=%222%22%3B%20%25"
        );
    }

    #[test]
    fn baggage_names_the_run() {
        let headers = scenario_headers(&anomaly(""), Some("0123456789abcdef"));
        assert_eq!(
            headers["baggage"],
            "anomaly.type=latency_spike,anomaly.root_cause=slow_database_query,\
             anomaly.label=anomalous,anomaly.msg=,loadgen.run_id=0123456789abcdef"
        );
    }

    #[test]
    fn members_of_a_request_come_after_those_of_its_scenario() {
        let ours = HeaderValue::from_static("anomaly.type=none,loadgen.run_id=01");
        let members = [
            ("synthetic_request", Cow::Borrowed("true")),
            ("session.id", Cow::Borrowed("a,b=\u{e9}; c")),
        ];
        assert_eq!(
            with_members(&ours, &members),
            "anomaly.type=none,loadgen.run_id=01,synthetic_request=true,session.id=a%2Cb=%C3%A9%3B%20c"
        );
    }

    #[test]
    fn traceparent_has_the_form_of_the_recommendation() {
        let value = traceparent(&[0xa1; 16], &[0x0f; 8]);
        let expected = format!("00-{}-{}-01", "a1".repeat(16), "0f".repeat(8));
        assert_eq!(value, expected.as_str());
    }
}
