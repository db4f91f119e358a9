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
#[inline]
pub(crate) fn holds_items(name: &str) -> bool {
    // Most other names end otherwise.
    name.ends_with('s') && is_of_items(name)
}

#[inline(never)]
fn is_of_items(name: &str) -> bool {
    let end = name.as_bytes().last_chunk();
    let may_be = matches!(
        end,
        Some(b"pans" | b"rics" | b"logs" | b"Logs" | b"ints" | b"ords")
    );
    may_be && all().any(|field| name == field.json || name == field.proto)
}

fn all() -> impl Iterator<Item = Field> {
    let of = |signal: Signal| {
        let items = signal.items().iter().copied();
        let inner = signal.scopes().into_iter().chain(items);
        inner.chain([signal.message_field()])
    };
    Signal::ALL.into_iter().flat_map(of).chain([DATA_POINTS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_that_hold_items_are_known_by_both_of_their_names() {
        assert_eq!(all().count(), 14);
        for field in all() {
            assert!(
                holds_items(field.json) && holds_items(field.proto),
                "{field:?}"
            );
        }
        for other in ["values", "spans2", "s", "", "points", "catalogs"] {
            assert!(!holds_items(other), "{other}");
        }
    }
}
