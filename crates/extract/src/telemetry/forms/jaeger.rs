//! Jaeger's JSON, as its user interface saves it and its query API answers: a list of traces under
//! `data`. Each trace becomes one line of OTLP/JSON, one at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::Lost;

pub(super) fn convert(
    source: impl Read,
    lines: &mut impl Write,
    lost: &mut Vec<Lost>,
) -> io::Result<()> {
    let mut output = Output {
        lines,
        failed: None,
        message: 0,
    };
    let mut deserializer = serde_json::Deserializer::from_reader(source);
    let read = Document(&mut output).deserialize(&mut deserializer);
    if let Some(error) = output.failed.take() {
        return Err(error);
    }
    if let Err(error) = read {
        lost.push(Lost {
            message: output.message,
            byte: 0,
            reason: format!("Jaeger's JSON: {error}; the rest of the file is passed over"),
            torn: error.is_eof(),
        });
    }
    Ok(())
}

struct Output<'o, W> {
    lines: &'o mut W,
    /// The error of writing, which serde can't carry.
    failed: Option<io::Error>,
    message: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    processes: BTreeMap<String, Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(default, rename = "parentSpanID")]
    parent_span_id: String,
    #[serde(default)]
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    /// Unix microseconds.
    start_time: u64,
    /// Microseconds.
    #[serde(default)]
    duration: u64,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default, rename = "processID")]
    process_id: String,
    #[serde(default)]
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default, rename = "refType")]
    kind: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Deserialize, Clone)]
struct Process {
    #[serde(default, rename = "serviceName")]
    service_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize, Clone)]
struct Tag {
    key: String,
    #[serde(default)]
    value: Value,
}

/// Ids are written without leading zeros by some versions.
fn id(text: &str, digits: usize) -> String {
    format!("{text:0>digits$}")
}

impl Tag {
    fn attribute(&self) -> Value {
        let value = match &self.value {
            Value::Bool(value) => json!({"boolValue": value}),
            Value::Number(n) if n.is_i64() => json!({"intValue": n.to_string()}),
            Value::Number(n) => json!({"doubleValue": n}),
            // Lists come as the text of their JSON.
            Value::String(text) => match serde_json::from_str::<Vec<String>>(text) {
                Ok(list) => {
                    let values: Vec<Value> =
                        list.iter().map(|t| json!({"stringValue": t})).collect();
                    json!({"arrayValue": {"values": values}})
                }
                Err(_) => json!({"stringValue": text}),
            },
            other => json!({"stringValue": other.to_string()}),
        };
        json!({"key": self.key, "value": value})
    }
}

impl Span {
    fn otlp(&self) -> Value {
        let tag = |key: &str| self.tags.iter().find(|t| t.key == key).map(|t| &t.value);
        let kind = match tag("span.kind").and_then(Value::as_str) {
            Some("internal") => 1,
            Some("server") => 2,
            Some("client") => 3,
            Some("producer") => 4,
            Some("consumer") => 5,
            _ => 0,
        };
        let is_error = tag("error").is_some_and(|v| v == &json!(true) || v == "true");
        let status = match tag("otel.status_code").and_then(Value::as_str) {
            Some("ERROR") => 2,
            Some("OK") => 1,
            _ if is_error => 2,
            _ => 0,
        };
        let own = |r: &&Reference| r.trace_id == self.trace_id && r.kind == "CHILD_OF";
        let of_reference = self.references.iter().find(own).map(|r| r.span_id.as_str());
        let parent = of_reference.unwrap_or(&self.parent_span_id);
        let others = self
            .references
            .iter()
            .filter(|r| r.trace_id != self.trace_id);
        let links: Vec<Value> = others
            .map(|r| json!({"traceId": id(&r.trace_id, 32), "spanId": id(&r.span_id, 16)}))
            .collect();
        let meta = [
            "span.kind",
            "otel.status_code",
            "otel.status_description",
            "otel.scope.name",
            "otel.scope.version",
        ];
        let attributes = self.tags.iter().filter(|t| !meta.contains(&&*t.key));
        json!({
            "traceId": id(&self.trace_id, 32),
            "spanId": id(&self.span_id, 16),
            "parentSpanId": if parent.is_empty() { String::new() } else { id(parent, 16) },
            "name": self.operation_name,
            "kind": kind,
            "startTimeUnixNano": (u128::from(self.start_time) * 1000).to_string(),
            "endTimeUnixNano": ((u128::from(self.start_time) + u128::from(self.duration)) * 1000).to_string(),
            "attributes": attributes.map(Tag::attribute).collect::<Vec<_>>(),
            "links": links,
            "status": {"code": status},
        })
    }
}

impl Trace {
    fn otlp(&self) -> Value {
        let mut by_process: BTreeMap<&str, (Option<&Process>, Vec<Value>)> = BTreeMap::new();
        for span in &self.spans {
            let process = span
                .process
                .as_ref()
                .or_else(|| self.processes.get(&span.process_id));
            let of = by_process
                .entry(&span.process_id)
                .or_insert((process, Vec::new()));
            of.1.push(span.otlp());
        }
        let resources: Vec<Value> = by_process
            .into_values()
            .map(|(process, spans)| {
                let mut attributes: Vec<Value> = Vec::new();
                if let Some(process) = process {
                    attributes.push(json!({"key": "service.name", "value": {"stringValue": process.service_name}}));
                    attributes.extend(process.tags.iter().map(Tag::attribute));
                }
                json!({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]})
            })
            .collect();
        json!({"resourceSpans": resources})
    }
}

/// The document: an object with `data`, or a single trace.
struct Document<'d, 'o, W>(&'d mut Output<'o, W>);

impl<'de, W: Write> DeserializeSeed<'de> for Document<'_, '_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Document<'_, '_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "data" {
                map.next_value_seed(Traces(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Traces<'d, 'o, W>(&'d mut Output<'o, W>);

impl<'de, W: Write> DeserializeSeed<'de> for Traces<'_, '_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Traces<'_, '_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of traces")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(trace) = seq.next_element::<Trace>()? {
            let written = serde_json::to_writer(&mut *self.0.lines, &trace.otlp())
                .map_err(io::Error::from)
                .and_then(|()| self.0.lines.write_all(b"\n"));
            if let Err(error) = written {
                self.0.failed = Some(error);
                return Err(serde::de::Error::custom("the line can't be written"));
            }
            self.0.message += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_of_jaeger_becomes_a_line_of_otlp() {
        let text = r#"{"data":[{"traceID":"a","spans":[{"traceID":"a","spanID":"2","operationName":"GET /",
            "references":[{"refType":"CHILD_OF","traceID":"a","spanID":"1"},{"refType":"FOLLOWS_FROM","traceID":"b","spanID":"9"}],
            "startTime":1770000000000001,"duration":5,"tags":[{"key":"span.kind","type":"string","value":"server"},
            {"key":"error","type":"bool","value":true},{"key":"http.request.header.x-anomaly-type","type":"string","value":"[\"timeout\"]"}],
            "processID":"p1"}],"processes":{"p1":{"serviceName":"web","tags":[{"key":"host.name","value":"h"}]}}}],"total":0,"errors":null}"#;
        let (mut lines, mut lost) = (Vec::new(), Vec::new());
        convert(text.as_bytes(), &mut lines, &mut lost).expect("memory can be read");
        assert!(lost.is_empty(), "{lost:?}");
        let line: Value = serde_json::from_slice(&lines).expect("JSON");
        let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "0000000000000000000000000000000a");
        assert_eq!(span["parentSpanId"], "0000000000000001");
        assert_eq!(span["startTimeUnixNano"], "1770000000000001000");
        assert_eq!(span["endTimeUnixNano"], "1770000000000006000");
        assert_eq!(
            (&span["kind"], &span["status"]["code"]),
            (&json!(2), &json!(2))
        );
        assert_eq!(
            span["links"][0]["traceId"],
            "0000000000000000000000000000000b"
        );
        assert_eq!(
            span["attributes"][1]["value"]["arrayValue"]["values"][0]["stringValue"],
            "timeout"
        );
        assert_eq!(
            line["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"],
            "web"
        );
    }

    #[test]
    fn a_document_that_breaks_off_gives_the_traces_before() {
        let text = r#"{"data":[{"traceID":"a","spans":[]},{"traceID":"b","spa"#;
        let (mut lines, mut lost) = (Vec::new(), Vec::new());
        convert(text.as_bytes(), &mut lines, &mut lost).expect("memory can be read");
        assert_eq!(lines.split(|&b| b == b'\n').count(), 2);
        assert!(lost[0].torn);
    }
}
