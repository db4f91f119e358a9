use super::*;

const SECOND: u64 = 1_000_000_000;

fn kinds() -> Vec<Kind> {
    let kind = |services, low, high| Kind {
        weight: 1,
        services,
        intensity: Bounds { low, high },
        length_ns: (15 * SECOND, 45 * SECOND),
    };
    vec![kind(3, 0.2, 0.8), kind(1, 1.0, 1.0), kind(5, 0.5, 1.0)]
}

fn wanted(kinds: &[Kind]) -> Wanted<'_> {
    Wanted {
        seed: 1,
        length_ns: 2_400 * SECOND,
        guard_ns: 2 * SECOND,
        share: 0.1,
        apart_ns: 20 * SECOND,
        shams: 0.0,
        compound: 0.0,
        kinds,
        guard: Guard::Time(crate::file::Duration { ns: 2 * SECOND }),
    }
}

#[test]
fn what_cant_be_is_refused() {
    let kinds = kinds();
    let all = wanted(&kinds);
    let refused = |wanted: Wanted<'_>| draw(&wanted).unwrap_err();
    let short = [Kind {
        length_ns: (SECOND, 6 * SECOND),
        ..kinds[0].clone()
    }];
    let short = Wanted {
        kinds: &short,
        ..all.clone()
    };
    assert_eq!(refused(short), Refused::TooShort);
    let apart = Wanted {
        apart_ns: 600 * SECOND,
        ..all.clone()
    };
    assert!(matches!(refused(apart), Refused::NoRoom { needed_ns } if needed_ns > all.length_ns));
    let long = Wanted {
        length_ns: 8_000_000 * SECOND,
        ..all.clone()
    };
    assert_eq!(refused(long), Refused::TooMany);
    let brief = Wanted {
        length_ns: 60 * SECOND,
        share: 0.01,
        ..all
    };
    assert!(matches!(refused(brief), Refused::TooLong { share } if share > 0.03));
}

#[test]
fn lengths_are_moved_until_the_share_is_right() {
    let kinds = kinds();
    for seed in 0..100 {
        for (share, shams, compound) in [(0.05, 0.0, 0.0), (0.1, 0.25, 0.0), (0.2, 0.2, 0.3)] {
            let wanted = Wanted {
                seed,
                share,
                shams,
                compound,
                ..wanted(&kinds)
            };
            let (faults, of_shams) = wanted.numbers().unwrap();
            let of = |of, number| (0..number).map(move |number| (of, number));
            let episodes: Vec<Episode> = of("faults", faults)
                .chain(of("shams", of_shams))
                .map(|(of, number)| wanted.episode(of, number))
                .collect();
            let lengths = wanted.fitted(&episodes).unwrap();
            let found = wanted.share_of(&episodes, &lengths);
            assert!(
                (found - share).abs() < 0.001,
                "{seed}: {found}, not {share}"
            );
        }
    }
}

#[test]
fn faults_are_dealt_out_like_cards() {
    let kinds = kinds();
    let wanted = wanted(&kinds);
    for deck in 0..50 {
        let mut dealt: Vec<usize> = (0..3)
            .map(|card| wanted.dealt("faults", deck * 3 + card))
            .collect();
        dealt.sort_unstable();
        assert_eq!(dealt, [0, 1, 2]);
    }
}

#[test]
fn every_order_is_as_likely() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..6_000 {
        *counts.entry(shuffled(seed, "s", 0, 3)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6);
    // Five standard deviations of 1,000 are 144.
    assert!(
        counts.values().all(|count| (856..1144).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_compound_has_a_part_of_each_and_one_of_both() {
    let kinds = kinds();
    let wanted = Wanted {
        compound: 1.0,
        ..wanted(&kinds)
    };
    let drawn = draw(&wanted).unwrap();
    assert!(drawn.len() >= 8 && drawn.len().is_multiple_of(2));
    for pair in drawn.chunks(2) {
        let [a, b] = pair else { unreachable!() };
        assert_eq!((a.part, b.part), (Some(1), Some(2)));
        assert_eq!(a.episode, b.episode);
        assert_ne!(a.what.kind, b.what.kind);
        let third = (b.end_ns - a.start_ns) / 3 / MS * MS;
        assert_eq!(b.start_ns - a.start_ns, third);
        assert_eq!(b.end_ns - a.end_ns, third);
    }
}
