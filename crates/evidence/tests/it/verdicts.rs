//! Windows are judged as they should be.

use loadgen_evidence::{Evidence, Signal, Thresholds, Verdict, judge};

use crate::simulated::{Drawn, Fault};

fn evidence(drawn: Drawn) -> Evidence {
    let (run, sample) = drawn.run();
    judge(&run, &sample, &Thresholds::default())
}

fn supported(drawns: impl Iterator<Item = Drawn>) -> usize {
    let is_supported =
        |drawn: &Drawn| evidence(*drawn).windows[0].verdict == Some(Verdict::Supported);
    drawns.filter(is_supported).count()
}

/// Windows without any fault: under other load, another mix, moods of the machine, short and few.
#[test]
fn nothing_is_not_supported() {
    let sham = Drawn::default();
    let shams = [
        sham,
        Drawn { load: 0.5, ..sham },
        Drawn {
            load: 10.0,
            rate: 4.0,
            ..sham
        },
        Drawn {
            mood_s: 2.0,
            ..sham
        },
        Drawn {
            rate: 4.0,
            load: 1.5,
            window_s: 5.7,
            reference_s: 7.2,
            ..sham
        },
    ];
    let drawn = shams
        .into_iter()
        .flat_map(|sham| (0..8).map(move |seed| Drawn { seed, ..sham }));
    assert_eq!(supported(drawn), 0);
}

#[test]
fn each_kind_of_fault_is_supported_by_its_signal() {
    for (fault, signal) in [
        (Fault::Slow(5.0), Signal::Duration),
        (Fault::Errors(0.3), Signal::Errors),
        (Fault::Starved(5.0), Signal::Gap),
        (Fault::Misses(0.8), Signal::Spans),
        (Fault::PoolWait(0.8), Signal::Duration),
        (Fault::Dead(0.7), Signal::Spans),
    ] {
        for (window_s, reference_s) in [(11.0, 11.4), (5.7, 7.2)] {
            let drawn = Drawn {
                seed: 3,
                fault,
                window_s,
                reference_s,
                ..Drawn::default()
            };
            let evidence = evidence(drawn);
            let window = &evidence.windows[0];
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
            assert!(found.p_family.unwrap() <= 0.01, "{fault:?} {found:#?}");
            let rank = window.root_cause_rank.unwrap();
            assert_eq!(rank.rank, 1, "{fault:?}");
        }
    }
}
