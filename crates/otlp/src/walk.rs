//! The way through an OTLP message: resources, their scopes, and the items of these, which go to
//! the sink one by one.
//!
//! The order of fields is free, in JSON and in protobuf. What an item needs to know (its resource,
//! its scope, its metric) mostly stands before it; where it doesn't, the items are passed over and
//! read on a second way through that part of the message. So nothing is held but the one item.

use std::cell::Cell;

use crate::input::{Field, Input, ListOf, Unasked, field};
use crate::problem::{Result, Stranger, UnreadParts};
use crate::sink::{Counts, Origin, Owner, Signal, Sink, UNDO_ITEMS};
use crate::view::{
    Keep, LogRecord, MAX_ELEMENTS, Merge, Metric, MetricKind, Odd, Point, Resource, Span,
};

const RESOURCE: [Field; 1] = [field!(1, resource)];
const SCHEMA_URL: Field = field!(3, schema_url);
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

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Owner::Resource => "a resource",
            Owner::Scope => "a scope",
            _ => self.place(),
        }
    }
}

/// Whether a whole message can be read, for a sink that is only asked what it wants.
pub(crate) type Check<'w, S> = &'w dyn Fn(&S) -> Result<()>;

/// The way through one message.
///
/// Where it is lenient, what can't be read costs itself alone. That is slower, and so it is done with
/// messages that could not be read otherwise.
pub(crate) struct Walk<'w, 'a, S, const LENIENT: bool> {
    pub(crate) sink: &'w mut S,
    pub(crate) counts: Counts,
    /// What is there and is not read.
    pub(crate) unread: UnreadParts,
    /// Something of Jaeger's was there, also if nothing of it was read.
    pub(crate) is_jaegers: bool,
    /// Whether the message can be read to its end; none where that needn't be known before very many
    /// items are handed on.
    check: Option<Check<'w, S>>,
    /// What is not read of the item that is read.
    pub(crate) odd: Odd,
    // Room for the item that is read, used again for the next.
    span: Span<'a>,
    point: Point<'a>,
    log_record: LogRecord<'a>,
}

impl<'w, 'a, S: Sink, const LENIENT: bool> Walk<'w, 'a, S, LENIENT> {
    pub(crate) fn new(sink: &'w mut S, check: Option<Check<'w, S>>) -> Self {
        Self {
            sink,
            counts: Counts::default(),
            unread: UnreadParts::default(),
            is_jaegers: false,
            check,
            odd: Odd::default(),
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

    /// The field of a message that holds a signal.
    pub(crate) fn resources<I: Input<'a>>(&mut self, input: &mut I, signal: Signal) -> Result<()> {
        self.or_pass_over(input, false, |walk, input| {
            input.elements(ListOf::Messages, |input, _| walk.resource(input, signal))
        })
        .map(drop)
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
        content: impl FnMut(&mut Self, &mut I, &H) -> Result<()>,
    ) -> Result<()> {
        self.or_pass_over(input, false, |walk, input| {
            walk.fields_of_part(input, owner, owner_fields, content_fields, content)
        })
        .map(drop)
    }

    /// Reads a part. Where that need not be possible, an owner that can't be read is one of whom
    /// nothing is known, and a field that can't be read costs itself.
    fn fields_of_part<I: Input<'a>, H: Merge<'a>>(
        &mut self,
        input: &mut I,
        owner: Owner,
        owner_fields: &[Field],
        content_fields: &[Field],
        mut content: impl FnMut(&mut Self, &mut I, &H) -> Result<()>,
    ) -> Result<()> {
        let is = |key: &I::Key, fields: &[Field]| fields.iter().any(|field| I::is(key, *field));
        let mut content = |walk: &mut Self, input: &mut I, found: &H| {
            let content = |walk: &mut Self, input: &mut I| content(walk, input, found);
            walk.or_pass_over(input, false, content).map(drop)
        };
        let mut again = input.clone();
        let mut found = None;
        let mut passed_over = false;
        let mut stranger = Stranger::at(input.byte());
        input.fields(|input, key| {
            if is(key, owner_fields) {
                let found = found.get_or_insert_with(H::default);
                let merge = |walk: &mut Self, input: &mut I| {
                    let odd = &walk.odd;
                    keep(walk.sink, odd, LENIENT, owner, |keep| {
                        found.merge(input, keep)
                    })
                };
                if !self.or_pass_over(input, false, merge)? {
                    *found = H::default();
                }
                self.name_odd(owner);
                Ok(())
            } else if I::is(key, SCHEMA_URL) {
                self.unasked(input, key, Unasked::Scalar)
            } else if !is(key, content_fields) {
                stranger.add(self.unknown(input, key, owner.place())?);
                Ok(())
            } else if let (Some(found), false) = (&found, passed_over) {
                content(self, input, found)
            } else {
                passed_over = true;
                input.skip()
            }
        })?;
        if found.is_none() && !passed_over {
            self.name_stranger(stranger, owner.place());
        }
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
                let metric = |walk: &mut Self, input: &mut I| walk.metric(input, origin);
                return self.or_pass_over(input, false, metric).map(drop);
            }
            self.before_item()?;
            let item = |walk: &mut Self, input: &mut I| match signal {
                Signal::Traces => walk.span(input, origin),
                _ => walk.log_record(input, origin),
            };
            self.or_pass_over(input, true, item).map(drop)
        })
    }

    fn span<I: Input<'a>>(&mut self, input: &mut I, origin: Origin<'_, 'a>) -> Result<()> {
        self.span.clear();
        keep(self.sink, &self.odd, LENIENT, Owner::Span, |keep| {
            self.span.merge(input, keep)
        })?;
        self.sink.span(origin, &self.span);
        self.counts.item(Signal::Traces);
        self.name_odd(Owner::Span);
        Ok(())
    }

    fn log_record<I: Input<'a>>(&mut self, input: &mut I, origin: Origin<'_, 'a>) -> Result<()> {
        self.log_record.clear();
        keep(self.sink, &self.odd, LENIENT, Owner::LogRecord, |keep| {
            self.log_record.merge(input, keep)
        })?;
        self.sink.log_record(origin, &self.log_record);
        self.counts.item(Signal::Logs);
        self.name_odd(Owner::LogRecord);
        Ok(())
    }

    pub(crate) fn point<I: Input<'a>>(
        &mut self,
        input: &mut I,
        origin: Origin<'_, 'a>,
        metric: &Metric<'a>,
        kind: MetricKind,
    ) -> Result<()> {
        keep(self.sink, &self.odd, LENIENT, Owner::Point, |keep| {
            self.point.read(kind, input, keep)
        })?;
        self.sink.point(origin, metric, &self.point);
        self.counts.item(Signal::Metrics);
        self.name_odd(Owner::Point);
        Ok(())
    }
}

/// Calls `read` with what a sink wants of an owner.
fn keep<S: Sink>(
    sink: &S,
    odd: &Odd,
    is_lenient: bool,
    owner: Owner,
    read: impl FnOnce(&Keep<'_>) -> Result<()>,
) -> Result<()> {
    read(&Keep {
        wants: &|key| sink.wants(owner, key),
        left: &Cell::new(MAX_ELEMENTS),
        odd,
        is_lenient,
    })
}
