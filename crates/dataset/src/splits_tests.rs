use super::*;
use crate::episodes::EpisodeWindow;
use proptest::prelude::*;

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// An episode of a run with faults of types, in services.
fn episode(run: &str, number: usize, types: &[&str], services: &[&str]) -> EpisodeFacts {
    EpisodeFacts {
        id: format!("{run}-e{number:04}"),
        run_id: run.to_owned(),
        types: set(types),
        services: set(services),
        shams: BTreeSet::new(),
    }
}

fn sham(run: &str, number: usize, kind: &str) -> EpisodeFacts {
    EpisodeFacts {
        shams: set(&[kind]),
        ..episode(run, number, &[], &[])
    }
}

/// Ten episodes of each of two faults, five of shams, five of normal time, over five runs.
fn campaign() -> Vec<EpisodeFacts> {
    let mut episodes = Vec::new();
    for run in ["a", "b", "c", "d", "e"] {
        episodes.extend([
            episode(run, 0, &["latency_spike"], &["cart"]),
            episode(run, 1, &["timeout"], &["cart"]),
            sham(run, 2, "timeout"),
            episode(run, 3, &["timeout"], &["payment"]),
            episode(run, 4, &["latency_spike"], &["payment"]),
            episode(run, 5, &[], &[]),
        ]);
    }
    episodes
}

/// How many episodes of a group are in each fold.
fn spread(episodes: &[EpisodeFacts], folds: &[usize], group: &Group) -> [usize; FOLDS] {
    let mut counts = [0; FOLDS];
    for (episode, &fold) in episodes.iter().zip(folds) {
        counts[fold] += usize::from(episode.group() == *group);
    }
    counts
}

#[test]
fn each_fault_its_shams_and_normal_time_are_in_each_fold_alike() {
    let episodes = campaign();
    let folds = deal(&episodes, &SplitOptions::default());
    let spread = |group: Group| spread(&episodes, &folds, &group);
    assert_eq!(spread(Group::Fault(set(&["latency_spike"]))), [2; FOLDS]);
    assert_eq!(spread(Group::Fault(set(&["timeout"]))), [2; FOLDS]);
    assert_eq!(spread(Group::Sham(set(&["timeout"]))), [1; FOLDS]);
    assert_eq!(spread(Group::Normal), [1; FOLDS]);
}

#[test]
fn another_seed_is_another_deal_and_the_order_of_runs_is_none() {
    let episodes = campaign();
    let with = |seed| SplitOptions {
        seed,
        ..SplitOptions::default()
    };
    let folds = deal(&episodes, &with(1));
    assert_ne!(folds, deal(&episodes, &with(2)));
    let reversed: Vec<EpisodeFacts> = episodes.iter().rev().cloned().collect();
    let mut again = deal(&reversed, &with(1));
    again.reverse();
    assert_eq!(folds, again);
}

#[test]
fn of_two_episodes_one_is_to_test_and_of_three_one_to_validate() {
    let splits = |count: usize| {
        let all = ["a", "b", "c"].map(|kind| episode("r", 0, &[kind], &[]));
        let mut episodes = all[..count].to_vec();
        for (number, episode) in episodes.iter_mut().enumerate() {
            episode.id = format!("r-e{number:04}");
        }
        let folds = deal(&episodes, &SplitOptions::default());
        folds.into_iter().map(Split::of_fold).collect::<Vec<_>>()
    };
    assert_eq!(splits(0), []);
    assert_eq!(splits(1), [Split::Train]);
    assert_eq!(splits(2), [Split::Train, Split::Test]);
    assert_eq!(splits(3), [Split::Train, Split::Test, Split::Validation]);
}

#[test]
fn all_episodes_of_a_run_are_in_one_fold_where_that_is_asked_for() {
    let episodes = campaign();
    let options = SplitOptions {
        by: SplitBy::Run,
        ..SplitOptions::default()
    };
    let folds = deal(&episodes, &options);
    let of_runs: Vec<usize> = folds.chunks(6).map(|of| of[0]).collect();
    assert!(folds.chunks(6).all(|of| of.iter().all(|f| *f == of[0])));
    let each: BTreeSet<usize> = of_runs.into_iter().collect();
    assert_eq!(each.len(), FOLDS);
}

#[test]
fn what_is_left_out_is_tested_with_and_never_trained_on() {
    let mut episodes = campaign();
    episodes.push(episode(
        "f",
        0,
        &["latency_spike", "timeout"],
        &["cart", "web"],
    ));
    let options = SplitOptions::default();
    let folds = deal(&episodes, &options);
    let splits = Splits::new(&episodes, &folds, &options);
    let of = |id: &String| episodes.iter().find(|episode| episode.id == *id);
    let types = ["latency_spike", "timeout"];
    assert!(splits.leave_one_fault_out.keys().eq(types));
    for (kind, lists) in &splits.leave_one_fault_out {
        let has = |id: &String| of(id).expect("an episode").types.contains(kind);
        assert_eq!(
            lists.test.iter().filter(|id| has(id)).count(),
            11,
            "{lists:?}"
        );
        assert!(!lists.train.iter().chain(&lists.validation).any(has));
        // Beside it one sham and one episode of normal time, those of fold 4.
        let others: Vec<&String> = lists.test.iter().filter(|id| !has(id)).collect();
        assert_eq!(others.len(), 2, "{others:?}");
        assert!(others.iter().all(|id| splits.folds[4].contains(id)));
        assert!(others.iter().all(|id| of(id).unwrap().types.is_empty()));
    }
    let services = ["cart", "payment", "web"];
    assert!(splits.leave_one_service_out.keys().eq(services));
    assert_eq!(splits.leave_one_service_out["web"].test.len(), 3);
    let lists = [
        &splits.default.train,
        &splits.default.validation,
        &splits.default.test,
    ];
    assert_eq!(
        lists.iter().map(|list| list.len()).sum::<usize>(),
        episodes.len()
    );
    assert_eq!(*lists[2], splits.folds[4]);
    assert_eq!(*lists[1], splits.folds[3]);
}

/// Three episodes of a run that begin at 0, 100 and 200.
fn run() -> Episodes {
    let window = |name: &str, from, to| EpisodeWindow {
        scenario: name.into(),
        declares: true,
        opened_ns: from,
        closed_ns: to,
        ..EpisodeWindow::default()
    };
    let windows = [
        window("a", 50, 100),
        window("b", 150, 200),
        window("c", 250, 300),
    ];
    Episodes::new("r", 0, &windows)
}

#[test]
fn after_a_border_between_splits_rows_are_in_none_until_the_embargo_is_over() {
    let options = SplitOptions {
        embargo_s: 10e-9,
        ..SplitOptions::default()
    };
    let of = RunSplits::new(&[0, 2, 4], &run(), &options);
    assert_eq!(of.at(0, Some(0)), Some(Split::Train));
    // Folds 0 and 2 are both to train on.
    assert_eq!(of.at(1, Some(100)), Some(Split::Train));
    assert_eq!(of.at(1, None), Some(Split::Train));
    assert_eq!(
        [199, 200, 209, 210].map(|at| of.at(2, Some(at))),
        [None, None, None, Some(Split::Test)]
    );
    assert_eq!((of.at(2, None), of.fold(2)), (None, 4));
    assert_eq!(of.of_episode(2), Split::Test);
    // A time that is in two splits is in none.
    let over = |from, to| of.over(&run(), from, to);
    assert_eq!(
        [over(0, 200), over(0, 201), over(209, 300), over(210, 300)],
        [Some(Split::Train), None, None, Some(Split::Test)]
    );
    let without = SplitOptions {
        embargo_s: 0.0,
        ..options
    };
    let of = RunSplits::new(&[0, 2, 4], &run(), &without);
    assert_eq!(of.at(2, Some(200)), Some(Split::Test));
}

proptest! {
    #[test]
    fn no_fold_of_a_group_or_of_all_has_two_more_than_another(
        kinds in prop::collection::vec((0usize..4, any::<bool>()), 0..60),
        seed in any::<u64>(),
    ) {
        let names = ["a", "b", "c", "d"];
        let episodes: Vec<EpisodeFacts> = kinds
            .iter()
            .enumerate()
            .map(|(number, &(kind, is_sham))| match is_sham {
                true => sham("r", number, names[kind]),
                false => episode("r", number, &names[kind..=kind], &[]),
            })
            .collect();
        let folds = deal(&episodes, &SplitOptions { seed, ..SplitOptions::default() });
        let even = |counts: [usize; FOLDS]| {
            counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
        };
        for episode in &episodes {
            prop_assert!(even(spread(&episodes, &folds, &episode.group())));
        }
        let mut all = [0; FOLDS];
        folds.iter().for_each(|&fold| all[fold] += 1);
        prop_assert!(even(all));
    }
}
