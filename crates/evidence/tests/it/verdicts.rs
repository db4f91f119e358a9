//! Windows are evaluated as they should be.

use loadgen_evidence::{
    Declared, EvaluatedAs, Evidence, Interval, SECOND_NS, ServiceSignal, Thresholds, Verdict,
    WindowEvidence, WindowKind, evaluate,
};

use crate::simulated::{CALLER, Drawn, Fault, SERVICE};

fn evidence(drawn: Drawn) -> Evidence {
    let (run, sample) = drawn.run();
    evaluate(&run, &sample, &Thresholds::default())
}

fn window(drawn: Drawn) -> WindowEvidence {
    evidence(drawn).windows.remove(0)
}

/// Enough requests for a window of 5.7 s.
const SHORT: Drawn = Drawn {
    rate: 16.0,
    window_s: 5.7,
    reference_s: 7.2,
    ..DRAWN
};

const DRAWN: Drawn = Drawn {
    seed: 1,
    window_s: 11.0,
    reference_s: 11.4,
    rate: 8.0,
    load: 2.0,
    load_exponent: 0.0,
    other_mix: true,
    mood: 0.2,
    scale: 1.0,
    mood_s: 0.5,
    fault: Fault::Nothing,
    onset_s: 0.0,
    recovery_s: 0.0,
    caller: false,
};

/// Windows without any fault: under other load, another mix, moods of the machine; short ones; and
/// of a shop whose operations take long enough for the least increase not to matter.
#[test]
fn nothing_is_not_supported() {
    let shams = [
        DRAWN,
        SHORT,
        Drawn { load: 0.5, ..DRAWN },
        Drawn {
            load: 10.0,
            rate: 4.0,
            ..DRAWN
        },
        Drawn {
            mood_s: 2.0,
            ..DRAWN
        },
        Drawn {
            scale: 30.0,
            ..DRAWN
        },
    ];
    for sham in shams {
        for seed in 0..8 {
            let window = window(Drawn { seed, ..sham });
            assert_eq!(window.evaluated_as, EvaluatedAs::Sham);
            assert_ne!(
                window.verdict,
                Some(Verdict::Supported),
                "{sham:?} {:#?}",
                window.reasons
            );
        }
    }
}

#[test]
fn each_kind_of_fault_is_supported_by_its_signal() {
    for (fault, signal) in [
        (Fault::Slow(5.0), ServiceSignal::Duration),
        (Fault::Errors(0.3), ServiceSignal::Errors),
        (Fault::Starved(5.0), ServiceSignal::Gap),
        (Fault::Starved(5.0), ServiceSignal::Cpu),
        (Fault::Misses(0.8), ServiceSignal::Spans),
        (Fault::Misses(0.8), ServiceSignal::Saturation),
        (Fault::PoolWait(0.8), ServiceSignal::Duration),
        (Fault::PoolWait(0.8), ServiceSignal::Saturation),
        (Fault::Dead(0.7), ServiceSignal::Spans),
    ] {
        for drawn in [DRAWN, SHORT] {
            let window = window(Drawn {
                seed: 3,
                fault,
                ..drawn
            });
            assert_eq!(
                window.verdict,
                Some(Verdict::Supported),
                "{fault:?} {:#?}",
                window.reasons
            );
            let found = window
                .family
                .iter()
                .find(|one| one.signal == signal)
                .unwrap();
            // Of metrics a short window has hardly any point.
            if drawn.window_s > 6.0 {
                assert!(found.p_family.unwrap() <= 0.01, "{fault:?} {found:#?}");
            }
            assert_eq!(window.root_cause_rank.unwrap().rank, 1, "{fault:?}");
            assert!(window.services[0].affected);
            let row = window.row();
            let effect = row.effect.unwrap();
            assert!(row.effect_low.unwrap() <= effect && effect <= row.effect_high.unwrap());
        }
    }
}

#[test]
fn the_same_run_has_the_same_evidence() {
    let drawn = Drawn {
        fault: Fault::Slow(5.0),
        ..DRAWN
    };
    assert_eq!(evidence(drawn), evidence(drawn));
    let text = serde_json::to_string(&evidence(drawn)).unwrap();
    let read: Evidence = serde_json::from_str(&text).unwrap();
    assert_eq!(read.windows[0].verdict, Some(Verdict::Supported));
}

#[test]
fn too_little_is_said_to_be_too_little() {
    let few = window(Drawn {
        rate: 1.0,
        load: 1.0,
        ..DRAWN
    });
    assert_eq!(few.verdict, Some(Verdict::NotEnoughData));
    assert!(
        few.reasons[0].contains("traces through catalogue"),
        "{:?}",
        few.reasons
    );
    let short = window(Drawn {
        window_s: 1.5,
        ..DRAWN
    });
    assert_eq!(short.verdict, Some(Verdict::NotEnoughData));
    assert!(
        short.reasons[0].contains("1.5 s of steady time"),
        "{:?}",
        short.reasons
    );
    // A service that does not answer at all leaves no spans, and that is not too little.
    let dead = window(Drawn {
        fault: Fault::Dead(1.0),
        ..DRAWN
    });
    assert_eq!(dead.verdict, Some(Verdict::Supported), "{:?}", dead.reasons);
    assert_eq!(dead.traces_met, 0);
}

/// In nine of ten cases within a second, with five requests a second that show the fault.
#[test]
fn onset_and_recovery_are_found_to_a_second() {
    for fault in [
        Fault::Slow(20.0),
        Fault::Errors(0.5),
        Fault::Starved(5.0),
        Fault::PoolWait(0.8),
    ] {
        let (mut onsets, mut recoveries) = (Vec::new(), Vec::new());
        for seed in 0..20 {
            let drawn = Drawn {
                seed,
                fault,
                onset_s: 2.0,
                recovery_s: 1.5,
                rate: 8.0,
                ..DRAWN
            };
            let window = window(drawn);
            onsets.push((window.onset_s.unwrap_or(99.0) - 2.0).abs());
            recoveries.push((window.recovery_s.unwrap_or(99.0) - 1.5).abs());
        }
        for errors in [&mut onsets, &mut recoveries] {
            errors.sort_by(f64::total_cmp);
            assert!(errors[17] <= 1.0, "{fault:?} {errors:?}");
        }
    }
}

/// Of a normal window: another one to compare with, or its own halves.
#[test]
fn normal_windows_are_clean_or_disturbed() {
    let normal = |drawn: Drawn, reference: &[(f64, f64)]| {
        let (mut run, sample) = drawn.run();
        let ns = |s: f64| (s * SECOND_NS as f64) as i64;
        let interval = |(from, to): &(f64, f64)| Interval::new(ns(*from), ns(*to));
        run.reference = reference.iter().map(interval).collect();
        run.windows[0].kind = WindowKind::Normal;
        run.windows[0].steady = run.reference.last().copied().into_iter().collect();
        evaluate(&run, &sample, &Thresholds::default())
            .windows
            .remove(0)
    };
    let (before, window, both) = ((0.0, 11.4), (11.4, 22.4), (0.0, 22.4));
    for seed in 0..6 {
        let calm = Drawn { seed, ..DRAWN };
        assert_eq!(
            normal(calm, &[before, window]).verdict,
            Some(Verdict::Clean)
        );
        let halves = normal(calm, &[both]);
        assert_eq!(halves.verdict, Some(Verdict::Clean));
        assert!(halves.compared.unwrap().halves);

        let slow = Drawn {
            seed,
            fault: Fault::PoolWait(0.8),
            ..DRAWN
        };
        let disturbed = normal(slow, &[before, window]);
        assert_eq!(
            disturbed.verdict,
            Some(Verdict::Disturbed),
            "{:?}",
            disturbed.reasons
        );
        assert_eq!(normal(slow, &[both]).verdict, Some(Verdict::Disturbed));
        // A little slower is what more load does.
        let loaded = Drawn {
            seed,
            scale: 30.0,
            load: 4.0,
            load_exponent: 0.2,
            ..DRAWN
        };
        assert_eq!(
            normal(loaded, &[before, window]).verdict,
            Some(Verdict::Clean)
        );
    }
    // Nothing to compare with: nothing speaks against it.
    let alone = normal(DRAWN, &[(11.4, 13.0)]);
    assert_eq!(alone.verdict, Some(Verdict::Clean));
    assert!(
        alone.reasons[0].contains("not compared"),
        "{:?}",
        alone.reasons
    );
}

#[test]
fn a_warm_up_is_not_evaluated() {
    let (mut run, sample) = DRAWN.run();
    run.windows[0].kind = WindowKind::WarmUp;
    let evidence = evaluate(&run, &sample, &Thresholds::default());
    assert_eq!(evidence.windows[0].verdict, None);
    assert_eq!(evidence.windows[0].evaluated_as, EvaluatedAs::WarmUp);
}

/// A fault of the host names no service: all of them together are tested.
#[test]
fn without_a_declared_service_all_are_tested() {
    let (mut run, sample) = Drawn {
        fault: Fault::Slow(20.0),
        ..DRAWN
    }
    .run();
    let nowhere = Declared {
        kind: "host".into(),
        root_cause_service: None,
    };
    run.windows[0].kind = WindowKind::Anomalous(nowhere);
    let window = evaluate(&run, &sample, &Thresholds::default())
        .windows
        .remove(0);
    assert_eq!(window.verdict, Some(Verdict::Supported));
    assert_eq!(window.root_cause_rank, None);
    assert_eq!(window.services[0].service, SERVICE);
}

/// A service that is slow because the one that it calls is, is not the root cause.
#[test]
fn what_is_not_its_own_does_not_support_a_root_cause() {
    let (mut run, sample) = Drawn {
        fault: Fault::Slow(20.0),
        caller: true,
        ..DRAWN
    }
    .run();
    for (service, expected) in [(SERVICE, Verdict::Supported), (CALLER, Verdict::Weak)] {
        run.windows[0].kind = WindowKind::Anomalous(Declared {
            kind: "slow".into(),
            root_cause_service: Some(service.into()),
        });
        let evidence = evaluate(&run, &sample, &Thresholds::default());
        let window = &evidence.windows[0];
        assert_eq!(window.verdict, Some(expected), "{:#?}", window.reasons);
    }
}

#[test]
fn reasons_are_for_people() {
    let slow = window(Drawn {
        fault: Fault::Slow(20.0),
        ..DRAWN
    });
    let sham = window(DRAWN);
    insta::assert_snapshot!([slow.reasons, sham.reasons].concat().join("\n"));
}
