//! A typical trace of each window, and one of the same kind of request in normal time.
//!
//! Typical is the trace of median duration among those of the most frequent kind of request (service
//! and name of the root) that touches the declared service, in the window's steady time; where no
//! service is declared, or nothing touches it, of the most frequent kind of all.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use crate::known::Gaps;
use crate::number::{seconds_since, six};
use crate::sources::Sources;
use crate::table::{Batch, Flags, Numbers, Table, TableError, Text};
use crate::windows::Window;

/// At most so many spans of a trace are shown.
const MOST_SPANS: usize = 150;

/// At most so many characters of a name.
const MOST_CHARACTERS: usize = 160;

/// The traces that are shown.
#[derive(Debug, Clone, Serialize)]
pub struct TypicalTraces {
    /// Whether spans say by themselves what is wrong with them (`span_anomaly`).
    pub marked: bool,
    /// By number of the window.
    pub windows: BTreeMap<usize, WindowTraces>,
}

/// The traces of a window.
#[derive(Debug, Clone, Serialize)]
pub struct WindowTraces {
    /// Service of the root.
    pub root_service: String,
    /// Name of the root.
    pub root_name: String,
    /// Traces of that kind in the window's steady time.
    pub of: usize,
    /// Only those count that touch the declared service.
    pub touches_root_cause: bool,
    /// The one in the window.
    pub within: Trace,
    /// One of the same kind in normal time; none: there is none, or the window is normal itself.
    pub normal: Option<Trace>,
}

/// A trace.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Its start, seconds since the run began.
    pub start_s: f64,
    /// From its start to its latest end, ms.
    pub duration_ms: f64,
    /// Spans that it has.
    pub span_count: usize,
    /// The spans that are shown: each after its parent, of one parent in the order of their start.
    pub spans: Vec<Span>,
}

/// A span.
#[derive(Debug, Clone, Serialize)]
pub struct Span {
    /// The service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// OTLP's number of its kind.
    pub kind: i64,
    /// How many parents are above it.
    pub depth: usize,
    /// Its start, ms after the trace's.
    pub start_ms: f64,
    /// Its duration, ms.
    pub duration_ms: f64,
    /// It has the status error.
    pub error: bool,
    /// HTTP status.
    pub status_code: Option<i64>,
    /// `latency`, `error`, `structure`, several joined by `+`; none: nothing, or not known.
    pub anomaly: Option<String>,
    /// It is where the fault was.
    pub root_cause: bool,
}

/// The typical traces of a dataset.
pub(crate) fn read(
    sources: &Sources,
    began_ns: i64,
    windows: &[Window],
    gaps: &mut Gaps,
) -> Option<TypicalTraces> {
    const SHOWS: &str = "a typical trace of each window";
    let labels = sources.file("trace_labels", "parquet")?;
    let spans = sources.file("traces_labeled", "parquet")?;
    if windows.is_empty() {
        return None;
    }
    let chosen = gaps.note("trace_labels", SHOWS, choose(&labels, windows))?;
    let found = gaps.note("traces_labeled", SHOWS, find(&spans, &chosen, began_ns))?;
    let (marked, mut traces) = found;
    let mut shown = BTreeMap::new();
    for chosen in chosen {
        let Some(within) = traces.get(&chosen.within).cloned() else {
            continue;
        };
        let of_window = WindowTraces {
            root_service: chosen.kind.service,
            root_name: cut(&chosen.kind.name),
            of: chosen.of,
            touches_root_cause: chosen.touches_root_cause,
            within,
            normal: chosen.normal.and_then(|id| {
                traces.remove(&id).inspect(|trace| {
                    // Another window may show the same one.
                    traces.insert(id, trace.clone());
                })
            }),
        };
        shown.insert(chosen.window, of_window);
    }
    Some(TypicalTraces {
        marked,
        windows: shown,
    })
}

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Kind {
    service: String,
    name: String,
}

/// What is shown of a window, by trace ids.
struct Chosen {
    window: usize,
    kind: Kind,
    of: usize,
    touches_root_cause: bool,
    within: u128,
    normal: Option<u128>,
}

/// Traces of one kind in one window: whether they touch the declared service, durations and ids.
#[derive(Default)]
struct Group {
    traces: Vec<(i64, u128)>,
}

/// Whether a trace touches the declared service, and its kind.
type GroupKey = (bool, Kind);

impl Group {
    /// The trace of median duration; of several the one with the smallest id.
    fn median(&self) -> Option<u128> {
        let mut traces = self.traces.clone();
        traces.sort_unstable();
        traces
            .get(traces.len().saturating_sub(1) / 2)
            .map(|(_, id)| *id)
    }
}

struct LabelColumns<'b> {
    ids: Text<'b>,
    durations: Numbers<'b>,
    services: Text<'b>,
    names: Text<'b>,
    scenarios: Text<'b>,
    kinds: Text<'b>,
    phases: Text<'b>,
    touches: Option<Flags<'b>>,
}

impl<'b> LabelColumns<'b> {
    const NAMES: [&'static str; 8] = [
        "trace_id",
        "duration_ns",
        "root_service",
        "root_span_name",
        "scenario",
        "anomaly_type",
        "phase",
        "touches_root_cause",
    ];

    fn of(batch: &Batch<'b>) -> Result<Self, String> {
        Ok(Self {
            ids: batch.text("trace_id")?,
            durations: batch.numbers("duration_ns")?,
            services: batch.text("root_service")?,
            names: batch.text("root_span_name")?,
            scenarios: batch.text("scenario")?,
            kinds: batch.text("anomaly_type")?,
            phases: batch.text("phase")?,
            touches: batch.flags_if_any("touches_root_cause")?,
        })
    }
}

fn choose(path: &Path, windows: &[Window]) -> Result<Vec<Chosen>, TableError> {
    let mut groups: Vec<HashMap<GroupKey, Group>> = Vec::new();
    groups.resize_with(windows.len(), HashMap::new);
    let mut normal: HashMap<Kind, Group> = HashMap::new();
    Table::at(path).read(&LabelColumns::NAMES, |batch| {
        let columns = LabelColumns::of(batch)?;
        for row in 0..batch.rows() {
            let id = u128::from_str_radix(columns.ids.or_empty(row), 16);
            let (Ok(id), Some(duration)) = (id, columns.durations.long(row)) else {
                continue;
            };
            if columns.phases.get(row) != Some("steady") {
                continue;
            }
            let kind = Kind {
                service: columns.services.or_empty(row).to_owned(),
                name: columns.names.or_empty(row).to_owned(),
            };
            let (scenario, of_type) =
                (columns.scenarios.or_empty(row), columns.kinds.or_empty(row));
            let touches = columns.touches.and_then(|flags| flags.get(row)) == Some(true);
            for (window, groups) in windows.iter().zip(&mut groups) {
                if lies_in(window, scenario, of_type) {
                    let group = groups.entry((touches, kind.clone())).or_default();
                    group.traces.push((duration, id));
                }
            }
            if of_type == "none" {
                normal.entry(kind).or_default().traces.push((duration, id));
            }
        }
        Ok(())
    })?;
    let chosen = windows.iter().zip(groups);
    Ok(chosen
        .filter_map(|(window, groups)| choose_of(window, groups, &normal))
        .collect())
}

/// Whether a trace lies in a window and has no other label than the window's.
fn lies_in(window: &Window, scenario: &str, of_type: &str) -> bool {
    window.anomaly_type == of_type && scenario.split('+').any(|name| name == window.scenario)
}

fn choose_of(
    window: &Window,
    groups: HashMap<GroupKey, Group>,
    normal: &HashMap<Kind, Group>,
) -> Option<Chosen> {
    let rank = |((touches, kind), group): (&GroupKey, &Group)| {
        // Of kinds that are equally frequent the first by name.
        (
            *touches,
            group.traces.len(),
            std::cmp::Reverse(kind.clone()),
        )
    };
    let (key, group) = groups.iter().max_by_key(|of| rank(*of))?;
    let (touches_root_cause, kind) = key.clone();
    let is_normal = window.anomaly_type == "none";
    let like = normal.get(&kind).filter(|_| !is_normal);
    Some(Chosen {
        window: window.number,
        of: group.traces.len(),
        within: group.median()?,
        normal: like.and_then(Group::median),
        kind,
        touches_root_cause,
    })
}

/// A span before it has its place.
struct Row {
    id: String,
    parent: Option<String>,
    start_ns: i64,
    end_ns: i64,
    span: Span,
}

type Found = (bool, HashMap<u128, Trace>);

/// The spans of the chosen traces.
fn find(path: &Path, chosen: &[Chosen], began_ns: i64) -> Result<Found, TableError> {
    let wanted = chosen.iter().flat_map(|of| [Some(of.within), of.normal]);
    let mut traces: HashMap<u128, Vec<Row>> = wanted.flatten().map(|id| (id, Vec::new())).collect();
    let mut rows = Vec::new();
    let mut before = 0;
    Table::at(path).read(&["trace_id"], |batch| {
        let ids = batch.text("trace_id")?;
        for row in 0..batch.rows() {
            let id = u128::from_str_radix(ids.or_empty(row), 16);
            if id.is_ok_and(|id| traces.contains_key(&id)) {
                rows.push(before + row);
            }
        }
        before += batch.rows();
        Ok(())
    })?;
    let mut marked = false;
    Table::at(path).read_rows(&SPAN_COLUMNS, Some(&rows), |batch| {
        let ids = batch.text("trace_id")?;
        marked |= batch.text_if_any("span_anomaly")?.is_some();
        for row in 0..batch.rows() {
            let id = u128::from_str_radix(ids.or_empty(row), 16);
            if let Some(spans) = id.ok().and_then(|id| traces.get_mut(&id)) {
                spans.extend(span(batch, row)?);
            }
        }
        Ok(())
    })?;
    let traces = traces.into_iter();
    let traces = traces.map(|(id, rows)| (id, trace(id, rows, began_ns)));
    Ok((marked, traces.collect()))
}

const SPAN_COLUMNS: [&str; 13] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "start_time_ns",
    "end_time_ns",
    "service_name",
    "span_name",
    "span_kind",
    "http_status_code",
    "span_status",
    "late",
    "span_anomaly",
    "is_root_cause_span",
];

/// None: a span without times, or one that has nothing to do with its trace.
fn span(batch: &Batch<'_>, row: usize) -> Result<Option<Row>, String> {
    let text = |name: &str| Ok::<_, String>(batch.text(name)?.get(row).map(str::to_owned));
    let number = |name: &str| Ok::<_, String>(batch.numbers(name)?.long(row));
    let flag = |name: &str| {
        let flags = batch.flags_if_any(name)?;
        Ok::<_, String>(flags.and_then(|flags| flags.get(row)).unwrap_or(false))
    };
    let (Some(start_ns), Some(end_ns)) = (number("start_time_ns")?, number("end_time_ns")?) else {
        return Ok(None);
    };
    if flag("late")? {
        return Ok(None);
    }
    let anomaly = batch.text_if_any("span_anomaly")?;
    let anomaly = anomaly.and_then(|column| column.get(row));
    Ok(Some(Row {
        id: text("span_id")?.unwrap_or_default(),
        parent: text("parent_span_id")?,
        start_ns,
        end_ns,
        span: Span {
            service: text("service_name")?.unwrap_or_default(),
            name: cut(&text("span_name")?.unwrap_or_default()),
            kind: number("span_kind")?.unwrap_or(0),
            depth: 0,
            start_ms: 0.0,
            duration_ms: 0.0,
            error: number("span_status")? == Some(2),
            status_code: number("http_status_code")?,
            anomaly: anomaly.filter(|of| *of != "none").map(str::to_owned),
            root_cause: flag("is_root_cause_span")?,
        },
    }))
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(MOST_CHARACTERS) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}

/// Puts spans below their parents.
fn trace(id: u128, mut rows: Vec<Row>, began_ns: i64) -> Trace {
    rows.sort_by(|a, b| (a.start_ns, &a.id).cmp(&(b.start_ns, &b.id)));
    let start_ns = rows.iter().map(|row| row.start_ns).min().unwrap_or(0);
    let end_ns = rows.iter().map(|row| row.end_ns).max().unwrap_or(0);
    let by_id: HashMap<&str, usize> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| (row.id.as_str(), at))
        .collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    let mut roots = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let parent = row.parent.as_deref().and_then(|id| by_id.get(id));
        match parent.filter(|parent| **parent != at) {
            Some(parent) => children[*parent].push(at),
            None => roots.push(at),
        }
    }
    let mut spans = Vec::new();
    let mut below: Vec<(usize, usize)> = roots.into_iter().rev().map(|at| (at, 0)).collect();
    while let Some((at, depth)) = below.pop() {
        if spans.len() == MOST_SPANS {
            break;
        }
        let row = &rows[at];
        spans.push(Span {
            depth,
            start_ms: milliseconds(row.start_ns.saturating_sub(start_ns)),
            duration_ms: milliseconds(row.end_ns.saturating_sub(row.start_ns)),
            ..row.span.clone()
        });
        below.extend(children[at].iter().rev().map(|child| (*child, depth + 1)));
    }
    Trace {
        trace_id: format!("{id:032x}"),
        start_s: seconds_since(began_ns, start_ns),
        duration_ms: milliseconds(end_ns.saturating_sub(start_ns)),
        span_count: rows.len(),
        spans,
    }
}

fn milliseconds(ns: i64) -> f64 {
    six(ns as f64 / 1e6)
}
