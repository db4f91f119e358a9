//! A span that ends whatever happens to the work it stands for.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;

use super::Telemetry;

/// `error.type` of what was given up because its caller went away.
pub(crate) const CANCELLED: &str = "cancelled";

/// A started span. Dropped before [`ActiveSpan::end`], as when a caller hangs up and the request's
/// future is dropped, it ends as an error of type `cancelled`.
pub(crate) struct ActiveSpan {
    context: Context,
    /// By how much its clock is ahead.
    skew: Duration,
    ended: bool,
}

impl Telemetry {
    /// Starts a span as a child of the span in `parent`.
    pub(crate) fn start(
        &self,
        parent: &Context,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        attributes: Vec<KeyValue>,
    ) -> ActiveSpan {
        self.start_at(parent, kind, name, attributes, SystemTime::now())
    }

    /// Starts a span that began earlier.
    pub(crate) fn start_at(
        &self,
        parent: &Context,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        attributes: Vec<KeyValue>,
        since: SystemTime,
    ) -> ActiveSpan {
        let tracer = &self.release_of(parent).tracer;
        let skew = self.skew();
        let span = tracer
            .span_builder(name)
            .with_kind(kind)
            .with_attributes(attributes)
            .with_start_time(since + skew)
            .start_with_context(tracer, parent);
        ActiveSpan {
            context: parent.with_span(span),
            skew,
            ended: false,
        }
    }
}

impl ActiveSpan {
    /// The context in which this span is the current one.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// By how much its clock is ahead.
    pub(crate) fn ahead(&self) -> Duration {
        self.skew
    }

    /// Adds an attribute.
    pub(crate) fn set(&self, attribute: KeyValue) {
        self.context.span().set_attribute(attribute);
    }

    /// Marks the span as failed.
    pub(crate) fn fail(
        &self,
        kind: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) {
        let kind: Cow<'static, str> = kind.into();
        self.set(KeyValue::new(ERROR_TYPE, kind));
        self.context.span().set_status(Status::error(description));
    }

    /// Ends the span.
    pub(crate) fn end(mut self) {
        self.end_in_place();
    }

    /// Ends the span for an owner that is being dropped itself.
    pub(crate) fn end_in_place(&mut self) {
        self.ended = true;
        let now = SystemTime::now() + self.skew;
        self.context.span().end_with_timestamp(now);
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        if !self.ended {
            self.fail(CANCELLED, "the caller went away");
            self.end_in_place();
        }
    }
}
