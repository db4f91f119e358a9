//! Changes and looks against a target that answers as it is told, on tokio's own clock, which
//! stands still but for those who wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, mpsc};

use async_trait::async_trait;
use loadgen_fault::{ActiveFault, Cleared, Confirmation, FaultDriver, FaultError, Injection};
use loadgen_scenario::FaultCatalogue;
use loadgen_scenario::plan::Parameters;
use loadgen_timeline::event::{FaultChanged, NoticedChange};
use proptest::prelude::*;
use tokio::time::{sleep, sleep_until};

use super::*;

const RUN: &str = "this run";

/// How a request is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// After so many milliseconds, when it is made.
    After(u64),
    /// With an error after so many milliseconds, and it is not made.
    Fails(u64),
    /// With a plain no, at once.
    Refused,
    /// Never. It is made after so many milliseconds.
    MadeAfter(u64),
    /// Never, and it is not made.
    Never,
}

#[derive(Default)]
struct World {
    faults: BTreeMap<(String, String), (f64, String)>,
    /// What was asked for, and when in milliseconds of the test.
    asked: Vec<(u64, String)>,
    inject: VecDeque<Answer>,
    clear: VecDeque<Answer>,
    /// When neither says.
    usual: Option<Answer>,
}

/// A target.
#[derive(Clone)]
pub(crate) struct Target {
    world: Arc<Mutex<World>>,
    zero: Instant,
}

impl Target {
    /// On a runtime whose clock stands still.
    pub(crate) fn new() -> Self {
        Self {
            world: Arc::default(),
            zero: Instant::now(),
        }
    }

    /// One that answers in a way.
    pub(crate) fn that(usual: Answer) -> Self {
        let target = Self::new();
        target.world().usual = Some(usual);
        target
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn ms(&self) -> u64 {
        self.zero.elapsed().as_millis() as u64
    }

    /// Somebody else puts a fault in, or takes one away.
    fn set(&self, fault: &str, intensity: f64, owner: &str) {
        let key = (fault.to_owned(), "cart".to_owned());
        match intensity {
            0.0 => _ = self.world().faults.remove(&key),
            _ => _ = self.world().faults.insert(key, (intensity, owner.into())),
        }
    }

    async fn answer<T>(
        &self,
        how: Answer,
        make: impl FnOnce(&mut World) -> T,
    ) -> Result<T, FaultError> {
        let refused = |status| FaultError::Refused {
            url: "test".into(),
            status,
            message: "no".into(),
        };
        match how {
            Answer::After(ms) => {
                sleep(Duration::from_millis(ms)).await;
                Ok(make(&mut self.world()))
            }
            Answer::Fails(ms) => {
                sleep(Duration::from_millis(ms)).await;
                Err(refused(502))
            }
            Answer::Refused => Err(refused(409)),
            Answer::MadeAfter(ms) => {
                sleep(Duration::from_millis(ms)).await;
                make(&mut self.world());
                std::future::pending().await
            }
            Answer::Never => std::future::pending().await,
        }
    }
}

#[async_trait]
impl FaultDriver for Target {
    fn name(&self) -> &str {
        "test"
    }

    fn catalogue(&self) -> FaultCatalogue {
        FaultCatalogue {
            driver: "test".into(),
            services: vec![],
            faults: vec![],
            settings: vec![],
        }
    }

    async fn version(&self) -> Result<String, FaultError> {
        Ok("1".into())
    }

    async fn inject(
        &self,
        Injection { fault, owner, .. }: &Injection,
    ) -> Result<Confirmation, FaultError> {
        let ms = self.ms();
        let how = {
            let mut world = self.world();
            world.asked.push((ms, format!("inject {}", fault.fault)));
            let next = world.inject.pop_front();
            next.or(world.usual).unwrap_or(Answer::After(0))
        };
        let key = (fault.fault.clone(), fault.service.clone());
        let value = (fault.intensity, owner.to_owned());
        self.answer(how, |world| {
            world.faults.insert(key, value);
            Confirmation::default()
        })
        .await
    }

    async fn clear(
        &self,
        Injection { fault, owner, .. }: &Injection,
    ) -> Result<Cleared, FaultError> {
        let ms = self.ms();
        let how = {
            let mut world = self.world();
            world.asked.push((ms, format!("clear {}", fault.fault)));
            let next = world.clear.pop_front();
            next.or(world.usual).unwrap_or(Answer::After(0))
        };
        let key = (fault.fault.clone(), fault.service.clone());
        self.answer(how, move |world| {
            let is_ours = world.faults.get(&key).is_some_and(|held| held.1 == *owner);
            if is_ours {
                world.faults.remove(&key);
            }
            Cleared {
                was_in_force: is_ours,
                confirmation: Confirmation::default(),
            }
        })
        .await
    }

    async fn state(&self, _: &[Injection]) -> Result<Vec<ActiveFault>, FaultError> {
        let usual = self.world().usual.unwrap_or(Answer::After(0));
        self.answer(usual, |world| {
            let faults = world.faults.iter();
            faults
                .map(|((fault, service), (intensity, owner))| ActiveFault {
                    fault: Fault {
                        driver: "test".into(),
                        fault: fault.clone(),
                        service: service.clone(),
                        intensity: *intensity,
                        sham: false,
                        harmless: false,
                        clients: None,
                        parameters: Parameters::new(),
                    },
                    owner: owner.clone(),
                })
                .collect()
        })
        .await
    }

    fn limit(&self, fault: &Fault) -> Duration {
        match fault.fault.as_str() {
            "rollout" => Duration::from_secs(40),
            _ => CHANGE_LIMIT,
        }
    }
}

pub(crate) fn fault(name: &str) -> Fault {
    Fault {
        driver: "test".into(),
        fault: name.trim_start_matches('~').into(),
        service: "cart".into(),
        intensity: 0.5,
        sham: name.starts_with('~'),
        harmless: false,
        clients: None,
        parameters: Parameters::new(),
    }
}

/// What is asked for at a millisecond of the test: `+a slow 4000` opens a window of scenario a for
/// that long and has the fault `slow` injected, `-a slow` closes it. `~slow` is a sham.
type Script<'s> = &'s [(u64, &'s str)];

/// The lines that came of it, with times in milliseconds of the test, and how long after the last
/// of the script the end came.
async fn play(target: &Target, script: Script<'_>) -> (Vec<String>, u64) {
    let (events, lines) = mpsc::sync_channel(1000);
    let (deadline, _) = watch::channel(None);
    let clock = Clock::anchored_now();
    let zero_ns = clock.unix_ns(target.zero.into_std());
    let drivers = Drivers::default().with(target.clone());
    let first = first_look(&drivers).await;
    let injector = Injector::new(drivers, RUN, clock, events, deadline.clone(), vec![]);
    let (queue, jobs) = unbounded_channel();
    let running = tokio::spawn(injector.run(first, zero_ns, zero_ns, jobs));
    let ns = |ms: u64| zero_ns + ms as i64 * 1_000_000;
    for (at_ms, words) in script {
        sleep_until(target.zero + Duration::from_millis(*at_ms)).await;
        let words: Vec<&str> = words.split(' ').collect();
        if words[0].is_empty() {
            continue;
        }
        let scenario = words[0][1..].to_owned();
        let job = match &words[0][..1] {
            "+" => FaultJob::Inject {
                scenario,
                fault: fault(words[1]),
                opened_ns: ns(*at_ms),
                until_ns: ns(*at_ms + words[2].parse::<u64>().unwrap()),
            },
            "-" => FaultJob::LetGo {
                scenario,
                fault: fault(words[1]),
            },
            _ => {
                must_end(&deadline, HASTY);
                continue;
            }
        };
        queue.send(job).unwrap();
    }
    let ended_ms = target.ms();
    drop(queue);
    running.await.unwrap();
    let ms = |ns: i64| (ns - zero_ns) / 1_000_000;
    let changed = |sign: char, f: &FaultChanged| {
        let sham = if f.sham { "~" } else { "" };
        let (from, to) = (ms(f.requested_ns), ms(f.at_ns));
        format!("{sign}{} {sham}{} {from}..{to}", f.scenario, f.fault)
    };
    let line = |event| match event {
        EngineEvent::Timeline(Event::FaultInjected(f)) => changed('+', &f),
        EngineEvent::Timeline(Event::FaultCleared(f)) => changed('-', &f),
        EngineEvent::Timeline(Event::FaultFailed(f)) => format!(
            "!{} {} {} {}..{}: {}",
            f.scenario,
            f.change,
            f.fault,
            ms(f.requested_ns),
            ms(f.at_ns),
            f.reason
        ),
        EngineEvent::Timeline(Event::FaultNoticed(f)) => {
            let what = match f.change {
                NoticedChange::Lost => "lost",
                NoticedChange::Appeared => "appeared",
                NoticedChange::Gone => "gone",
            };
            let (from, to) = (ms(f.since_ns), ms(f.at_ns));
            format!(
                "{what} {} {} of '{}' {from}..{to}",
                f.fault, f.intensity, f.owner
            )
        }
        other => format!("{other:?}"),
    };
    (lines.try_iter().map(line).collect(), target.ms() - ended_ms)
}

#[tokio::test(start_paused = true)]
async fn a_driver_may_need_longer_for_a_change() {
    let target = Target::new();
    target.world().inject.push_back(Answer::After(25_000));
    target.world().clear.push_back(Answer::After(25_000));
    let script = [(0, "+a rollout 60000"), (60_000, "-a rollout")];
    let (lines, took_ms) = play(&target, &script).await;
    assert_eq!(lines, ["+a rollout 0..25000", "-a rollout 60000..85000"]);
    assert_eq!(took_ms, 25_000);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_two_scenarios_hold_is_cleared_when_the_last_lets_go() {
    let target = Target::new();
    let script = [
        (0, "+a slow 3000"),
        (1000, "+b slow 3000"),
        (3000, "-a slow"),
        (4000, "-b slow"),
    ];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "+a slow 0..0",
            "+b slow 1000..1000",
            "-a slow 4000..4000",
            "-b slow 4000..4000",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn with_a_slow_target_times_are_those_of_its_answers() {
    let target = Target::new();
    target.world().usual = Some(Answer::After(2500));
    let script = [
        (3000, "+a slow 4000"),
        (7000, "-a slow"),
        (7000, "+b slow 4000"),
        (11_000, "-b slow"),
    ];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "+a slow 3000..5500",
            "-a slow 7000..9500",
            "!b inject slow 9500..11000: its window was over before it was confirmed",
            "-b slow 11000..13500",
        ]
    );
    assert!(target.world().faults.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_injection_whose_window_is_over_is_never_sent() {
    let target = Target::new();
    target.world().clear.push_back(Answer::Never);
    let script = [
        (0, "+a slow 1000"),
        (1000, "-a slow"),
        (1000, "+b slow 2000"),
        (3000, "-b slow"),
        (14_000, "+c slow 1000"),
        (15_000, "-c slow"),
    ];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "+a slow 0..0",
            "!b inject slow 11000..11000: it was not asked for: its window was over before it could \
             be",
            "-a slow 1000..11500",
            "+c slow 14000..14000",
            "-c slow 15000..15000",
        ]
    );
    let injections = target
        .world()
        .asked
        .iter()
        .filter(|a| a.1 == "inject slow")
        .count();
    assert_eq!(injections, 2);
}

#[tokio::test(start_paused = true)]
async fn an_injection_that_comes_late_is_cleared_again() {
    let target = Target::new();
    target.world().inject.push_back(Answer::MadeAfter(2500));
    let script = [(0, "+a slow 1000"), (1000, "-a slow"), (5000, "")];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "!a inject slow 0..1000: its window was over before it was confirmed",
            "-a slow 1000..1000",
            "appeared slow 0.5 of 'this run' 2000..3000",
            "gone slow 0 of '' 3000..3000",
        ]
    );
    assert!(target.world().faults.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clear_is_tried_until_it_is_confirmed_and_leaves_one_line() {
    let target = Target::new();
    let failures = [Answer::Fails(100), Answer::Refused, Answer::Fails(0)];
    target.world().clear.extend(failures);
    let script = [(0, "+a slow 1000"), (1000, "-a slow"), (9000, "")];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(lines, ["+a slow 0..0", "-a slow 1000..4600"]);
}

#[tokio::test(start_paused = true)]
async fn a_clear_that_is_never_confirmed_is_given_up_at_the_end_in_one_line() {
    let target = Target::new();
    target.world().clear.extend([Answer::Fails(0); 100]);
    let script = [(0, "+a slow 1000"), (1000, "-a slow"), (2000, "")];
    let (lines, took_ms) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "+a slow 0..0",
            "!a clear slow 1000..12000: test answered 502: no; given up after 5 attempts"
        ]
    );
    assert_eq!(took_ms, 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_never_answers_holds_up_neither_other_faults_nor_the_end() {
    let target = Target::new();
    let script = [
        (0, "+a slow 20000"),
        (20_000, "-a slow"),
        (20_000, "+b hang 20000"),
        (40_000, "-b hang"),
    ];
    target.world().usual = Some(Answer::Never);
    let (lines, took_ms) = play(&target, &script).await;
    // The look before the run was not answered, so that the script began late.
    assert_eq!(
        lines,
        [
            "!a inject slow 5000..10000: 10 s had passed before it was confirmed",
            "!b inject hang 20000..30000: 10 s had passed before it was confirmed",
            "!b clear hang 30000..50000: it was not confirmed in time; given up after 2 attempts",
            "!a clear slow 10000..50000: it was not confirmed in time; given up after 4 attempts",
        ]
    );
    assert!(took_ms <= 12_000, "{took_ms}");
}

#[tokio::test(start_paused = true)]
async fn what_others_take_away_or_put_in_is_noticed() {
    let target = Target::new();
    target.set("old", 0.3, "another run");
    let others = target.clone();
    tokio::spawn(async move {
        let at = |ms: u64| sleep_until(others.zero + Duration::from_millis(ms));
        at(2300).await;
        others.set("slow", 0.0, "");
        at(4300).await;
        others.set("slow", 0.9, "");
        others.set("old", 0.0, "");
        at(6300).await;
        others.set("slow", 0.0, "");
    });
    let script = [
        (0, "+a slow 7000"),
        (7000, "-a slow"),
        (8000, "+b slow 1000"),
        (9000, "-b slow"),
    ];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "appeared old 0.3 of 'another run' 0..0",
            "+a slow 0..0",
            "lost slow 0 of '' 2000..3000",
            "gone old 0 of '' 4000..5000",
            "appeared slow 0.9 of '' 4000..5000",
            "gone slow 0 of '' 6000..7000",
            "-a slow 7000..7000",
            "+b slow 8000..8000",
            "-b slow 9000..9000",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_when_it_is_to_be_cleared_is_noticed_then() {
    let target = Target::new();
    let others = target.clone();
    tokio::spawn(async move {
        sleep_until(others.zero + Duration::from_millis(2600)).await;
        others.set("slow", 0.0, "");
    });
    let script = [(0, "+a slow 2800"), (2800, "-a slow")];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "+a slow 0..0",
            "lost slow 0 of '' 2000..2800",
            "-a slow 2800..2800",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_sham_goes_through_all_motions_and_injects_nothing() {
    let target = Target::new();
    target.world().usual = Some(Answer::After(20));
    let script = [
        (100, "+a ~slow 1000"),
        (600, "+b slow 1000"),
        (1100, "-a ~slow"),
        (1600, "-b slow"),
    ];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "+a ~slow 100..120",
            "+b slow 600..620",
            "-a ~slow 1100..1120",
            "-b slow 1600..1620",
        ]
    );
    let asked: Vec<String> = target.world().asked.iter().map(|a| a.1.clone()).collect();
    assert_eq!(asked, ["inject slow", "clear slow"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_plain_no_nothing_is_cleared() {
    let target = Target::new();
    target.set("slow", 0.7, "another run");
    target.world().inject.push_back(Answer::Refused);
    let script = [(0, "+a slow 1000"), (1000, "-a slow")];
    let (lines, _) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "appeared slow 0.7 of 'another run' 0..0",
            "!a inject slow 0..0: test answered 409: no",
        ]
    );
    assert_eq!(target.world().asked.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_must_stop_at_once_waits_half_a_second_for_its_faults() {
    let target = Target::new();
    target.world().clear.push_back(Answer::Never);
    let script = [(0, "+a slow 9000"), (1000, "-a slow"), (1200, "!")];
    let (lines, took_ms) = play(&target, &script).await;
    assert_eq!(
        lines,
        [
            "+a slow 0..0",
            "!a clear slow 1000..1700: it was not confirmed in time; given up after 1 attempt",
        ]
    );
    assert_eq!(took_ms, 500);
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => (0u64..400).prop_map(Answer::After),
        2 => (400u64..9000).prop_map(Answer::After),
        2 => (0u64..3000).prop_map(Answer::Fails),
        1 => Just(Answer::Refused),
        1 => (0u64..9000).prop_map(Answer::MadeAfter),
        1 => Just(Answer::Never),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a target answers for a while: nothing is asked for after its window, each window
    /// has one line that says what came of it, each fault that was in force has one that says how
    /// it ended, and none is left behind by the end, which comes in time.
    #[test]
    fn whatever_a_target_answers(
        windows in prop::collection::vec((0u64..6000, 200u64..6000, 0usize..2), 1..8),
        inject in prop::collection::vec(answers(), 0..8),
        clear in prop::collection::vec(answers(), 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let names = ["slow", "hang"];
        let mut begin = 0;
        let mut script = Vec::new();
        let mut ends: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (index, (pause, length, fault)) in windows.iter().enumerate() {
            begin += pause;
            let fault = names[*fault];
            script.push((begin, format!("+s{index} {fault} {length}")));
            script.push((begin + length, format!("-s{index} {fault}")));
            ends.insert(format!("s{index}"), (begin, begin + length));
        }
        // At one moment windows close before others open.
        script.sort_by_key(|(at, words)| (*at, words.starts_with('+')));
        let (lines, took_ms, target) = runtime.block_on(async {
            let target = Target::new();
            target.world().inject.extend(inject.clone());
            target.world().clear.extend(clear.clone());
            let script: Vec<(u64, &str)> = script.iter().map(|(at, w)| (*at, w.as_str())).collect();
            let (lines, took_ms) = play(&target, &script).await;
            (lines, took_ms, target)
        });
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for (scenario, (opened, closed)) in &ends {
            let count = |prefix: String| lines.iter().filter(|l| l.starts_with(&prefix)).count();
            let injected = count(format!("+{scenario} "));
            let failed = count(format!("!{scenario} inject "));
            prop_assert_eq!(injected + failed, 1, "{}: {:#?}", scenario, lines);
            let cleared = count(format!("-{scenario} "));
            let stuck = count(format!("!{scenario} clear "));
            // An injection that was answered late may need a second clear, and that may fail.
            prop_assert!(cleared.max(stuck) <= 1, "{}: {:#?}", scenario, lines);
            let is_closed = cleared + stuck == 1 || injected == 0;
            prop_assert!(is_closed, "{}: {:#?}", scenario, lines);
            let times = lines.iter().find(|l| l.starts_with(&format!("+{scenario} ")));
            if let Some((from, to)) = times.and_then(|l| l.rsplit_once(' ')?.1.split_once("..")) {
                let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
                prop_assert!(opened <= &from && from <= to && &to <= closed, "{:#?}", lines);
            }
        }
        // Requests to inject fall into windows of their fault.
        for (at, what) in &target.world().asked {
            let within = windows.iter().enumerate().any(|(index, (_, _, fault))| {
                let (opened, closed) = ends[&format!("s{index}")];
                what == &format!("inject {}", names[*fault]) && (opened..closed).contains(at)
            });
            prop_assert!(within || what.starts_with("clear"), "{} {}", at, what);
        }
        prop_assert!(took_ms <= 12_000, "{}", took_ms);
        // What was answered for a while only may still be on its way when time is up.
        let may_stay = lines.iter().any(|line| line.contains(" clear "));
        prop_assert!(may_stay || target.world().faults.is_empty(), "{:#?}", lines);
    }
}
