//! What is put into a file, and the file.

use std::fmt::Write as _;

use serde_json::Value;
use url::{Host, Url};

use crate::{name, unused};

/// What there is to write into a first file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// Where requests go, if the document says it: scheme, host and port.
    pub base_url: Option<String>,
    /// Journeys.
    pub flows: Vec<DraftFlow>,
    /// What was left out and why, a line each.
    pub left_out: Vec<String>,
}

/// A journey.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DraftFlow {
    /// Its name.
    pub name: String,
    /// Variables, of which values are drawn for each iteration.
    pub variables: Vec<Variable>,
    /// Its requests.
    pub steps: Vec<DraftStep>,
}

/// A variable of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its possible values.
    pub values: Vec<Value>,
    /// Whether the values are made up, because the document has none.
    pub is_made_up: bool,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DraftStep {
    /// Its name.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Path and query, with `${variable}` where a value goes.
    pub path: String,
    /// Body.
    pub json: Option<Value>,
    /// Status that counts as success; none: any from 200 to 299.
    pub status: Option<u16>,
    /// Media type that the answer has to have.
    pub content_type: Option<String>,
    /// Pause behind it, in milliseconds.
    pub think_time_ms: Option<u64>,
}

impl Draft {
    /// The scenario file for a target, such as `http://127.0.0.1:8080`: a warm-up, two minutes of
    /// normal time, half a minute in which something is broken, and normal time again.
    pub fn file(&self, base_url: &str) -> String {
        let mut flows = String::new();
        self.flows
            .iter()
            .for_each(|flow| write_flow(&mut flows, flow));
        for line in &self.left_out {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(flows, "  # Left out: {line}");
        }
        let exec = match self.flows.as_slice() {
            [flow] => flow.name.clone(),
            flows => {
                let weights: Vec<_> = flows.iter().map(|f| format!("{}: 1", f.name)).collect();
                format!("{{{}}}", weights.join(", "))
            }
        };
        let fault = match local_port(base_url) {
            Some(port) => format!(
                "    # The process that listens on the port is stopped (SIGSTOP), and continued at the end.\n    \
                 fault:\n      \
                   driver: host\n      \
                   fault: stop\n      \
                   service: my-service\n      \
                   parameters: {{port: {port}}}\n"
            ),
            None => {
                "    # Stop the service by hand meanwhile, or name a fault here: docs/faults.md.\n"
                    .to_owned()
            }
        };
        include_str!("first.yaml")
            .replace("@base_url", &quoted(base_url))
            .replace("@exec", &exec)
            .replace("@fault\n", &format!("{fault}\n"))
            .replace("@flows\n", &format!("{flows}\n"))
    }
}

impl DraftFlow {
    /// Adds a step, under a name that no other has.
    pub(crate) fn push(&mut self, mut step: DraftStep) {
        step.name = unused(&name(&step.name), |name| {
            self.steps.iter().any(|step| step.name == name)
        });
        self.steps.push(step);
    }
}

fn write_flow(text: &mut String, flow: &DraftFlow) {
    let _ = writeln!(text, "  {}:", flow.name);
    if !flow.variables.is_empty() {
        text.push_str("    vars:\n");
    }
    for Variable {
        name,
        values,
        is_made_up,
    } in &flow.variables
    {
        if *is_made_up {
            text.push_str("      # Made up: write values that exist.\n");
        }
        let values: Vec<_> = values.iter().map(Value::to_string).collect();
        let _ = writeln!(text, "      {name}: {{pick: [{}]}}", values.join(", "));
    }
    text.push_str("    steps:\n");
    for step in &flow.steps {
        let _ = writeln!(text, "      - name: {}", step.name);
        if step.method != "GET" {
            let _ = writeln!(text, "        method: {}", step.method);
        }
        let _ = writeln!(text, "        path: {}", quoted(&step.path));
        if let Some(json) = &step.json {
            let _ = writeln!(text, "        json: {json}");
        }
        let status = step.status.map(|status| format!("status: {status}"));
        let kind = step.content_type.as_ref();
        let kind = kind.map(|kind| format!("content_type: {}", quoted(kind)));
        let expect: Vec<_> = status.into_iter().chain(kind).collect();
        if !expect.is_empty() {
            let _ = writeln!(text, "        expect: {{{}}}", expect.join(", "));
        }
        if let Some(pause) = step.think_time_ms {
            let _ = writeln!(text, "        think_time: {pause}ms");
        }
    }
}

/// A text between single quotes, in which YAML reads only the quote itself otherwise.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The port of a target on this machine.
fn local_port(base_url: &str) -> Option<u16> {
    let url = Url::parse(base_url).ok()?;
    let is_local = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    url.port_or_known_default().filter(|_| is_local)
}

#[cfg(test)]
mod tests {
    use loadgen_scenario::{PlanOptions, load_str};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_of_anything_is_a_scenario_file() {
        let mut flow = DraftFlow {
            name: "visit".to_owned(),
            variables: vec![Variable {
                name: "id".to_owned(),
                values: vec![json!(7), json!("it's")],
                is_made_up: true,
            }],
            ..DraftFlow::default()
        };
        for name in ["Get it!", "get it", "ß"] {
            flow.push(DraftStep {
                name: name.to_owned(),
                method: "POST".to_owned(),
                path: "/it's/${id}?q='a'".to_owned(),
                json: Some(json!({"a": ["b: c", null, 1.5, "# d"]})),
                status: Some(201),
                content_type: Some("application/json".to_owned()),
                think_time_ms: Some(250),
            });
        }
        let names: Vec<&str> = flow.steps.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["get_it", "get_it_2", "root"]);
        let second = DraftFlow {
            name: "second".to_owned(),
            ..flow.clone()
        };
        let draft = Draft {
            flows: vec![flow, second],
            left_out: vec!["PUT /x:\n it is # odd".to_owned()],
            ..Draft::default()
        };
        for (draft, base_url) in [
            (&draft, "http://shop.example:8080"),
            (&crate::from_pages(&[], Vec::new()), "https://[::1]"),
        ] {
            let text = draft.file(base_url);
            let loaded = load_str("t.yaml", &text, &PlanOptions::default());
            let names: Vec<String> = match loaded {
                Ok(loaded) => loaded.plan.scenarios.into_iter().map(|s| s.name).collect(),
                // The pure crate knows no driver of faults.
                Err(errors) => {
                    assert!(errors.to_string().contains("driver"), "{errors}\n{text}");
                    continue;
                }
            };
            assert_eq!(names, ["warm_up", "normal", "stalled", "normal_again"]);
        }
    }

    #[test]
    fn a_fault_is_named_where_the_target_is_on_this_machine() {
        for (url, port) in [
            ("http://127.0.0.1:8080", Some(8080)),
            ("http://localhost", Some(80)),
            ("https://[::1]:9", Some(9)),
            ("http://shop.example:8080", None),
            ("http://10.0.0.1:8080", None),
            ("no address", None),
        ] {
            assert_eq!(local_port(url), port, "{url}");
        }
    }
}
