//! Reads a timeline back, also one that a kill cut short.

use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use loadgen_scenario::plan::Anomaly;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::{
    Event, FaultChanged, FaultFailed, FaultNoticed, GeneratorStalled, Heartbeat, RunFinished,
    RunStarted, WindowClosed, WindowOpened,
};
use crate::label::{Label, NONE};

/// Why a file can't serve as a timeline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// The file can't be read.
    #[error("can't read the timeline {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No line of it is an event.
    #[error(
        "{} is not a timeline: none of its {lines} lines is an event (first problem: {first}); \
         give the timeline.jsonl of a run folder",
        path.display()
    )]
    NoEvents {
        /// The file.
        path: PathBuf,
        /// Lines in it.
        lines: usize,
        /// What was wrong with the first line.
        first: String,
    },
    /// A newer loadgen wrote it.
    #[error(
        "{} has schema version {found}; this loadgen reads up to version {known}: use a newer one",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version that this program knows.
        known: u32,
    },
}

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Number of the line, from 1.
    pub line: usize,
    /// Offset of the line in the file, in bytes.
    pub byte: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// What a timeline says.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// The run; none if its line is missing or damaged.
    pub run: Option<RunStarted>,
    /// Windows in the order in which they opened.
    pub windows: Vec<Window>,
    /// Faults that were in force, in the order of their injection.
    pub faults: Vec<FaultInterval>,
    /// Faults that could not be injected or cleared.
    pub fault_failures: Vec<FaultFailed>,
    /// Clearings of faults whose injection was never confirmed.
    pub stray_clears: Vec<FaultChanged>,
    /// What looks at the target showed of faults that somebody else changed.
    pub noticed: Vec<FaultNoticed>,
    /// Times during which the generator did not run.
    pub stalls: Vec<GeneratorStalled>,
    /// The latest heartbeat.
    pub last_heartbeat: Option<Heartbeat>,
    /// How the run ended; none: it was killed or still goes on.
    pub finished: Option<RunFinished>,
    /// Whether the lines are those that were written.
    pub integrity: Integrity,
    /// Time of the latest event, in Unix nanoseconds.
    pub last_ns: Option<i64>,
    /// Lines that could not be read, apart from a torn last one.
    pub skipped: Vec<BadLine>,
    /// Events of a kind that this version does not know.
    pub unknown_events: usize,
    /// Whether the last line was cut off.
    pub torn_tail: bool,
}

/// Whether a timeline is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// The checksum at the end is that of all lines before it.
    Verified,
    /// There is no checksum: the timeline is of schema 1, or has no end.
    #[default]
    NotStated,
    /// The checksum is not that of the lines before it, or there are lines behind it: the file was
    /// changed after it was written.
    Mismatch,
}

/// A scenario's window, half-open: `opened_ns <= t < closed_ns`. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The scenario's name.
    pub scenario: String,
    /// What the window is labelled with; of a sham or harmless window the anomaly `none`.
    pub anomaly: Anomaly,
    /// The anomaly that a sham or harmless window declares.
    pub declared: Option<Anomaly>,
    /// The window only warms the target up.
    pub warm_up: bool,
    /// It may close before its planned end without anything being wrong.
    pub may_end_early: bool,
    /// When it opened.
    pub opened_ns: i64,
    /// When it closed, as far as is known; see `end`.
    pub closed_ns: i64,
    /// How the end is known.
    pub end: WindowEnd,
    /// Start by the plan.
    pub planned_start_ns: i64,
    /// End by the plan.
    pub planned_end_ns: i64,
    /// Time after an edge that counts as transition, in nanoseconds.
    pub guard_ns: u64,
    /// When the last iteration that had begun in it ended; none: that is not on the timeline.
    pub drained_ns: Option<i64>,
    /// Its totals, as of the close or, where `drained_ns` is known, as of then: final.
    pub totals: Option<WindowClosed>,
}

/// How a window's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowEnd {
    /// From its `window_closed`.
    Closed,
    /// The timeline breaks off inside the window: the time of its latest event.
    LastEvent,
}

/// The time during which a fault was in force.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultInterval {
    /// The injection.
    pub injected: FaultChanged,
    /// The clearing; none: it is not on the timeline.
    pub cleared: Option<FaultChanged>,
}

/// Which window a time lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowAt {
    /// None.
    None,
    /// One: its index.
    One(usize),
    /// Several that overlap: their indices.
    Several(Vec<usize>),
}

impl Timeline {
    /// The window that a time in Unix nanoseconds lies in.
    pub fn window_at(&self, at_ns: i64) -> WindowAt {
        // A timeline has a handful of windows: a scan is faster than anything clever.
        let mut hits = (0..self.windows.len())
            .filter(|&i| (self.windows[i].opened_ns..self.windows[i].closed_ns).contains(&at_ns));
        match (hits.next(), hits.next()) {
            (None, _) => WindowAt::None,
            (Some(one), None) => WindowAt::One(one),
            (Some(one), Some(two)) => {
                WindowAt::Several([one, two].into_iter().chain(hits).collect())
            }
        }
    }
}

/// The longest timeline that is read: that of some weeks. What is longer is something else, such as a
/// device that never ends.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a file that has at most `limit` bytes.
fn bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {limit} bytes, the most that is read"),
        )),
        false => Ok(bytes),
    }
}

/// Reads a timeline. Lines that are damaged are skipped and named in the result; windows that
/// never closed end at the latest event.
pub fn read_timeline(path: &Path) -> Result<Timeline, TimelineError> {
    let bytes = bounded(path, MAX_BYTES).map_err(|source| TimelineError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let timeline = parse(&bytes);
    if let Some(run) = &timeline.run
        && run.schema_version > crate::event::TIMELINE_SCHEMA_VERSION
    {
        return Err(TimelineError::NewerSchema {
            path: path.to_path_buf(),
            found: run.schema_version,
            known: crate::event::TIMELINE_SCHEMA_VERSION,
        });
    }
    if timeline.last_ns.is_none() {
        let first = match timeline.skipped.first() {
            Some(bad) => format!("line {}: {}", bad.line, bad.reason),
            None if bytes.is_empty() => "the file is empty".to_owned(),
            None => "no event of a kind that is known".to_owned(),
        };
        let lines = bytes
            .split(|&b| b == b'\n')
            .filter(|l| !l.is_empty())
            .count();
        return Err(TimelineError::NoEvents {
            path: path.to_path_buf(),
            lines,
            first,
        });
    }
    Ok(timeline)
}

/// Reads a timeline from memory; never fails, see [`read_timeline`].
pub fn parse(bytes: &[u8]) -> Timeline {
    let mut timeline = Timeline::default();
    let mut open: Vec<usize> = Vec::new();
    let mut byte = 0;
    // Where the line that states the checksum ends.
    let mut end_of_run = None;
    for (index, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        let start = byte;
        byte += line.len();
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match parse_line(line) {
            Ok(Some(event)) => {
                if let Event::RunFinished(finished) = &event {
                    end_of_run = Some(byte);
                    timeline.integrity = integrity(finished, &bytes[..start], &timeline);
                }
                timeline.take(event, &mut open);
            }
            Ok(None) => timeline.unknown_events += 1,
            // Without a newline at its end the line is one that was being written.
            Err(_) if !line.ends_with(b"\n") => timeline.torn_tail = true,
            Err(reason) => timeline.skipped.push(BadLine {
                line: index + 1,
                byte: start,
                reason,
            }),
        }
    }
    if end_of_run.is_some_and(|end| !bytes[end..].iter().all(u8::is_ascii_whitespace)) {
        timeline.integrity = Integrity::Mismatch;
    }
    for index in open {
        let window = &mut timeline.windows[index];
        window.closed_ns = timeline
            .last_ns
            .unwrap_or(window.opened_ns)
            .max(window.opened_ns);
    }
    timeline
}

/// The events of a timeline in memory, in order. Lines that can't be read are left out; [`parse`]
/// names them.
pub fn events(bytes: &[u8]) -> Vec<Event> {
    let lines = bytes.split(|&b| b == b'\n');
    lines
        .filter_map(|line| parse_line(line).ok().flatten())
        .collect()
}

/// `before`: all lines before the end.
fn integrity(finished: &RunFinished, before: &[u8], timeline: &Timeline) -> Integrity {
    match &finished.sha256 {
        Some(stated) if *stated == const_hex::encode(Sha256::digest(before)) => Integrity::Verified,
        Some(_) => Integrity::Mismatch,
        // From schema 2 on whoever writes an end states it.
        None if timeline
            .run
            .as_ref()
            .is_some_and(|run| run.schema_version >= 2) =>
        {
            Integrity::Mismatch
        }
        None => Integrity::NotStated,
    }
}

/// Times that can be told apart from a mistake, and that can be added up: until the year 2255.
const TIMES_NS: RangeInclusive<i64> = 0..=9_000_000_000_000_000_000;

/// `Ok(None)`: an event that this version does not know.
fn parse_line(line: &[u8]) -> Result<Option<Event>, String> {
    #[derive(Deserialize)]
    struct Tag<'a> {
        #[serde(borrow)]
        event: std::borrow::Cow<'a, str>,
    }
    const KNOWN: [&str; 12] = [
        "run_started",
        "window_opened",
        "fault_injected",
        "fault_cleared",
        "fault_failed",
        "fault_noticed",
        "heartbeat",
        "window_closed",
        "window_drained",
        "clock_stepped",
        "generator_stalled",
        "run_finished",
    ];
    let tag: Tag = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if !KNOWN.contains(&tag.event.as_ref()) {
        return Ok(None);
    }
    let event: Event = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let odd = event.times().find(|at| !TIMES_NS.contains(at));
    match odd {
        Some(at) => Err(format!("{at} is not a time after 1970 in Unix nanoseconds")),
        None => Ok(Some(event)),
    }
}

impl Timeline {
    fn take(&mut self, event: Event, open: &mut Vec<usize>) {
        let at_ns = event.at_ns();
        match event {
            Event::RunStarted(run) => _ = self.run.get_or_insert(run),
            Event::WindowOpened(opened) => {
                open.push(self.windows.len());
                self.windows.push(Window::from(opened));
            }
            Event::WindowClosed(closed) => self.close_window(closed, open),
            Event::WindowDrained(drained) => self.drain_window(drained),
            Event::FaultInjected(injected) => self.faults.push(FaultInterval {
                injected,
                cleared: None,
            }),
            Event::FaultCleared(cleared) => self.clear_fault(cleared),
            Event::FaultFailed(failed) => self.fault_failures.push(failed),
            Event::FaultNoticed(noticed) => self.noticed.push(noticed),
            Event::GeneratorStalled(stall) => self.stalls.push(stall),
            Event::Heartbeat(beat) => self.last_heartbeat = Some(beat),
            Event::RunFinished(finished) => self.finished = Some(finished),
            Event::FlagChanged(_)
            | Event::FlagLost(_)
            | Event::VusChanged(_)
            | Event::ClockStepped(_) => {}
        }
        self.last_ns = Some(self.last_ns.map_or(at_ns, |last| last.max(at_ns)));
    }

    fn close_window(&mut self, closed: WindowClosed, open: &mut Vec<usize>) {
        let of = |&i: &usize| self.windows[i].scenario == closed.scenario;
        if let Some(position) = open.iter().position(of) {
            let window = &mut self.windows[open.remove(position)];
            window.closed_ns = closed.at_ns.max(window.opened_ns);
            window.end = WindowEnd::Closed;
            window.totals.get_or_insert(closed);
        }
    }

    fn drain_window(&mut self, drained: WindowClosed) {
        let of = |w: &&mut Window| w.scenario == drained.scenario && w.drained_ns.is_none();
        if let Some(window) = self.windows.iter_mut().find(of) {
            window.drained_ns = Some(drained.at_ns);
            window.totals = Some(drained);
        }
    }

    fn clear_fault(&mut self, cleared: FaultChanged) {
        let of = |f: &&mut FaultInterval| {
            f.cleared.is_none() && f.injected.identity() == cleared.identity()
        };
        match self.faults.iter_mut().find(of) {
            Some(interval) => interval.cleared = Some(cleared),
            None => self.stray_clears.push(cleared),
        }
    }
}

/// In timelines of schema 1 the symptom stood in the place of the label. `normal` is another word for
/// the type `none`, unless the label says otherwise.
fn with_label(mut anomaly: Anomaly) -> Anomaly {
    let normal = Label::Normal.name();
    if anomaly.kind == normal && anomaly.label == normal {
        anomaly.kind = NONE.to_owned();
    }
    let label = match anomaly.kind == NONE {
        true => Label::Normal,
        false => Label::Anomalous,
    };
    if anomaly.label != label.name() {
        let symptom = std::mem::replace(&mut anomaly.label, label.name().to_owned());
        anomaly.symptom.get_or_insert(symptom);
    }
    anomaly
}

impl From<WindowOpened> for Window {
    fn from(opened: WindowOpened) -> Self {
        Self {
            scenario: opened.scenario,
            anomaly: with_label(opened.anomaly),
            declared: opened.declared,
            warm_up: opened.warm_up,
            may_end_early: opened.may_end_early,
            opened_ns: opened.at_ns,
            closed_ns: opened.at_ns,
            end: WindowEnd::LastEvent,
            planned_start_ns: opened.planned_start_ns,
            planned_end_ns: opened.planned_end_ns,
            guard_ns: opened.guard_ns,
            drained_ns: None,
            totals: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(scenario: &str, at_ns: i64) -> String {
        format!(
            r#"{{"event":"window_opened","scenario":"{scenario}","anomaly":{{"type":"t","label":"l","root_cause":"r","msg":"m","root_cause_service":null}},"planned_start_ns":{at_ns},"planned_end_ns":{at_ns},"at_ns":{at_ns},"a_field_of_tomorrow":1}}"#
        ) + "\n"
    }

    fn closed(scenario: &str, at_ns: i64) -> String {
        format!(
            r#"{{"event":"window_closed","scenario":"{scenario}","at_ns":{at_ns},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}"#
        ) + "\n"
    }

    fn heartbeat(at_ns: i64) -> String {
        format!(
            r#"{{"event":"heartbeat","at_ns":{at_ns},"sent":0,"completed":0,"failed":0,"dropped":0}}"#
        ) + "\n"
    }

    #[test]
    fn a_time_that_can_not_be_one_makes_a_line_a_bad_one() {
        for at_ns in [i64::MIN, -1, i64::MAX] {
            let timeline = parse((opened("a", at_ns) + &opened("b", 10)).as_bytes());
            assert_eq!(timeline.windows.len(), 1, "{at_ns}");
            assert_eq!(timeline.skipped[0].line, 1);
        }
    }

    #[test]
    fn a_clearing_ends_the_fault_of_its_own_service_and_driver() {
        let change = |event: &str, driver: &str, service: &str, at_ns: i64| {
            format!(
                r#"{{"event":"{event}","scenario":"a","driver":"{driver}","fault":"hog","service":"{service}","requested_ns":{at_ns},"at_ns":{at_ns}}}"#
            ) + "\n"
        };
        let text = change("fault_injected", "hand", "cart", 8)
            + &change("fault_injected", "hand", "user", 12)
            + &change("fault_cleared", "hand", "user", 16)
            + &change("fault_cleared", "other", "cart", 18)
            + &change("fault_cleared", "hand", "cart", 22);
        let timeline = parse(text.as_bytes());
        let ends: Vec<_> = timeline
            .faults
            .iter()
            .map(|f| f.cleared.as_ref().map(|c| c.at_ns))
            .collect();
        assert_eq!(ends, [Some(22), Some(16)]);
        assert_eq!(timeline.stray_clears.len(), 1);
    }

    #[test]
    fn normal_is_another_word_for_none() {
        let normal = opened("a", 10).replace("\"t\"", "\"normal\"");
        for (label, expected) in [
            ("normal", (NONE, "normal")),
            // A contradiction is no reason to take an anomaly for normal time.
            ("anomalous", ("normal", "anomalous")),
        ] {
            let line = normal.replace("\"l\"", &format!("\"{label}\""));
            let anomaly = &parse(line.as_bytes()).windows[0].anomaly;
            assert_eq!((&*anomaly.kind, &*anomaly.label), expected);
        }
    }

    #[test]
    fn windows_are_half_open() {
        let timeline = parse(
            (opened("a", 10) + &closed("a", 20) + &opened("b", 20) + &closed("b", 30)).as_bytes(),
        );
        assert_eq!(timeline.window_at(9), WindowAt::None);
        assert_eq!(timeline.window_at(10), WindowAt::One(0));
        assert_eq!(timeline.window_at(19), WindowAt::One(0));
        assert_eq!(timeline.window_at(20), WindowAt::One(1));
        assert_eq!(timeline.window_at(30), WindowAt::None);
    }

    #[test]
    fn windows_that_overlap_are_all_named() {
        let timeline = parse(
            (opened("a", 10) + &opened("b", 15) + &closed("a", 20) + &closed("b", 30)).as_bytes(),
        );
        assert_eq!(timeline.window_at(17), WindowAt::Several(vec![0, 1]));
        assert_eq!(timeline.window_at(25), WindowAt::One(1));
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789").unwrap();
        assert_eq!(bounded(file.path(), 10).unwrap(), b"0123456789");
        let error = bounded(file.path(), 9).unwrap_err();
        assert!(error.to_string().contains("longer than 9"), "{error}");
        #[cfg(unix)]
        bounded(Path::new("/dev/zero"), 9).unwrap_err();
    }

    #[test]
    fn a_killed_run_ends_its_open_window_at_the_last_heartbeat() {
        let text = opened("a", 10) + &heartbeat(40) + r#"{"event":"heartbeat","at_"#;
        let timeline = parse(text.as_bytes());
        assert!(timeline.torn_tail);
        assert_eq!(timeline.windows[0].closed_ns, 40);
        assert_eq!(timeline.windows[0].end, WindowEnd::LastEvent);
    }

    #[test]
    fn a_damaged_line_costs_that_line_and_is_located() {
        let text = opened("a", 10) + "{\"event\":\"window_op\x00\n" + &closed("a", 20);
        let timeline = parse(text.as_bytes());
        assert_eq!(timeline.skipped.len(), 1);
        assert_eq!(timeline.skipped[0].line, 2);
        assert_eq!(timeline.skipped[0].byte, opened("a", 10).len());
        assert_eq!(timeline.windows[0].closed_ns, 20);
    }

    #[test]
    fn events_of_tomorrow_are_skipped() {
        let text = "{\"event\":\"teleported\",\"at_ns\":5}\n".to_owned() + &heartbeat(7);
        let timeline = parse(text.as_bytes());
        assert_eq!(timeline.unknown_events, 1);
        assert_eq!(timeline.last_ns, Some(7));
    }
}
