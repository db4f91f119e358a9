//! One request of a flow: options checked, templates resolved to slots, sites numbered.

use std::collections::{HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use super::dots::{self, Dots};
use super::lengths::{self, Drawn, Form, Longest};
use crate::diagnostic::{Finding, Span};
use crate::file::{Defaults, FlagSpec, Pause, StepSpec, VarSpec};
use crate::plan::{
    Capture, Choice, Draw, Expect, JsonTemplate, Part, Probability, Round, Step, Template,
    ThinkTime, VarRef,
};
use crate::template::{InText, Piece, pieces};
use crate::yaml::{Kind, Node};

/// k6's default limit for an exchange.
const TIMEOUT_NS: u64 = 60 * 1_000_000_000;
/// k6's default of what counts as success.
const STATUS: [(u16, u16); 1] = [(200, 399)];
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// Headers that the engine sets on each request.
const RESERVED_HEADERS: [&str; 5] = [
    "traceparent",
    "baggage",
    "host",
    "content-length",
    "transfer-encoding",
];

/// A flow in the making.
pub(super) struct FlowMaker<'f> {
    pub(super) flags: &'f IndexMap<String, FlagSpec>,
    pub(super) defaults: &'f Defaults,
    pub(super) defaults_node: &'f Node,
    /// All variables of the flow, by slot.
    pub(super) variables: &'f IndexSet<String>,
    /// Slots that are set by the time of the next step.
    pub(super) known: HashSet<usize>,
    /// What the variables are picked from that are picked, by slot.
    pub(super) picks: HashMap<usize, &'f [Value]>,
    /// How long drawn variables can be, by slot.
    pub(super) drawn: Drawn<'f>,
    pub(super) next_site: u32,
    /// Draws of the flow or of a round that the next request makes.
    pub(super) pending: Vec<(&'f str, &'f VarSpec)>,
    /// The rounds that the next request is in, of repeats with a variable number of them.
    pub(super) rounds: Vec<Round>,
    pub(super) steps: Vec<Step>,
    pub(super) findings: &'f mut Vec<Finding>,
}

impl<'f> FlowMaker<'f> {
    /// Draws that the next request makes before its own.
    pub(super) fn later(&mut self, vars: &'f IndexMap<String, VarSpec>) {
        self.pending
            .extend(vars.iter().map(|(name, spec)| (name.as_str(), spec)));
    }

    /// The slot of the variable that says how many rounds a repeat has: one that is drawn or
    /// captured before.
    pub(super) fn counting_variable(&mut self, name: &str, span: Span) -> Option<usize> {
        let slot = self.variables.get_index_of(name);
        let is_pending = self.pending.iter().any(|(pending, _)| *pending == name);
        match slot {
            Some(slot) if is_pending => Some(slot),
            _ => self.variable(name, span),
        }
    }

    /// Adds a request.
    pub(super) fn step(&mut self, spec: &'f StepSpec, at: &Node) {
        let mut drawn = std::mem::take(&mut self.pending);
        drawn.extend(spec.vars.iter().map(|(name, spec)| (name.as_str(), spec)));
        let draws = drawn
            .into_iter()
            .filter_map(|(name, spec)| self.draw(name, spec))
            .collect();
        let probability = self.probability(spec, at);
        let method = self.method(spec, at);
        let path_source = spec.path.as_deref().unwrap_or_default();
        let path = self.path(path_source, at);
        let headers = self.headers(spec, at);
        let baggage = self.baggage(spec, at);
        let json = spec
            .json
            .as_ref()
            .map(|json| self.json(json, at.child("json")));
        let captures = self.captures(spec);
        let think_time = self.think_time(spec, at);
        // What an answer gives is there for the steps after it.
        self.known
            .extend(captures.iter().map(|capture| capture.slot));
        if probability.is_none() && self.rounds.is_empty() {
            let is_captured = |slot| captures.iter().any(|capture| capture.slot == slot);
            self.picks.retain(|slot, _| !is_captured(*slot));
            self.drawn.retain(|slot, _| !is_captured(*slot));
        }
        let timeout_ns = self.timeout_ns(spec, at);
        let expect = self.expect(spec, at);
        self.steps.push(Step {
            name: spec
                .name
                .clone()
                .unwrap_or_else(|| format!("{method} {path_source}")),
            method,
            path,
            headers,
            baggage,
            json,
            expect,
            think_time,
            timeout_ns,
            probability,
            rounds: self.rounds.clone(),
            draws,
            captures,
        });
    }

    fn probability(&mut self, spec: &StepSpec, at: &Node) -> Option<Probability> {
        let chance = spec.probability?;
        if !(0.0..=1.0).contains(&chance) {
            self.findings.push(
                Finding::at(
                    at.value("probability"),
                    format!("the probability {chance} is out of range"),
                )
                .help("it goes from 0 (never) to 1 (always)"),
            );
        }
        Some(Probability {
            chance,
            site: self.site(),
        })
    }

    fn captures(&mut self, spec: &StepSpec) -> Vec<Capture> {
        let mut captures = Vec::with_capacity(spec.capture.len());
        for (name, capture) in &spec.capture {
            let Some(slot) = self.variables.get_index_of(name.as_str()) else {
                continue;
            };
            captures.push(Capture {
                slot,
                pointer: capture.pointer.clone(),
                random_element: capture.random_element.then(|| self.site()),
            });
        }
        captures
    }

    /// The step's own timeout, else that of the file, else k6's.
    fn timeout_ns(&mut self, spec: &StepSpec, at: &Node) -> u64 {
        let timeout = spec.timeout.or(self.defaults.timeout);
        if timeout.is_some_and(|timeout| timeout.ns == 0) {
            let node = if spec.timeout.is_some() {
                at
            } else {
                self.defaults_node
            };
            let finding = Finding::at(node.value("timeout"), "a timeout of 0");
            self.findings
                .push(finding.help("every request would fail: give it a length"));
        }
        timeout.map_or(TIMEOUT_NS, |timeout| timeout.ns)
    }

    fn site(&mut self) -> u32 {
        let site = self.next_site;
        self.next_site += 1;
        site
    }

    /// None for a variable without a choice, which is reported where it is declared.
    fn draw(&mut self, name: &str, spec: &'f VarSpec) -> Option<Draw> {
        let choice = match (&spec.pick, spec.range, spec.hex, spec.uuid, &spec.flag) {
            (Some(list), ..) => Choice::Pick(list.clone()),
            (_, Some([low, high]), ..) => Choice::Range(low, high),
            (_, _, Some(digits), ..) => Choice::Hex(digits),
            (_, _, _, Some(version), _) => Choice::Uuid(version),
            (.., Some(flag)) => Choice::Flag(self.flags.get_index_of(flag.as_str())?),
            (None, None, None, None, None) => return None,
        };
        let slot = self.variables.get_index_of(name)?;
        self.known.insert(slot);
        let longest = match &spec.pick {
            Some(list) => Longest::Of(list),
            None => Longest::Bytes(lengths::of_choice(&choice)),
        };
        self.drawn.insert(slot, longest);
        match &spec.pick {
            Some(list) => self.picks.insert(slot, list),
            None => self.picks.remove(&slot),
        };
        Some(Draw {
            slot,
            choice,
            site: self.site(),
        })
    }

    fn method(&mut self, spec: &StepSpec, at: &Node) -> String {
        let method = spec.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
        if !METHODS.contains(&method.as_str()) {
            let message = format!(
                "unknown method `{}`",
                spec.method.as_deref().unwrap_or_default()
            );
            self.findings
                .push(Finding::at(at.value("method"), message).suggest(&method, METHODS));
        }
        method
    }

    fn path(&mut self, source: &str, at: &Node) -> Template {
        let span = at.value("path");
        if source.is_empty() {
            // Without a path at all is reported as the step's shape.
            let written = matches!(at.kind, Kind::Map(_));
            if written && matches!(at.child("path").kind, Kind::Scalar { .. }) {
                self.findings
                    .push(Finding::at(span, "the path is empty").help("write / for the root"));
            }
            return Template(Vec::new());
        }
        if source.contains("://") && !source.starts_with('/') {
            self.findings.push(
                Finding::at(span, format!("`{source}` is a URL, not a path")).help(
                    "write the path only; the base URL comes from `base_url` or `--base-url`",
                ),
            );
        } else if !source.starts_with('/') {
            self.findings.push(
                Finding::at(span, format!("the path `{source}` does not begin with `/`"))
                    .help(format!("write `/{source}`")),
            );
        }
        let template = self.template(source, at.child("path"));
        let bad = template.0.iter().find_map(|part| match part {
            Part::Text(text) => text
                .chars()
                .find(|c| !c.is_ascii_graphic() || "#\"<>\\^`{|}".contains(*c)),
            Part::Var(_) | Part::Secret(_) => None,
        });
        if let Some(bad) = bad {
            self.findings.push(
                Finding::at(span, format!("`{}` cannot stand in a path", bad.escape_debug()))
                    .help("percent-encode it (a blank is %20); values of variables are encoded by themselves"),
            );
        }
        self.refuse_secrets(&template, span, "path");
        self.check_dots(&template, span);
        template
    }

    /// Paths and baggage are in traces and logs of the target.
    fn refuse_secrets(&mut self, template: &Template, span: Span, place: &str) {
        if template
            .0
            .iter()
            .any(|part| matches!(part, Part::Secret(_)))
        {
            let message =
                format!("what is read from outside of the file cannot stand in a {place}");
            let help = "it would be in traces and logs: send it in a header or in `json`";
            self.findings.push(Finding::at(span, message).help(help));
        }
    }

    fn check_dots(&mut self, path: &Template, span: Span) {
        let finding = match dots::find(path, &self.picks) {
            None => return,
            Some(Dots::Written(dots)) => {
                Finding::at(span, format!("the path has a segment `{dots}`")).help(
                    "write where it leads to: a URL is rid of such segments before it is sent",
                )
            }
            Some(Dots::Picked { slot, value }) => {
                let name = self.variables.get_index(slot).map_or("", String::as_str);
                Finding::at(
                    span,
                    format!("`{name}` may be `{value}`, which would lead out of its segment"),
                )
                .help("take it out of what the variable is picked from, or put it in the query")
            }
        };
        self.findings.push(finding);
    }

    fn headers(&mut self, spec: &StepSpec, at: &Node) -> Vec<(String, Template)> {
        let mut headers: IndexMap<String, Template> = IndexMap::new();
        let mut places = HashMap::new();
        let groups = [
            (&self.defaults.headers, self.defaults_node),
            (&spec.headers, at),
        ];
        for (map, node) in groups {
            let node = node.child("headers");
            for (name, text) in map {
                let lower = name.to_ascii_lowercase();
                self.check_header_name(name, &lower, node.key(name));
                let template = self.template(&text.0, node.child(name));
                let control = |part: &Part| match part {
                    Part::Text(text) => text.chars().any(char::is_control),
                    Part::Var(_) | Part::Secret(_) => false,
                };
                if template.0.iter().any(control) {
                    let message = format!("the header `{name}` holds a control character");
                    self.findings
                        .push(Finding::at(node.value(name), message).help("write it on one line"));
                }
                places.insert(lower.clone(), node.value(name));
                headers.insert(lower, template);
            }
        }
        self.check_lengths(&headers, &places, Form::Header);
        headers.into_iter().collect()
    }

    /// Members of `baggage`: those of the defaults, replaced one by one by the step's own.
    fn baggage(&mut self, spec: &StepSpec, at: &Node) -> Vec<(String, Template)> {
        let mut baggage: IndexMap<String, Template> = IndexMap::new();
        let mut places = HashMap::new();
        let groups = [
            (&self.defaults.baggage, self.defaults_node),
            (&spec.baggage, at),
        ];
        for (map, node) in groups {
            let node = node.child("baggage");
            for (name, text) in map {
                let key = node.key(name);
                // A token, as the names of headers are, but with case.
                if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                    self.findings.push(
                        Finding::at(key, format!("`{name}` cannot be a key of baggage"))
                            .help("use letters, digits, `.`, `_` and `-`"),
                    );
                } else if name.starts_with("anomaly.") || name.starts_with("loadgen.") {
                    self.findings.push(
                        Finding::at(key, format!("`{name}` is set by the engine"))
                            .help("remove it here"),
                    );
                }
                let template = self.template(&text.0, node.child(name));
                self.refuse_secrets(&template, node.value(name), "member of baggage");
                places.insert(name.clone(), node.value(name));
                baggage.insert(name.clone(), template);
            }
        }
        self.check_lengths(&baggage, &places, Form::Baggage);
        baggage.into_iter().collect()
    }

    /// Reports what may become too long in all, at the longest of it.
    fn check_lengths(
        &mut self,
        entries: &IndexMap<String, Template>,
        places: &HashMap<String, Span>,
        form: Form,
    ) {
        let of = |(name, template): (&String, &Template)| {
            name.len() + lengths::most(template, &self.drawn, form)
        };
        let bytes = entries.iter().map(of).fold(0, usize::saturating_add);
        let Some((longest, _)) = entries.iter().max_by_key(|entry| of(*entry)) else {
            return;
        };
        if bytes > lengths::MOST {
            let what = match form {
                Form::Header => "headers",
                Form::Baggage => "members of `baggage`",
            };
            let most = lengths::MOST;
            let message = format!(
                "the {what} of this step may come to {bytes} bytes, and {most} is the most"
            );
            let finding = Finding::at(places[longest], message);
            self.findings
                .push(finding.help("shorten them: servers refuse or cut what is longer"));
        }
    }

    fn check_header_name(&mut self, name: &str, lower: &str, span: Span) {
        if http::HeaderName::from_bytes(lower.as_bytes()).is_err() {
            self.findings.push(
                Finding::at(span, format!("`{name}` is not a header name"))
                    .help("use letters, digits and `-`"),
            );
        } else if lower.starts_with("x-anomaly-") || RESERVED_HEADERS.contains(&lower) {
            self.findings.push(
                Finding::at(span, format!("the header `{name}` is set by the engine"))
                    .help("remove it here"),
            );
        }
    }

    fn think_time(&mut self, spec: &StepSpec, at: &Node) -> Option<ThinkTime> {
        let pause = spec.think_time.or(self.defaults.think_time)?;
        if pause.min > pause.max {
            let node = if spec.think_time.is_some() {
                at
            } else {
                self.defaults_node
            };
            self.upside_down(pause, "think time", node.value("think_time"));
        }
        let site = self.site();
        (pause.max.ns > 0).then_some(ThinkTime {
            min_ns: pause.min.ns,
            max_ns: pause.max.ns,
            site,
        })
    }

    /// The pause at the end of each iteration.
    pub(super) fn wait_time(&mut self, pause: Option<Pause>, at: &Node) -> Option<ThinkTime> {
        let pause = pause?;
        if pause.min > pause.max {
            self.upside_down(pause, "wait time", at.value("wait_time"));
        }
        Some(ThinkTime {
            min_ns: pause.min.ns,
            max_ns: pause.max.ns,
            site: self.site(),
        })
    }

    fn upside_down(&mut self, pause: Pause, what: &str, place: Span) {
        let message = format!(
            "the shortest {what}, {}, is above the longest, {}",
            pause.min, pause.max
        );
        self.findings
            .push(Finding::at(place, message).help("write [shortest, longest]"));
    }

    fn expect(&mut self, spec: &StepSpec, at: &Node) -> Expect {
        let default = &self.defaults.expect;
        let status = spec.expect.status.as_ref().or(default.status.as_ref());
        let own = spec.expect.content_type.as_ref();
        if let Some(media_type) = own.or(default.content_type.as_ref()) {
            let node = if own.is_some() {
                at
            } else {
                self.defaults_node
            };
            let plain = |c: char| c.is_ascii_graphic() && c != ';' && c != ',';
            let parts = media_type
                .split('/')
                .filter(|part| !part.is_empty())
                .count();
            if parts != 2 || media_type.matches('/').count() != 1 || !media_type.chars().all(plain)
            {
                let place = node.child("expect").value("content_type");
                self.findings.push(
                    Finding::at(place, format!("`{media_type}` is not a media type"))
                        .help("write it like application/json, without parameters"),
                );
            }
        }
        Expect {
            status: status.map_or_else(|| STATUS.to_vec(), |status| status.0.clone()),
            content_type: own.or(default.content_type.as_ref()).cloned(),
        }
    }

    fn json(&mut self, value: &Value, node: &Node) -> JsonTemplate {
        match value {
            Value::String(text) => {
                let mut template = self.template(text, node);
                match template.0.as_mut_slice() {
                    [] => JsonTemplate::Value(Value::String(String::new())),
                    [Part::Text(text)] => JsonTemplate::Value(std::mem::take(text).into()),
                    [Part::Var(reference)] => JsonTemplate::Var(reference.clone()),
                    _ => JsonTemplate::Text(template),
                }
            }
            Value::Array(items) => {
                let made: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.json(item, node.item(index)))
                    .collect();
                let plain: Option<Vec<Value>> = made.iter().map(as_value).collect();
                plain.map_or(JsonTemplate::Array(made), |items| {
                    JsonTemplate::Value(items.into())
                })
            }
            Value::Object(map) => {
                let made: Vec<_> = map
                    .iter()
                    .map(|(key, item)| (key.clone(), self.json(item, node.child(key))))
                    .collect();
                let plain: Option<serde_json::Map<String, Value>> = made
                    .iter()
                    .map(|(key, item)| Some((key.clone(), as_value(item)?)))
                    .collect();
                plain.map_or(JsonTemplate::Object(made), |map| {
                    JsonTemplate::Value(map.into())
                })
            }
            other => JsonTemplate::Value(other.clone()),
        }
    }

    /// A text with its variables resolved. What is wrong is reported and left out.
    fn template(&mut self, text: &str, node: &Node) -> Template {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(bad) => {
                let finding = Finding::at(in_scalar(node, text, bad.place), bad.message);
                self.findings.push(finding.help(bad.help));
                return Template(Vec::new());
            }
        };
        let parts = pieces.into_iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(Part::Text(text)),
            Piece::Hole {
                name,
                pointer,
                place,
            } => {
                let span = in_scalar(node, text, place);
                self.variable(&name, span)
                    .map(|slot| Part::Var(VarRef { slot, pointer }))
            }
            Piece::Outside { source, .. } => Some(Part::Secret(source)),
        });
        Template(parts.collect())
    }

    /// The slot of a variable, which must be set by now.
    fn variable(&mut self, name: &str, span: Span) -> Option<usize> {
        let Some(slot) = self.variables.get_index_of(name) else {
            let known = self.variables.iter().map(String::as_str);
            let finding = Finding::at(span, format!("unknown variable `{name}`"));
            self.findings.push(match self.variables.is_empty() {
                true => {
                    finding.help("the flow has no variables: draw it under `vars` or `capture` it")
                }
                false => finding.suggest(name, known),
            });
            return None;
        };
        if !self.known.contains(&slot) {
            let message = format!("`{name}` is used before it is set");
            self.findings.push(
                Finding::at(span, message).help("a captured value is there from the next step on; move the step that captures it up"),
            );
        }
        Some(slot)
    }
}

fn as_value(template: &JsonTemplate) -> Option<Value> {
    match template {
        JsonTemplate::Value(value) => Some(value.clone()),
        _ => None,
    }
}

/// A place inside of a scalar: exact where the text stands in the file as it is, otherwise the
/// whole scalar.
fn in_scalar(node: &Node, text: &str, place: InText) -> Span {
    let length = text.chars().count();
    let quotes = match &node.kind {
        Kind::Scalar { .. } if node.span.length == length => 0,
        Kind::Scalar { .. } if node.span.length == length + 2 => 1,
        _ => return node.span,
    };
    let column = node.span.column + quotes + place.at;
    Span {
        line: node.span.line,
        column,
        length: place.length,
    }
}
