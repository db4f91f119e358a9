//! Runs in simulated time: the whole engine but for its threads and sockets.
//!
//! tokio's clock stands still, and goes to the next moment that somebody waits for when everybody
//! waits. The workers are tasks of one thread, and what they send is answered by [`answer`]. So a
//! minute takes no time, and every time is exact, whatever else the machine does. tokio's timers
//! are of whole milliseconds: what is due in between comes with the next one.

mod ends;
mod flags;
mod shards;
mod starts;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadgen_fault::{Drivers, FlagReader};
use loadgen_scenario::{Plan, PlanOptions, Shard, plan_str};
use loadgen_timeline::event::{Event, Heartbeat, RunShard, RunStatus, WindowClosed};
use loadgen_timeline::{Clock, Failure, RequestRecord};
use reqwest::Url;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::{EngineError, Interrupt};
use crate::event::{Consumer, EngineEvent};
use crate::exchange::{Answered, Outgoing};
use crate::injector::first_look;
use crate::injector::tests::Target;
use crate::run::{LEAD, PreparedSender, Ready};

const MS: i64 = 1_000_000;

/// A Unix time for the zero of simulated time.
const UNIX_NS: i64 = 1_795_573_449_000_000_000;

/// Answers a request as its path asks: `/a?ms=450` after so long, `&status=503` with that status,
/// `&failure=connect` not at all, `&panic=1` by breaking the worker.
pub(crate) async fn answer(out: &Outgoing<'_>) -> Answered {
    let url = Url::parse(&format!("http://simulated{}", out.request.path)).unwrap();
    let mut answered = Answered {
        status: Some(200),
        ..Answered::default()
    };
    let mut takes = Duration::ZERO;
    for (name, value) in url.query_pairs() {
        match &*name {
            "ms" => takes = Duration::from_millis(value.parse().unwrap()),
            "status" => answered.status = Some(value.parse().unwrap()),
            "failure" => {
                answered.status = None;
                answered.failure = Failure::ALL.into_iter().find(|f| f.name() == value);
            }
            "panic" => panic!("as the path asks"),
            other => unreachable!("{other}"),
        }
    }
    // Who loops over answers that take no time would never let time go on.
    assert!(!takes.is_zero(), "an answer takes time");
    let limit = Duration::from_nanos(out.step.timeout_ns);
    if takes > limit {
        sleep(limit).await;
        answered.status = None;
        answered.failure = Some(Failure::Timeout);
        return answered;
    }
    sleep(takes).await;
    if let Some(status) = answered.status
        && !out.step.expect.matches_status(status)
    {
        answered.failure = Some(Failure::Status);
    }
    answered
}

/// A plan of scenarios as in a scenario file, and one flow. Windows may overlap.
fn plan(steps: &str, scenarios: &[&str]) -> Plan {
    let mut text = format!(
        "version: 1\noverlap: allow\nflows: {{default: {{steps: [{steps}]}}}}\nscenarios:\n"
    );
    for scenario in scenarios {
        let _ = writeln!(text, "  {scenario}");
    }
    plan_str("simulated.yaml", &text, &PlanOptions::default()).unwrap()
}

/// Readers of a plan's flags, from files.
fn readers(plan: &Plan) -> Vec<FlagReader> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let flags = plan.flags.iter().cloned();
    flags
        .map(|flag| FlagReader::new(client.clone(), flag))
        .collect()
}

/// Runs a plan with a number of workers.
fn simulate(plan: &Plan, workers: usize) -> Seen {
    simulate_with(plan, workers, &[], None)
}

/// Runs one shard of a plan.
fn simulate_shard(plan: &Plan, workers: usize, shard: Shard) -> Seen {
    simulate_part(plan, workers, shard, &[], None)
}

/// Runs a plan with interrupts at milliseconds of the plan, and a driver of faults.
fn simulate_with(
    plan: &Plan,
    workers: usize,
    interrupts: &[(u64, Interrupt)],
    target: Option<fn() -> Target>,
) -> Seen {
    simulate_part(plan, workers, Shard::WHOLE, interrupts, target)
}

fn simulate_part(
    plan: &Plan,
    workers: usize,
    shard: Shard,
    interrupts: &[(u64, Interrupt)],
    target: Option<fn() -> Target>,
) -> Seen {
    let nothing = |_| std::future::ready(());
    simulate_beside(plan, workers, shard, interrupts, target, nothing)
}

/// The same, with something that goes on beside the run; it is told the moment of the plan's zero.
fn simulate_beside<F: Future<Output = ()> + 'static>(
    plan: &Plan,
    workers: usize,
    shard: Shard,
    interrupts: &[(u64, Interrupt)],
    target: Option<fn() -> Target>,
    beside: impl FnOnce(Instant) -> F,
) -> Seen {
    let kept = Kept::default();
    let consumers: Vec<Box<dyn Consumer>> = vec![Box::new(kept.clone())];
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let ended = LocalSet::new().block_on(&runtime, async {
        let drivers = target.map_or(Drivers::default(), |make| Drivers::default().with(make()));
        let first_look = first_look(&drivers).await;
        let zero = Instant::now() + LEAD;
        let ready = Ready {
            run_id: "0".repeat(32),
            plan: Arc::new(plan.clone()),
            base_url: "http://simulated".into(),
            clock: Clock::simulated(
                || Instant::now().into_std(),
                UNIX_NS - LEAD.as_nanos() as i64,
            ),
            start_ns: UNIX_NS,
            drivers,
            first_look,
            flags: readers(plan),
            sender: PreparedSender::Simulated { workers },
            shard: RunShard::of(shard),
        };
        tokio::task::spawn_local(beside(zero));
        let (interrupt, incoming) = unbounded_channel();
        let interrupts = interrupts.to_vec();
        tokio::spawn(async move {
            for (at_ms, wish) in interrupts {
                sleep_until(zero + Duration::from_millis(at_ms)).await;
                let _ = interrupt.send(wish);
            }
        });
        ready.run(consumers, incoming).await
    });
    let events = std::mem::take(&mut *kept.0.lock().unwrap());
    Seen { ended, events }
}

#[derive(Default, Clone)]
struct Kept(Arc<Mutex<Vec<EngineEvent>>>);

impl Consumer for Kept {
    fn name(&self) -> &str {
        "the test's memory"
    }

    fn take(&mut self, event: &EngineEvent) -> std::io::Result<()> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
}

/// What a run did. Times are in milliseconds of the plan, which they are exactly.
struct Seen {
    ended: Result<RunStatus, EngineError>,
    events: Vec<EngineEvent>,
}

fn ms(at_ns: i64) -> i64 {
    let since_ns = at_ns - UNIX_NS;
    assert_eq!(since_ns % MS, 0, "{since_ns} ns are no whole milliseconds");
    since_ns / MS
}

impl Seen {
    fn lines(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter_map(|event| match event {
            EngineEvent::Timeline(line) => Some(line),
            EngineEvent::Requests(_) | EngineEvent::Generator(_) => None,
        })
    }

    /// Records of a scenario, in order of their iterations and steps.
    fn records(&self, scenario: u16) -> Vec<&RequestRecord> {
        let batches = self.events.iter().filter_map(|event| match event {
            EngineEvent::Requests(records) => Some(records),
            EngineEvent::Timeline(_) | EngineEvent::Generator(_) => None,
        });
        let mut records: Vec<_> = batches
            .flatten()
            .filter(|record| record.scenario == scenario)
            .collect();
        records.sort_by_key(|record| (record.iteration, record.step));
        records
    }

    /// When requests were sent.
    fn starts(&self, scenario: u16) -> Vec<i64> {
        let records = self.records(scenario).into_iter();
        records.map(|record| ms(record.sent_ns)).collect()
    }

    /// From when to when requests were on their way, and how they failed.
    fn spans(&self, scenario: u16) -> Vec<(i64, i64, Option<Failure>)> {
        let records = self.records(scenario).into_iter();
        records
            .map(|r| (ms(r.sent_ns), ms(r.finished_ns), r.failure))
            .collect()
    }

    /// What the timeline says between its first line and the counts, but for heartbeats.
    fn story(&self) -> Vec<String> {
        let told = |line: &Event| {
            Some(match line {
                Event::RunStarted(_) | Event::Heartbeat(_) => return None,
                Event::WindowOpened(w) => format!("{} opened {}", ms(w.at_ns), w.scenario),
                Event::WindowClosed(w) => format!("{} closed {}", ms(w.at_ns), w.scenario),
                Event::WindowDrained(w) => format!("{} drained {}", ms(w.at_ns), w.scenario),
                Event::FaultInjected(f) => {
                    format!("{} {} is in for {}", ms(f.at_ns), f.fault, f.scenario)
                }
                Event::FaultCleared(f) => {
                    format!("{} {} is out for {}", ms(f.at_ns), f.fault, f.scenario)
                }
                Event::VusChanged(v) => format!("{} {} runs {}", ms(v.at_ns), v.scenario, v.vus),
                Event::FlagChanged(f) => format!("{} {} is {}", ms(f.at_ns), f.flag, f.value),
                Event::FlagLost(f) => format!("{} {} is lost", ms(f.at_ns), f.flag),
                Event::RunFinished(end) => format!("{} {:?}", ms(end.at_ns), end.status),
                other => format!("{other:?}"),
            })
        };
        self.lines().filter_map(told).collect()
    }

    /// The final counts of a scenario.
    fn drained(&self, scenario: &str) -> &WindowClosed {
        let mut lines = self.lines();
        let drained = lines.find_map(|line| match line {
            Event::WindowDrained(drained) if drained.scenario == scenario => Some(drained),
            _ => None,
        });
        drained.expect("the window drained")
    }

    fn heartbeats(&self) -> Vec<&Heartbeat> {
        let beats = self.lines().filter_map(|line| match line {
            Event::Heartbeat(beat) => Some(beat),
            _ => None,
        });
        beats.collect()
    }
}
