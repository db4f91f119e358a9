//! What is noted of telemetry while it goes by: how many rows there are, when, of which run, and
//! the marks by which a run is complete.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use loadgen_otlp::view::{LogRecord, Metric, Point, Resource, Scope, Span, SpanKind};
use loadgen_otlp::{Origin, Owner, Sink, UNDO_ITEMS};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use super::complete::{MetricSource, RunMarks};
use super::owners::{Owners, SpanPlace};
use crate::scan::resource::ResourceAttributes;
use crate::scan::spans::GENERATOR_SERVICE;

/// Rows by signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Spans.
    pub spans: u64,
    /// Data points of metrics.
    pub data_points: u64,
    /// Log records.
    pub log_records: u64,
}

impl RowCounts {
    /// Of all signals.
    pub fn all(&self) -> u64 {
        self.spans + self.data_points + self.log_records
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.spans += other.spans;
        self.data_points += other.data_points;
        self.log_records += other.log_records;
    }

    /// Without those of `other`; 0 where there are fewer.
    pub(crate) fn less(&self, other: Self) -> Self {
        Self {
            spans: self.spans.saturating_sub(other.spans),
            data_points: self.data_points.saturating_sub(other.data_points),
            log_records: self.log_records.saturating_sub(other.log_records),
        }
    }
}

/// What was noted of the messages of one file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Noted {
    pub(crate) rows: RowCounts,
    /// The earliest and the latest time of a row, Unix nanoseconds.
    pub(crate) extent: Option<(i64, i64)>,
    /// By position of the run.
    pub(crate) of_runs: BTreeMap<usize, RowCounts>,
}

/// Metrics by who sends them: a hash of resource and scope.
pub(crate) type Sources = BTreeMap<u64, MetricSource>;

/// Notes what goes by.
pub(crate) struct Marks<'m> {
    owners: &'m Owners,
    runs: &'m mut [RunMarks],
    sources: &'m mut Sources,
    pub(crate) noted: Noted,
    /// When what goes by was read, or written if that is known to be earlier, in Unix nanoseconds.
    read_ns: i64,
    /// So many messages of the file were noted before.
    known_messages: u64,
    is_known: bool,
    resource: ResourceAttributes,
    scope: String,
    services: Vec<String>,
    numbers: HashMap<String, u32>,
    service: u32,
    source: u64,
    /// Of the message that is being read: it may still turn out to be bad.
    open: Vec<Item>,
}

enum Item {
    Span {
        place: SpanPlace,
        end_ns: Option<i64>,
        service: u32,
    },
    Point {
        source: u64,
        service: u32,
        time_ns: Option<i64>,
    },
    Log {
        trace: u128,
        time_ns: Option<i64>,
    },
}

impl<'m> Marks<'m> {
    /// `known_messages`: so many at the start of the file are passed over.
    pub(crate) fn new(
        owners: &'m Owners,
        runs: &'m mut [RunMarks],
        sources: &'m mut Sources,
        read_ns: i64,
        known_messages: u64,
    ) -> Self {
        Self {
            owners,
            runs,
            sources,
            noted: Noted::default(),
            read_ns,
            known_messages,
            is_known: false,
            resource: ResourceAttributes::default(),
            scope: String::new(),
            services: Vec::new(),
            numbers: HashMap::new(),
            service: 0,
            source: 0,
            open: Vec::new(),
        }
    }

    /// What was noted, at the end of the file.
    pub(crate) fn finish(mut self) -> Noted {
        self.settle();
        self.noted
    }

    /// The message that was read is good.
    fn settle(&mut self) {
        for item in std::mem::take(&mut self.open) {
            match item {
                Item::Span {
                    place,
                    end_ns,
                    service,
                } => self.span_read(place, end_ns, service),
                Item::Point {
                    source,
                    service,
                    time_ns,
                } => {
                    if let Some(time_ns) = time_ns {
                        let name = &self.services[service as usize];
                        let source = self.sources.entry(source).or_insert_with(|| MetricSource {
                            name: name.clone(),
                            ..MetricSource::default()
                        });
                        source.take(time_ns);
                    }
                    let of = self.owners.of(0, time_ns);
                    self.row(of, [time_ns, None], |rows| &mut rows.data_points);
                }
                Item::Log { trace, time_ns } => {
                    let of = self.owners.of(trace, time_ns);
                    self.row(of, [time_ns, None], |rows| &mut rows.log_records);
                }
            }
        }
    }

    fn span_read(&mut self, place: SpanPlace, end_ns: Option<i64>, service: u32) {
        if let Some(of) = self.owners.of_span(place) {
            let marks = &mut self.runs[of.run];
            let service = &self.services[service as usize];
            marks.spans += 1;
            marks.client_spans += u64::from(service == GENERATOR_SERVICE);
            marks.last_client_span |= of.is_last;
            if !of.is_late {
                match marks.services.get_mut(service) {
                    Some(read_ns) => *read_ns = self.read_ns.max(*read_ns),
                    None => _ = marks.services.insert(service.clone(), self.read_ns),
                }
            }
        }
        let of = self.owners.of(place.trace, place.start_ns);
        self.row(of, [place.start_ns, end_ns], |rows| &mut rows.spans);
    }

    fn row(
        &mut self,
        run: Option<usize>,
        times: [Option<i64>; 2],
        signal: impl Fn(&mut RowCounts) -> &mut u64,
    ) {
        *signal(&mut self.noted.rows) += 1;
        if let Some(run) = run {
            *signal(self.noted.of_runs.entry(run).or_default()) += 1;
        }
        for at in times.into_iter().flatten() {
            let (first, last) = self.noted.extent.unwrap_or((at, at));
            self.noted.extent = Some((first.min(at), last.max(at)));
        }
    }

    fn push(&mut self, item: Item) {
        if self.is_known {
            return;
        }
        // A message of more items than these has been checked by now.
        if self.open.len() as u64 >= UNDO_ITEMS {
            self.settle();
        }
        self.open.push(item);
    }
}

impl Sink for Marks<'_> {
    fn wants(&self, owner: Owner, _: &str) -> bool {
        owner == Owner::Resource
    }

    fn begin(&mut self, message: u64) {
        self.settle();
        self.is_known = message < self.known_messages;
    }

    fn undo(&mut self) {
        self.open.clear();
    }

    fn resource(&mut self, resource: &Resource<'_>) {
        self.resource = ResourceAttributes::of(resource);
    }

    fn scope(&mut self, scope: &Scope<'_>) {
        self.scope.clear();
        self.scope.push_str(&scope.name);
        // Receivers of metrics have no service, and their own name as the scope's.
        let name = self.resource.service_name.as_deref();
        let name = name.unwrap_or(&scope.name);
        self.service = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                let number = self.services.len() as u32;
                self.services.push(name.to_owned());
                self.numbers.insert(name.to_owned(), number);
                number
            }
        };
        let mut hasher = XxHash64::with_seed(self.resource.identity);
        self.scope.hash(&mut hasher);
        self.source = hasher.finish();
    }

    fn span(&mut self, _: Origin<'_, '_>, span: &Span<'_>) {
        self.push(Item::Span {
            place: SpanPlace {
                trace: span.trace_id.0,
                span: span.span_id.0,
                start_ns: span.start_time_unix_nano.get(),
                is_deferred: span.kind == SpanKind::CONSUMER || !span.links.is_empty(),
            },
            end_ns: span.end_time_unix_nano.get(),
            service: self.service,
        });
    }

    fn point(&mut self, _: Origin<'_, '_>, _: &Metric<'_>, point: &Point<'_>) {
        self.push(Item::Point {
            source: self.source,
            service: self.service,
            time_ns: point.time_unix_nano.get(),
        });
    }

    fn log_record(&mut self, _: Origin<'_, '_>, record: &LogRecord<'_>) {
        let time = record.time_unix_nano.get();
        self.push(Item::Log {
            trace: record.trace_id.0,
            time_ns: time.or(record.observed_time_unix_nano.get()),
        });
    }
}
