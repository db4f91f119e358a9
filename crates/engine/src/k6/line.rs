//! Lines of the event log that the k6 module writes; `k6/README.md` has the table of them.
//!
//! The module writes them with `console.log`, so what wraps them is up to k6's logger: nothing with
//! `--log-format raw`, key=value pairs where k6's error stream is no terminal, a level and aligned
//! columns where it is one, or JSON. All are read, because a log that was not asked for as raw holds
//! the same truth.

use std::borrow::Cow;

use loadgen_scenario::Plan;
use loadgen_timeline::Failure;
use serde::Deserialize;

/// What every line of version 1 begins with.
pub(super) const MARK: &str = "lg1 ";

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LogLine<'l> {
    /// First line: what the run is.
    Run(Box<RunHeader>),
    /// Zero of the plan's times, in Unix milliseconds.
    Zero(i64),
    /// A scenario's executor began, by k6's own clock.
    Open { scenario: Name<'l>, at_ms: i64 },
    /// A request was handed to k6's HTTP client.
    Begin(Begin<'l>),
    /// It ended.
    End {
        key: &'l str,
        duration_ns: i64,
        status: Option<u16>,
        failure: Option<Failure>,
        ends_iteration: bool,
    },
    /// A step without a request, because a variable was never captured.
    Unsent {
        vu: &'l str,
        scenario: Name<'l>,
        iteration: u64,
    },
    /// An iteration ended.
    IterationEnd { vu: &'l str },
    /// An iteration ended that sent nothing.
    Empty { scenario: Name<'l>, iteration: u64 },
    /// What k6 itself counted.
    Summary(Summary),
}

/// A request that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begin<'l> {
    /// Who sends it; unique among those in flight. Up to a dot it is the VU.
    pub(crate) key: &'l str,
    pub(crate) scenario: Name<'l>,
    pub(crate) iteration: u64,
    pub(crate) flow: Name<'l>,
    pub(crate) step: Name<'l>,
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) sent_ms: i64,
    pub(crate) path: &'l str,
}

/// A place in the plan, or a name that a person's own script made up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name<'l> {
    Index(u16),
    Text(Cow<'l, str>),
}

/// What a run of k6 is, from its first line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct RunHeader {
    pub(crate) schema_version: u32,
    pub(crate) run_id: String,
    pub(crate) base_url: String,
    pub(crate) module_version: String,
    /// What of the test this k6 does, by its option `executionSegment`; none: all.
    #[serde(default)]
    pub(crate) segment: Option<String>,
    /// How the test is divided, by its option `executionSegmentSequence`.
    #[serde(default)]
    pub(crate) segment_sequence: Option<String>,
    pub(crate) plan: Plan,
}

/// k6's own counts, from its last line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Summary {
    /// How long k6 ran, in milliseconds.
    #[serde(default)]
    pub(crate) test_run_duration_ms: f64,
    #[serde(default)]
    pub(crate) scenarios: std::collections::HashMap<String, ScenarioCounts>,
}

/// k6's own counts of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct ScenarioCounts {
    #[serde(default)]
    pub(crate) iterations: u64,
    #[serde(default)]
    pub(crate) dropped_iterations: u64,
}

/// The module's part of a line of k6's log, without what k6's logger put around it; none: the line
/// is k6's own, or the person's.
pub(crate) fn payload(line: &str) -> Option<Cow<'_, str>> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.starts_with(MARK) {
        return Some(Cow::Borrowed(line));
    }
    if line.starts_with('{') && line.contains(MARK) {
        #[derive(Deserialize)]
        struct Logged {
            msg: String,
        }
        let logged: Logged = serde_json::from_str(line).ok()?;
        return logged
            .msg
            .starts_with(MARK)
            .then_some(Cow::Owned(logged.msg));
    }
    if let Some((level, text)) = line.split_once("] lg1 ")
        && let Some(seconds) = level.strip_prefix("INFO[")
        && seconds.bytes().all(|b| b.is_ascii_digit())
    {
        // The form of a terminal: fields stand behind the text, unquoted.
        let text = text.strip_suffix("source=console").unwrap_or(text);
        return Some(Cow::Owned(format!("{MARK}{}", text.trim_end())));
    }
    // logrus' text form quotes as Go's %q does, which for what is in these lines is JSON's way.
    let start = line.find("msg=\"lg1 ")? + "msg=".len();
    let mut texts = serde_json::Deserializer::from_str(&line[start..]).into_iter::<String>();
    texts.next()?.ok().map(Cow::Owned)
}

/// A payload as a line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(payload: &str) -> Result<LogLine<'_>, String> {
    let text = payload.strip_prefix(MARK).unwrap_or(payload);
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut fields = Fields { rest };
    let line = match kind {
        "run" => {
            let header = serde_json::from_str(rest).map_err(|e| format!("run: {e}"))?;
            LogLine::Run(Box::new(header))
        }
        "end" => LogLine::Summary(serde_json::from_str(rest).map_err(|e| format!("end: {e}"))?),
        "zero" => LogLine::Zero(fields.unix_ms("zero")?),
        "open" => LogLine::Open {
            scenario: fields.name("scenario")?,
            at_ms: fields.unix_ms("time")?,
        },
        "b" => LogLine::Begin(Begin {
            key: fields.next("key")?,
            scenario: fields.name("scenario")?,
            iteration: fields.count("iteration")?,
            flow: fields.name("flow")?,
            step: fields.name("step")?,
            trace_id: fields.hex("trace id")?,
            span_id: fields.hex("span id")?,
            sent_ms: fields.unix_ms("time")?,
            path: fields.rest,
        }),
        "e" => {
            let key = fields.next("key")?;
            let duration_ms: f64 = fields.number("duration")?;
            if !(0.0..=1e11).contains(&duration_ms) {
                return Err(format!("duration: {duration_ms} ms"));
            }
            let status: u16 = fields.number("status")?;
            let failure = match fields.next("failure")? {
                "-" => None,
                name => Some(failure(name)?),
            };
            LogLine::End {
                key,
                // Below 2^53 by the check above.
                duration_ns: (duration_ms * 1e6).round() as i64,
                status: Some(status).filter(|status| *status > 0),
                failure,
                ends_iteration: fields.rest == ".",
            }
        }
        "u" => LogLine::Unsent {
            vu: fields.next("VU")?,
            scenario: fields.name("scenario")?,
            iteration: fields.count("iteration")?,
        },
        "i" => LogLine::IterationEnd {
            vu: fields.next("VU")?,
        },
        "n" => LogLine::Empty {
            scenario: fields.name("scenario")?,
            iteration: fields.count("iteration")?,
        },
        other => return Err(format!("no line of version 1 is called `{other}`")),
    };
    Ok(line)
}

fn failure(name: &str) -> Result<Failure, String> {
    Failure::ALL
        .into_iter()
        .find(|failure| failure.name() == name)
        .ok_or_else(|| format!("`{name}` is no kind of failure"))
}

/// Fields separated by single spaces.
struct Fields<'l> {
    rest: &'l str,
}

impl<'l> Fields<'l> {
    fn next(&mut self, what: &str) -> Result<&'l str, String> {
        let (field, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest;
        match field {
            "" => Err(format!("the {what} is missing")),
            field => Ok(field),
        }
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let field = self.next(what)?;
        field
            .parse()
            .map_err(|_| format!("the {what} `{field}` is not a number"))
    }

    /// A time of this millennium, so that nobody counts out what a damaged line says.
    fn unix_ms(&mut self, what: &str) -> Result<i64, String> {
        let ms = self.number(what)?;
        match (946_684_800_000..32_503_680_000_000).contains(&ms) {
            true => Ok(ms),
            false => Err(format!(
                "the {what} {ms} is not a Unix time in milliseconds"
            )),
        }
    }

    /// k6 counts in doubles.
    fn count(&mut self, what: &str) -> Result<u64, String> {
        match self.number(what)? {
            count if count < 1 << 53 => Ok(count),
            count => Err(format!("the {what} {count} is too large")),
        }
    }

    fn hex<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let field = self.next(what)?;
        const_hex::decode_to_array(field)
            .map_err(|_| format!("the {what} `{field}` is not {} hexadecimal digits", 2 * N))
    }

    fn name(&mut self, what: &str) -> Result<Name<'l>, String> {
        let field = self.next(what)?;
        match field.strip_prefix('=') {
            Some(name) => {
                let text = percent_encoding::percent_decode_str(name).decode_utf8();
                text.map(Name::Text)
                    .map_err(|_| format!("the {what} `{field}` is not UTF-8"))
            }
            None => field
                .parse()
                .map(Name::Index)
                .map_err(|_| format!("the {what} `{field}` is neither a number nor a name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "lg1 b 7 0 12 3 4 43b54f0272634fbeb85015083d013198 b85015083d013198 1795573449688 /api/x?q=a%20b";

    #[test]
    fn a_request_that_began() {
        let LogLine::Begin(begin) = parse(BEGIN).unwrap() else {
            panic!("{BEGIN}");
        };
        assert_eq!((begin.key, begin.iteration), ("7", 12));
        assert_eq!((begin.flow, begin.step), (Name::Index(3), Name::Index(4)));
        assert_eq!(begin.sent_ms, 1_795_573_449_688);
        assert_eq!(begin.path, "/api/x?q=a%20b");
        assert_eq!(begin.trace_id[..2], [0x43, 0xb5]);
    }

    #[test]
    fn a_request_that_ended() {
        let parsed = parse("lg1 e 7 12.345678 503 status .").unwrap();
        assert_eq!(
            parsed,
            LogLine::End {
                key: "7",
                duration_ns: 12_345_678,
                status: Some(503),
                failure: Some(Failure::Status),
                ends_iteration: true,
            }
        );
        let LogLine::End {
            status,
            failure,
            ends_iteration,
            ..
        } = parse("lg1 e 7.2 5000 0 timeout").unwrap()
        else {
            panic!();
        };
        assert_eq!(
            (status, failure, ends_iteration),
            (None, Some(Failure::Timeout), false)
        );
    }

    #[test]
    fn names_of_own_scripts_are_decoded() {
        let parsed = parse("lg1 open =my%20spike 1795573449688").unwrap();
        let expected = LogLine::Open {
            scenario: Name::Text("my spike".into()),
            at_ms: 1_795_573_449_688,
        };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn every_form_of_the_logger_is_unwrapped() {
        let raw = "lg1 i 7\r\n";
        let terminal = "INFO[0003] lg1 i 7                                      source=console";
        let text = r#"time="2026-11-25T02:31:00Z" level=info msg="lg1 i 7" source=console"#;
        let json =
            r#"{"level":"info","msg":"lg1 i 7","source":"console","time":"2026-11-25T02:31:00Z"}"#;
        for line in [raw, terminal, text, json] {
            assert_eq!(payload(line).as_deref(), Some("lg1 i 7"), "{line}");
        }
        let quoted = r#"time="x" level=info msg="lg1 end {\"scenarios\":{}}" source=console"#;
        let inner = payload(quoted).unwrap();
        assert_eq!(
            parse(&inner).unwrap(),
            LogLine::Summary(Summary {
                test_run_duration_ms: 0.0,
                scenarios: Default::default()
            })
        );
    }

    #[test]
    fn lines_of_others_are_left_alone() {
        for line in [
            "",
            "WARN[0003] Request Failed",
            "{\"msg\":\"hello\"}",
            "a lg1 b 7",
        ] {
            assert_eq!(payload(line), None, "{line}");
        }
    }

    #[test]
    fn damaged_lines_say_what_is_wrong() {
        for (line, part) in [
            ("lg1 b 7 0 12 3 4 43b5", "trace id"),
            ("lg1 b 7 0 x 3 4", "iteration"),
            ("lg1 e 7 NaN 200 -", "duration"),
            ("lg1 e 7 -1 200 -", "duration"),
            ("lg1 e 7 1 200 odd", "odd"),
            ("lg1 e 7 1", "status"),
            ("lg1 teleport 7", "teleport"),
            ("lg1 zero 9223372036854775807", "zero"),
            ("lg1 zero 0", "zero"),
            ("lg1 n 0 18446744073709551615", "iteration"),
            ("lg1 run {", "run"),
            ("lg1", "lg1"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
