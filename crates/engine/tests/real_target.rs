//! The engine on its threads against a real HTTP server: what is sent, recorded and counted. When
//! iterations start and how runs end early is tested in simulated time, in the crate itself, so
//! nothing here depends on how fast the machine is.

mod target;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadgen_engine::consumers::{ClientSpanReport, ClientSpans, OtlpTarget};
use loadgen_engine::{Consumer, EngineEvent, Interrupt, RunOptions, Sender, run};
use loadgen_otlp::OtlpProtocol;
use loadgen_scenario::plan::*;
use loadgen_timeline::event::{Event, RunStatus, WindowClosed};
use loadgen_timeline::{Failure, RequestRecord};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const MS: u64 = 1_000_000;

/// A limit that no machine is too busy for.
const PATIENCE_MS: u64 = 60_000;

fn step(path: &str, timeout_ms: u64) -> Step {
    Step {
        name: path.trim_start_matches('/').into(),
        method: "GET".into(),
        path: Template(vec![Part::Text(path.into())]),
        headers: vec![],
        baggage: vec![],
        json: None,
        expect: Expect {
            status: vec![(200, 299)],
            content_type: None,
        },
        think_time: None,
        timeout_ns: timeout_ms * MS,
        probability: None,
        rounds: Vec::new(),
        draws: vec![],
        captures: vec![],
    }
}

fn plan(executor: Executor, steps: Vec<Step>) -> Plan {
    let end_ns = loadgen_scenario::planned_length_ns(&executor);
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        name: "test".into(),
        scenario_file: "test.yaml".into(),
        scenario_sha256: String::new(),
        seed: 7,
        time_scale: 1.0,
        target: Target::Embedded,
        redirect_hosts: vec![],
        renew_connections: false,
        client_cells: false,
        drivers: Default::default(),
        observed: vec![],
        flags: vec![],
        flows: vec![Flow {
            name: "flow".into(),
            variables: vec![],
            steps,
            wait_time: None,
        }],
        scenarios: vec![PlannedScenario {
            name: "scenario".into(),
            executor,
            start_ns: 0,
            end_ns,
            graceful_stop_ns: PATIENCE_MS * MS,
            guard_ns: 0,
            exec: vec![WeightedFlow { flow: 0, weight: 1 }],
            anomaly: Anomaly {
                kind: "none".into(),
                label: "normal".into(),
                symptom: None,
                root_cause: "none".into(),
                msg: "all is well".into(),
                root_cause_service: None,
            },
            declared: None,
            fault: None,
            warm_up: false,
            tags: Default::default(),
            env: Default::default(),
        }],
    }
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

impl Kept {
    fn records(&self) -> Vec<RequestRecord> {
        let events = self.0.lock().unwrap();
        let batches = events.iter().filter_map(|e| match e {
            EngineEvent::Requests(records) => Some(records.clone()),
            EngineEvent::Timeline(_) | EngineEvent::Generator(_) => None,
        });
        let mut records: Vec<_> = batches.flatten().collect();
        records.sort_by_key(|r| (r.iteration, r.step));
        records
    }

    fn lines(&self) -> Vec<Event> {
        let events = self.0.lock().unwrap();
        let lines = events.iter().filter_map(|e| match e {
            EngineEvent::Timeline(line) => Some(line.clone()),
            EngineEvent::Requests(_) | EngineEvent::Generator(_) => None,
        });
        lines.collect()
    }

    fn drained(&self) -> WindowClosed {
        let drained = self.lines().into_iter().find_map(|line| match line {
            Event::WindowDrained(drained) => Some(drained),
            _ => None,
        });
        drained.expect("the window drained")
    }
}

async fn run_with(
    plan: Plan,
    workers: usize,
    drive: impl FnOnce(UnboundedSender<Interrupt>, Kept),
) -> (Kept, RunStatus) {
    let target = target::start().await;
    let kept = Kept::default();
    let options = RunOptions {
        run_id: "0".repeat(32),
        base_url: target,
        sender: Sender::workers(workers),
        drivers: Default::default(),
        shard: None,
        start_at_ns: None,
        flags: vec![],
    };
    let (interrupt, interrupts) = unbounded_channel();
    drive(interrupt.clone(), kept.clone());
    let consumers: Vec<Box<dyn Consumer>> = vec![Box::new(kept.clone())];
    let status = run(Arc::new(plan), options, consumers, interrupts)
        .await
        .unwrap();
    (kept, status)
}

fn arrival(rate: u32, duration_ms: u64, pre_allocated_vus: u32, max_vus: u32) -> Executor {
    Executor::ConstantArrivalRate {
        rate,
        time_unit_ns: 1000 * MS,
        duration_ns: duration_ms * MS,
        pre_allocated_vus,
        max_vus,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_model_sends_what_is_due_and_never_early() {
    for workers in [1, 3] {
        let plan = plan(arrival(50, 1000, 60, 60), vec![step("/ok", PATIENCE_MS)]);
        let (kept, status) = run_with(plan, workers, |_, _| {}).await;
        assert_eq!(status, RunStatus::Completed);
        let records = kept.records();
        // The one that falls on the end is started, too.
        assert_eq!(records.len(), 51);
        let mut intended: Vec<i64> = records.iter().map(|r| r.intended_ns).collect();
        intended.sort_unstable();
        let start = intended[0];
        for (n, at) in intended.iter().enumerate() {
            assert_eq!(at - start, n as i64 * 20 * MS as i64);
        }
        assert!(records.iter().all(|r| r.sent_ns >= r.intended_ns));
        assert!(
            records
                .iter()
                .all(|r| r.failure.is_none() && r.status == Some(200))
        );
        let numbers: Vec<u64> = records.iter().map(|r| r.iteration).collect();
        assert_eq!(numbers, (0..51).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_would_change_the_path_is_not_sent() {
    let mut draws = step("/ok/{}/x", PATIENCE_MS);
    draws.path = Template(vec![
        Part::Text("/ok/".into()),
        Part::Var(VarRef {
            slot: 0,
            pointer: String::new(),
        }),
        Part::Text("/x".into()),
    ]);
    let choice = Choice::Pick(vec!["..".into()]);
    draws.draws = vec![Draw {
        slot: 0,
        choice,
        site: 1,
    }];
    let executor = Executor::PerVuIterations {
        vus: 1,
        iterations: 1,
        max_duration_ns: 600_000 * MS,
    };
    let mut plan = plan(executor, vec![draws]);
    plan.flows[0].variables = vec!["v".into()];
    let (kept, _) = run_with(plan, 1, |_, _| {}).await;
    assert_eq!(kept.records()[0].failure, Some(Failure::Request));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_lacks_a_value_is_counted() {
    let mut needs = step("/ok", PATIENCE_MS);
    needs.path.0.push(Part::Var(VarRef {
        slot: 0,
        pointer: String::new(),
    }));
    let executor = Executor::PerVuIterations {
        vus: 1,
        iterations: 3,
        max_duration_ns: 600_000 * MS,
    };
    let mut plan = plan(executor, vec![step("/ok", PATIENCE_MS), needs]);
    plan.flows[0].variables = vec!["never".into()];
    let (kept, _) = run_with(plan, 1, |_, _| {}).await;
    assert_eq!(kept.records().len(), 3);
    assert_eq!(kept.drained().unsent_steps, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_cannot_be_kept_can_be_stopped() {
    let executor = Executor::ConstantArrivalRate {
        rate: 1_000_000,
        time_unit_ns: 1000 * MS,
        duration_ns: 600_000 * MS,
        pre_allocated_vus: 1,
        max_vus: 1,
    };
    let plan = plan(executor, vec![step("/slow?ms=10", PATIENCE_MS)]);
    let (_, status) = run_with(plan, 1, |interrupt, kept| {
        tokio::spawn(async move {
            // Requests go on beside the schedule.
            while kept.records().len() < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let _ = interrupt.send(Interrupt::Gracefully);
        });
    })
    .await;
    assert_eq!(status, RunStatus::Interrupted);
}

/// What becomes of the spans of five requests.
async fn spans_of_a_silent_receiver(is_in_a_hurry: bool) -> ClientSpanReport {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let executor = Executor::PerVuIterations {
        vus: 1,
        iterations: 5,
        max_duration_ns: 600_000 * MS,
    };
    let plan = Arc::new(plan(executor, vec![step("/ok", PATIENCE_MS)]));
    let base_url = target::start().await;
    let to = OtlpTarget {
        endpoint: Some(silent),
        protocol: OtlpProtocol::Grpc,
    };
    let spans = ClientSpans::start(&plan, &base_url, "0", &to).unwrap();
    let report = spans.handle();
    spans.hurry().store(is_in_a_hurry, Ordering::Relaxed);
    let options = RunOptions {
        run_id: "0".repeat(32),
        base_url,
        sender: Sender::workers(1),
        drivers: Default::default(),
        shard: None,
        start_at_ns: None,
        flags: vec![],
    };
    let (_interrupt, interrupts) = unbounded_channel();
    run(plan, options, vec![Box::new(spans)], interrupts)
        .await
        .unwrap();
    report.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn client_spans_that_a_silent_receiver_never_takes_are_counted_as_lost() {
    let report = spans_of_a_silent_receiver(false).await;
    assert_eq!((report.exported, report.lost), (0, 5));
    assert!(report.last_error.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_hurry_does_not_wait_for_the_receiver_of_client_spans() {
    let report = spans_of_a_silent_receiver(true).await;
    assert_eq!((report.exported, report.lost), (0, 5));
    let error = report.last_error.unwrap();
    assert!(error.contains("a signal ended the wait"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_executors_make_just_their_iterations() {
    let max_duration_ns = 600_000 * MS;
    for (executor, expected) in [
        (
            Executor::PerVuIterations {
                vus: 3,
                iterations: 4,
                max_duration_ns,
            },
            12,
        ),
        (
            Executor::SharedIterations {
                vus: 3,
                iterations: 10,
                max_duration_ns,
            },
            10,
        ),
    ] {
        for workers in [1, 2] {
            let plan = plan(executor.clone(), vec![step("/ok", PATIENCE_MS)]);
            let (kept, status) = run_with(plan, workers, |_, _| {}).await;
            assert_eq!(status, RunStatus::Completed);
            assert_eq!(kept.records().len(), expected);
            assert_eq!(kept.drained().iterations, expected as u64);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_and_an_unexpected_status_are_recorded_as_what_they_are() {
    let executor = Executor::PerVuIterations {
        vus: 1,
        iterations: 1,
        max_duration_ns: 600_000 * MS,
    };
    let steps = vec![
        step("/slow?ms=600000", 100),
        step("/status?code=503", PATIENCE_MS),
        step("/ok", PATIENCE_MS),
    ];
    let (kept, _) = run_with(plan(executor, steps), 1, |_, _| {}).await;
    let records = kept.records();
    assert_eq!(records[0].failure, Some(Failure::Timeout));
    assert_eq!(
        (records[1].failure, records[1].status),
        (Some(Failure::Status), Some(503))
    );
    assert_eq!(records[2].failure, None);
    assert_eq!(kept.drained().failed, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_fails_ends_the_run_and_the_others_see_its_end() {
    struct Full;
    impl Consumer for Full {
        fn name(&self) -> &str {
            "a full disk"
        }
        fn take(&mut self, event: &EngineEvent) -> std::io::Result<()> {
            match event {
                EngineEvent::Requests(_) => Err(std::io::ErrorKind::StorageFull.into()),
                EngineEvent::Timeline(_) | EngineEvent::Generator(_) => Ok(()),
            }
        }
    }
    let executor = Executor::ConstantVus {
        vus: 1,
        duration_ns: 60_000 * MS,
    };
    let plan = plan(executor, vec![step("/slow?ms=10", PATIENCE_MS)]);
    let kept = Kept::default();
    let options = RunOptions {
        run_id: "0".repeat(32),
        base_url: target::start().await,
        sender: Sender::workers(1),
        drivers: Default::default(),
        shard: None,
        start_at_ns: None,
        flags: vec![],
    };
    let consumers: Vec<Box<dyn Consumer>> = vec![Box::new(Full), Box::new(kept.clone())];
    let (_interrupt, interrupts) = unbounded_channel();
    let error = run(Arc::new(plan), options, consumers, interrupts)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a full disk"), "{error}");
    assert!(
        matches!(kept.lines().last(), Some(Event::RunFinished(f)) if f.status == RunStatus::Failed)
    );
}
