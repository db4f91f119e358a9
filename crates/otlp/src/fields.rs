//! The fields of a message that lead to its items.

use crate::input::{Field, field};
use crate::sink::Signal;

/// What a metric's kind holds its points in.
pub(crate) const DATA_POINTS: Field = field!(1, data_points);

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
    pub(crate) const fn items(self) -> &'static [Field] {
        match self {
            Signal::Traces => const { &[field!(2, spans)] },
            Signal::Metrics => const { &[field!(2, metrics)] },
            Signal::Logs => const { &[field!(2, log_records), field!(2, logs)] },
        }
    }
}

/// Whether a field of JSON has the name of one for items, or for what holds some.
pub(crate) fn holds_items(name: &str) -> bool {
    let is = |field: &Field| name == field.json || name == field.proto;
    let of = |signal: Signal| {
        is(&signal.message_field())
            || signal.scopes().iter().any(is)
            || signal.items().iter().any(is)
    };
    name.ends_with('s') && (is(&DATA_POINTS) || Signal::ALL.into_iter().any(of))
}
