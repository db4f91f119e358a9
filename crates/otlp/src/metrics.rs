//! The way through a metric, to its points.

use crate::fields::DATA_POINTS;
use crate::input::{Field, Input, ListOf, Unasked, field};
use crate::problem::{Result, Stranger};
use crate::sink::{Origin, Sink};
use crate::view::{Metric, MetricKind, Temporality};
use crate::walk::Walk;

/// What a metric has beside its points, and nobody asks for.
const OF_METRIC: [(Field, Unasked); 2] = [
    (field!(2, description), Unasked::Scalar),
    (field!(12, metadata), Unasked::Messages),
];

impl<'a, S: Sink, const LENIENT: bool> Walk<'_, 'a, S, LENIENT> {
    /// What holds for all points of a metric mostly stands behind them, so they are always passed
    /// over first.
    pub(crate) fn metric<I: Input<'a>>(
        &mut self,
        input: &mut I,
        origin: Origin<'_, 'a>,
    ) -> Result<()> {
        let mut again = input.clone();
        let mut metric = Metric::default();
        let mut stranger = Stranger::at(input.byte());
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
                    false => {
                        let place = "what has the points of a metric";
                        self.unknown(input, key, place).map(drop)
                    }
                });
            } else if let Some((_, holds)) = OF_METRIC.iter().find(|(field, _)| I::is(key, *field))
            {
                return self.unasked(input, key, *holds);
            } else {
                stranger.add(self.unknown(input, key, "a metric")?);
            }
            Ok(())
        })?;
        let Some(kind) = metric.kind else {
            self.name_stranger(stranger, "a metric");
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
                true => self.points(input, origin, &metric, kind),
                false => input.skip(),
            })
        })
    }

    fn points<I: Input<'a>>(
        &mut self,
        input: &mut I,
        origin: Origin<'_, 'a>,
        metric: &Metric<'a>,
        kind: MetricKind,
    ) -> Result<()> {
        let points = |walk: &mut Self, input: &mut I| {
            input.elements(ListOf::Messages, |input, _| {
                walk.before_item()?;
                let point =
                    |walk: &mut Self, input: &mut I| walk.point(input, origin, metric, kind);
                walk.or_pass_over(input, true, point).map(drop)
            })
        };
        self.or_pass_over(input, false, points).map(drop)
    }

    /// A metric has one kind of points, and the last counts. Points of another are not read.
    #[cold]
    fn second_kind<I: Input<'a>>(&mut self, input: &mut I, key: &I::Key) -> Result<()> {
        let reason = || format!("{} of a metric that has another kind, too", I::name(key));
        self.pass_over(input, reason).map(drop)
    }
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
