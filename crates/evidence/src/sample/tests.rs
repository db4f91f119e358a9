//! The sample of a run does not depend on how the run was split or in which order it came.

use proptest::prelude::*;

use super::*;

/// One thing that a sampler is told.
#[derive(Debug, Clone)]
enum Told {
    Span(u8, u8, SpanObservation),
    Call(u8, CallObservation),
    Trace(u8, u64, i64, Vec<u8>),
    Metric(u8, MetricPoint),
}

fn stretches() -> Stretches {
    Stretches::new([0, 3_000_000_000, 90_000_000_000])
}

fn sample<'a>(told: impl Iterator<Item = &'a Told>) -> Sample {
    let mut sampler = Sampler::new(stretches());
    for one in told {
        match one {
            Told::Span(service, operation, span) => {
                let service = sampler.service(&format!("service {service}"));
                let name = format!("operation {operation}");
                let operation = sampler.operation(service, &name, SpanKind::Server);
                sampler.span(operation, span);
            }
            Told::Call(callee, call) => {
                let edge = sampler.edge("web", &format!("service {callee}"));
                sampler.call(edge, call);
            }
            Told::Trace(entry, trace, moment_ns, met) => {
                let entry = sampler.entry(&format!("entry {entry}"));
                let met: Vec<_> = met
                    .iter()
                    .map(|service| sampler.service(&format!("service {service}")))
                    .collect();
                sampler.trace(*trace, *moment_ns, entry, &met);
            }
            Told::Metric(service, point) => {
                let series = Series {
                    service: format!("service {service}"),
                    metric: "process.cpu.time".into(),
                    unit: "s".into(),
                    attributes: "{}".into(),
                };
                sampler.metric(&series, point);
            }
        }
    }
    sampler.finish()
}

fn told() -> impl Strategy<Value = Told> {
    let span = (
        0..3_u8,
        any::<u8>(),
        0..5_000_u64,
        -1_000_000_000..95_000_000_000_i64,
    )
        .prop_map(|(service, operation, trace, moment_ns)| {
            let span = SpanObservation {
                trace,
                moment_ns,
                start_ns: moment_ns,
                duration_ns: moment_ns % 97,
                own_ns: 1,
                gap_ns: None,
                spans_below: 2,
                error: trace % 2 == 0,
                error_below: false,
            };
            Told::Span(service, operation, span)
        });
    let call = (any::<u8>(), any::<u64>(), 0..90_000_000_000_i64).prop_map(
        |(callee, trace, moment_ns)| {
            let call = CallObservation {
                trace,
                moment_ns,
                duration_ns: 5,
                gap_ns: 2,
                error: false,
            };
            Told::Call(callee, call)
        },
    );
    let trace = (any::<u8>(), any::<u64>(), 0..90_000_000_000_i64).prop_flat_map(
        |(entry, trace, moment_ns)| {
            prop::collection::vec(0..4_u8, 0..4)
                .prop_map(move |met| Told::Trace(entry, trace, moment_ns, met))
        },
    );
    let metric = (0..3_u8, 0..90_000_000_000_i64, -10.0..10.0_f64).prop_map(
        |(service, interval_start_ns, value)| {
            let point = MetricPoint {
                interval_start_ns,
                end_ns: interval_start_ns + 900_000_000,
                reading: Reading::Increase(value),
            };
            Told::Metric(service, point)
        },
    );
    prop_oneof![span, call, trace, metric]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_split_and_order_gives_the_same_sample(
        parts in prop::collection::vec(prop::collection::vec(told(), 0..400), 1..5),
    ) {
        let whole = sample(parts.iter().flatten());
        let backwards: Vec<&Told> = parts.iter().flatten().collect();
        prop_assert_eq!(&sample(backwards.into_iter().rev()), &whole);

        let samples = || parts.iter().map(|part| sample(part.iter()));
        let from_left = samples().reduce(|mut a, b| { a.merge(b).unwrap(); a }).unwrap();
        let from_right = samples().rev().reduce(|mut a, b| { a.merge(b).unwrap(); a }).unwrap();
        prop_assert_eq!(&from_left, &whole);
        prop_assert_eq!(&from_right, &whole);
    }
}

fn span(trace: u64, moment_ns: i64) -> SpanObservation {
    SpanObservation {
        trace,
        moment_ns,
        start_ns: moment_ns,
        duration_ns: 1,
        own_ns: 1,
        gap_ns: None,
        spans_below: 0,
        error: false,
        error_below: false,
    }
}

#[test]
fn a_sample_is_bounded_and_knows_how_much_it_left_out() {
    let mut sampler = Sampler::new(stretches());
    let service = sampler.service("user");
    for number in 0..600 {
        let name = format!("GET /user/{number}");
        let operation = sampler.operation(service, &name, SpanKind::Server);
        sampler.span(operation, &span(number, 5));
    }
    let sample = sampler.finish();
    assert_eq!(sample.services["user"].operations.len(), OPERATIONS);
    assert_eq!(sample.spans_left_out(), 600 - OPERATIONS as u64);
}

#[test]
fn stretches_of_which_different_shares_were_kept_count_alike() {
    // 4,000 spans in the first stretch, 40 in the second: one in four of both.
    let mut sampler = Sampler::new(stretches());
    let service = sampler.service("user");
    let operation = sampler.operation(service, "login", SpanKind::Server);
    for number in 0..4_000_u128 {
        sampler.span(operation, &span(trace_hash(&number.to_be_bytes()), 5));
    }
    for number in 4_000..4_400_u128 {
        sampler.span(
            operation,
            &span(trace_hash(&number.to_be_bytes()), 80_000_000_000),
        );
    }
    let sample = sampler.finish();
    let operation = sample.services["user"].operations.values().next().unwrap();
    let both = within(operation, &[stretches().whole()]);
    let late = both.iter().filter(|span| span.moment_ns > 5).count();
    assert_eq!(both.len() - late, K - 1);
    assert!((70..130).contains(&late), "{late}");
    // Alone, the second has all of them.
    assert_eq!(within(operation, &[stretches().interval(1)]).len(), 400);
}

#[test]
fn parts_that_are_cut_differently_are_not_merged() {
    let mut sample = Sampler::new(stretches()).finish();
    let other = Sampler::new(Stretches::new([0, 1])).finish();
    assert_eq!(sample.merge(other), Err(DifferentStretches));
}

#[test]
fn requests_and_traces_are_counted_exactly() {
    let mut sampler = Sampler::new(stretches());
    let service = sampler.service("user");
    let operation = sampler.operation(service, "login", SpanKind::Server);
    let entry = sampler.entry("login");
    for number in 0..3_000_u64 {
        let moment_ns = number as i64 * 1_000_000;
        sampler.span(operation, &span(number, moment_ns));
        sampler.trace(number, moment_ns, entry, &[service, service]);
    }
    let sample = sampler.finish();
    let second = Interval::new(1_000_000_000, 2_000_000_000);
    assert_eq!(sample.requests("user", second), 1_000.0);
    assert_eq!(sample.traces_met(Some("user"), &[second]), 1_000.0);
    assert_eq!(sample.traces_met(Some("cart"), &[second]), 0.0);
    assert_eq!(sample.traces_met(None, &[second]), 1_000.0);
}
