//! The way through an OTLP message: resources, their scopes, and the items of these, which go to
//! the sink one by one.
//!
//! The order of fields is free, in JSON and in protobuf. What an item needs to know (its resource,
//! its scope, its metric) mostly stands before it; where it doesn't, the items are passed over and
//! read on a second way through that part of the message. So nothing is held but the one item.

use std::cell::Cell;

use crate::input::{Field, Input, ListOf, field};
use crate::problem::{Problem, Result, UnreadParts};
use crate::sink::{Counts, Origin, Owner, Signal, Sink, UNDO_ITEMS};
use crate::view::{
    Keep, LogRecord, MAX_ELEMENTS, Merge, Metric, MetricKind, Point, Resource, Span, Temporality,
};

const RESOURCE: [Field; 1] = [field!(1, resource)];
/// What a metric has beside its points, and nobody asks for.
const METRIC_TEXTS: [Field; 2] = [field!(2, description), field!(12, metadata)];
const DATA_POINTS: Field = field!(1, data_points);
const SCOPE: [Field; 2] = [field!(1, scope), field!(1, instrumentation_library)];

impl Owner {
    /// The message that says what the owner is and holds what is of it.
    const fn place(self) -> &'static str {
        match self {
            Owner::Resource => "a resource's part",
            Owner::Scope => "a scope's part",
            Owner::Span => "a span",
            Owner::Point => "a data point",
            Owner::LogRecord => "a log record",
        }
    }
}

impl Signal {
    /// The field of a message that holds this signal.
    pub(crate) const fn message_field(self) -> Field {
        match self {
            Signal::Traces => field!(1, resource_spans),
            Signal::Metrics => field!(1, resource_metrics),
            Signal::Logs => field!(1, resource_logs),
        }
    }

    /// The fields of a resource's part that hold its scopes, by the names of today and of before
    /// version 0.15. (In protobuf those of before moved to 1000.)
    pub(crate) const fn scopes(self) -> [Field; 2] {
        match self {
            Signal::Traces => [
                field!(2, scope_spans),
                field!(1000, instrumentation_library_spans),
            ],
            Signal::Metrics => [
                field!(2, scope_metrics),
                field!(1000, instrumentation_library_metrics),
            ],
            Signal::Logs => [
                field!(2, scope_logs),
                field!(1000, instrumentation_library_logs),
            ],
        }
    }

    /// The fields of a scope's part that hold its items.
    const fn items(self) -> &'static [Field] {
        match self {
            Signal::Traces => const { &[field!(2, spans)] },
            Signal::Metrics => const { &[field!(2, metrics)] },
            Signal::Logs => const { &[field!(2, log_records), field!(2, logs)] },
        }
    }
}

/// Whether a whole message can be read, for a sink that is only asked what it wants.
pub(crate) type Check<'w, S> = &'w dyn Fn(&S) -> Result<()>;

/// The way through one message.
pub(crate) struct Walk<'w, 'a, S> {
    pub(crate) sink: &'w mut S,
    pub(crate) counts: Counts,
    /// What is there and is not read.
    pub(crate) unread: UnreadParts,
    /// Something of Jaeger's was there, also if nothing of it was read.
    pub(crate) is_jaegers: bool,
    /// Whether the message can be read to its end; none where that needn't be known before very many
    /// items are handed on.
    check: Option<Check<'w, S>>,
    // Room for the item that is read, used again for the next.
    span: Span<'a>,
    point: Point<'a>,
    log_record: LogRecord<'a>,
}

impl<'w, 'a, S: Sink> Walk<'w, 'a, S> {
    pub(crate) fn new(sink: &'w mut S, check: Option<Check<'w, S>>) -> Self {
        Self {
            sink,
            counts: Counts::default(),
            unread: UnreadParts::default(),
            is_jaegers: false,
            check,
            span: Span::default(),
            point: Point::default(),
            log_record: LogRecord::default(),
        }
    }

    /// Before an item is handed on that [`Sink::undo`] need not take back, all of the message has
    /// to be known to be good.
    pub(crate) fn before_item(&mut self) -> Result<()> {
        match self.check {
            Some(check) if self.counts.all_items() == UNDO_ITEMS => check(self.sink),
            _ => Ok(()),
        }
    }

    /// Passes over a field that is not known where it stands, and names it where items may be in
    /// it.
    #[cold]
    pub(crate) fn unknown<I: Input<'a>>(
        &mut self,
        input: &mut I,
        key: &I::Key,
        place: &str,
    ) -> Result<()> {
        self.pass_over(input, || {
            format!("{} is not known in {place}: what it holds", I::name(key))
        })
    }

    /// Passes over a value, and names it where items may be in it.
    fn pass_over<I: Input<'a>>(
        &mut self,
        input: &mut I,
        reason: impl FnOnce() -> String,
    ) -> Result<()> {
        let byte = input.byte();
        let parts = input.skip_unknown()?;
        if parts > 0 {
            self.unread(byte, parts, reason());
        }
        Ok(())
    }

    /// Names values and ids that were passed over.
    #[inline]
    fn odd_values(&mut self, byte: usize, odd: u64) {
        if odd > 0 {
            let reason = "a value of no kind that is known, or an id by another name,";
            self.unread(byte, odd, reason.to_owned());
        }
    }

    /// Counts and names parts of the message that are not read.
    pub(crate) fn unread(&mut self, byte: usize, parts: u64, reason: String) {
        let reason = match parts {
            1 => format!("{reason} (1 thing) is not read"),
            _ => format!("{reason} ({parts} things) is not read"),
        };
        self.unread.add(parts, Problem { byte, reason });
    }

    /// The field of a message that holds a signal.
    pub(crate) fn resources<I: Input<'a>>(&mut self, input: &mut I, signal: Signal) -> Result<()> {
        input.elements(ListOf::Messages, |input, _| self.resource(input, signal))
    }

    /// One resource, with what is of it.
    pub(crate) fn resource<I: Input<'a>>(&mut self, input: &mut I, signal: Signal) -> Result<()> {
        let mut is_new = true;
        let contents = signal.scopes();
        self.part(
            input,
            Owner::Resource,
            &RESOURCE,
            &contents,
            |walk, input, resource| {
                if std::mem::take(&mut is_new) {
                    walk.sink.resource(resource);
                }
                walk.scopes(input, signal, resource)
            },
        )
    }

    fn scopes<I: Input<'a>>(
        &mut self,
        input: &mut I,
        signal: Signal,
        resource: &Resource<'a>,
    ) -> Result<()> {
        input.elements(ListOf::Messages, |input, _| {
            let mut is_new = true;
            let contents = signal.items();
            self.part(
                input,
                Owner::Scope,
                &SCOPE,
                contents,
                |walk, input, scope| {
                    if std::mem::take(&mut is_new) {
                        walk.sink.scope(scope);
                    }
                    walk.items(input, signal, Origin { resource, scope })
                },
            )
        })
    }

    /// A message that names an owner, such as a resource, and holds what is of it. Calls `content`
    /// at each field of the latter.
    fn part<I: Input<'a>, H: Merge<'a>>(
        &mut self,
        input: &mut I,
        owner: Owner,
        owner_fields: &[Field],
        content_fields: &[Field],
        mut content: impl FnMut(&mut Self, &mut I, &H) -> Result<()>,
    ) -> Result<()> {
        let is = |key: &I::Key, fields: &[Field]| fields.iter().any(|field| I::is(key, *field));
        let mut again = input.clone();
        let mut found = None;
        let mut passed_over = false;
        input.fields(|input, key| {
            if is(key, owner_fields) {
                let byte = input.byte();
                let found = found.get_or_insert_with(H::default);
                let odd = read(self.sink, owner, found, input)?;
                self.odd_values(byte, odd);
                Ok(())
            } else if !is(key, content_fields) {
                match I::is(key, field!(3, schema_url)) {
                    true => input.skip(),
                    false => self.unknown(input, key, owner.place()),
                }
            } else if let (Some(found), false) = (&found, passed_over) {
                content(self, input, found)
            } else {
                passed_over = true;
                input.skip()
            }
        })?;
        if passed_over {
            let found = found.unwrap_or_default();
            again.fields(|input, key| match is(key, content_fields) {
                true => content(self, input, &found),
                false => input.skip(),
            })?;
        }
        Ok(())
    }

    fn items<I: Input<'a>>(
        &mut self,
        input: &mut I,
        signal: Signal,
        origin: Origin<'_, 'a>,
    ) -> Result<()> {
        input.elements(ListOf::Messages, |input, _| {
            if signal == Signal::Metrics {
                return self.metric(input, origin);
            }
            self.before_item()?;
            let byte = input.byte();
            let odd = if signal == Signal::Traces {
                let odd = read(self.sink, Owner::Span, &mut self.span, input)?;
                self.sink.span(origin, &self.span);
                odd
            } else {
                let odd = read(self.sink, Owner::LogRecord, &mut self.log_record, input)?;
                self.sink.log_record(origin, &self.log_record);
                odd
            };
            self.counts.item(signal);
            self.odd_values(byte, odd);
            Ok(())
        })
    }

    /// A metric has one kind of points, and the last counts. Points of another are not read.
    #[cold]
    fn second_kind<I: Input<'a>>(&mut self, input: &mut I, key: &I::Key) -> Result<()> {
        self.pass_over(input, || {
            format!("{} of a metric that has another kind, too", I::name(key))
        })
    }

    /// What holds for all points of a metric mostly stands behind them, so they are always passed
    /// over first.
    fn metric<I: Input<'a>>(&mut self, input: &mut I, origin: Origin<'_, 'a>) -> Result<()> {
        let mut again = input.clone();
        let mut metric = Metric::default();
        input.fields(|input, key| {
            if I::is(key, field!(1, name)) {
                metric.name = input.text()?;
            } else if I::is(key, field!(3, unit)) {
                metric.unit = input.text()?;
            } else if let Some(kind) = kind_of::<I>(key) {
                metric.kind = Some(kind);
                return input.fields(|input, key| match metric.read_field(input, key)? {
                    true => Ok(()),
                    false if I::is(key, DATA_POINTS) => input.skip(),
                    false => self.unknown(input, key, "what has the points of a metric"),
                });
            } else if METRIC_TEXTS.iter().any(|field| I::is(key, *field)) {
                return input.skip();
            } else {
                return self.unknown(input, key, "a metric");
            }
            Ok(())
        })?;
        let Some(kind) = metric.kind else {
            return Ok(());
        };
        again.fields(|input, key| {
            if !I::is(key, kind.field()) {
                return match kind_of::<I>(key) {
                    Some(_) => self.second_kind(input, key),
                    None => input.skip(),
                };
            }
            input.fields(|input, key| match I::is(key, DATA_POINTS) {
                true => input.elements(ListOf::Messages, |input, _| {
                    self.before_item()?;
                    let (byte, point) = (input.byte(), &mut self.point);
                    let odd = keep(self.sink, Owner::Point, |keep| {
                        point.read(kind, input, keep)
                    })?;
                    self.sink.point(origin, &metric, point);
                    self.counts.item(Signal::Metrics);
                    self.odd_values(byte, odd);
                    Ok(())
                }),
                false => input.skip(),
            })
        })
    }
}

/// Reads a view with those attributes that a sink wants; how many values were passed over.
fn read<'a, S: Sink, I: Input<'a>>(
    sink: &S,
    owner: Owner,
    view: &mut impl Merge<'a>,
    input: &mut I,
) -> Result<u64> {
    view.clear();
    keep(sink, owner, |keep| view.merge(input, keep))
}

fn keep<S: Sink>(
    sink: &S,
    owner: Owner,
    read: impl FnOnce(&Keep<'_>) -> Result<()>,
) -> Result<u64> {
    let odd = Cell::new(0);
    read(&Keep {
        wants: &|key| sink.wants(owner, key),
        left: &Cell::new(MAX_ELEMENTS),
        odd: &odd,
    })?;
    Ok(odd.get())
}

fn kind_of<'a, I: Input<'a>>(key: &I::Key) -> Option<MetricKind> {
    let mut kinds = MetricKind::ALL.into_iter();
    kinds.find(|kind| I::is(key, kind.field()))
}

impl<'a> Metric<'a> {
    /// What stands beside the points of a sum or histogram; false, and nothing read, where it is
    /// something else.
    fn read_field<I: Input<'a>>(&mut self, input: &mut I, key: &I::Key) -> Result<bool> {
        if I::is(key, field!(2, aggregation_temporality)) {
            self.temporality = Temporality(input.enumeration::<Temporality>()?);
        } else if I::is(key, field!(3, is_monotonic)) {
            self.is_monotonic = input.boolean()?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}
