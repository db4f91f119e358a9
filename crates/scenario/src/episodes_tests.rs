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
        harmless: 0.0,
        compound: 0.0,
        kinds,
        harmless_kinds: &[],
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

fn episodes(wanted: &Wanted<'_>) -> Vec<Episode> {
    let numbers = wanted.numbers().unwrap().into_iter();
    numbers
        .flat_map(|(does, number)| (0..number).map(move |number| wanted.episode(does, number)))
        .collect()
}

#[test]
fn lengths_are_moved_until_the_share_is_right() {
    let kinds = kinds();
    for seed in 0..100 {
        for (share, shams, harmless, compound) in [
            (0.05, 0.0, 0.0, 0.0),
            (0.1, 0.25, 0.0, 0.0),
            (0.1, 0.1, 0.2, 0.0),
            (0.2, 0.2, 0.1, 0.3),
        ] {
            let wanted = Wanted {
                seed,
                share,
                shams,
                harmless,
                compound,
                harmless_kinds: &kinds[2..],
                ..wanted(&kinds)
            };
            let episodes = episodes(&wanted);
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
            .map(|card| wanted.dealt(Does::Fault, deck * 3 + card))
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

#[test]
fn harmless_changes_are_of_kinds_of_their_own_and_of_the_share_that_is_asked_for() {
    let kinds = kinds();
    let releases = [Kind {
        weight: 1,
        services: 4,
        intensity: Bounds {
            low: 1.0,
            high: 1.0,
        },
        length_ns: (50 * SECOND, 60 * SECOND),
    }];
    let wanted = Wanted {
        length_ns: 12_000 * SECOND,
        shams: 0.2,
        harmless: 0.1,
        compound: 0.2,
        harmless_kinds: &releases,
        ..wanted(&kinds)
    };
    let [(_, faults), (_, shams), (_, harmless)] = wanted.numbers().unwrap();
    let all = (faults + shams + harmless) as f64;
    for (number, share) in [(shams, 0.2), (harmless, 0.1)] {
        assert!(
            (number as f64 - share * all).abs() <= 1.0,
            "{number} of {all}"
        );
    }
    let drawn = draw(&wanted).unwrap();
    let of_harmless: Vec<&Drawn> = (drawn.iter())
        .filter(|one| one.does == Does::Harmless)
        .collect();
    assert_eq!(of_harmless.len() as u64, harmless);
    for one in of_harmless {
        assert_eq!((one.part, one.what.kind), (None, 0));
        let seconds = (one.end_ns - one.start_ns) / SECOND;
        assert!((50..=60).contains(&seconds), "{seconds}");
        assert!(one.what.service < 4);
    }
}

#[test]
fn faults_are_drawn_as_without_harmless_changes() {
    let kinds = kinds();
    let without = Wanted {
        shams: 0.2,
        ..wanted(&kinds)
    };
    let with = Wanted {
        harmless: 0.1,
        harmless_kinds: &kinds[..1],
        ..without.clone()
    };
    let what = |wanted: &Wanted<'_>, does| {
        let number = (0..5).map(|number| wanted.episode(does, number));
        number
            .map(|one| (one.what, one.length_ns))
            .collect::<Vec<_>>()
    };
    for does in [Does::Fault, Does::Sham] {
        assert_eq!(what(&with, does), what(&without, does));
    }
}
