//! A worker: one thread with an event loop of its own that runs its share of every scenario.
//!
//! What requests leave behind goes into a plain buffer of the worker, and that buffer is handed
//! over a few times a second, so recording costs the hot path neither a lock nor a channel.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use loadgen_timeline::RequestRecord;
use rand::rngs::SmallRng;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::LocalSet;

use crate::event::Event;
use crate::executor;
use crate::headers::scenario_headers;
use crate::shared::{Shared, Signal};

/// How often a worker hands over what it recorded. Bounds what a kill can lose.
const HAND_OVER: Duration = Duration::from_millis(250);

/// Records that fit without growing at the rate that the engine is built for.
const BUFFER: usize = 4096;

/// What a worker tells the conductor about a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It starts no more iterations.
    Closed(usize),
    /// Its last iteration ended.
    Drained(usize),
}

/// The state of one worker; lives on its thread only.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    /// This worker's place among `shared.workers`: it takes every n-th iteration or VU.
    pub(crate) index: usize,
    pub(crate) client: reqwest::Client,
    /// By scenario.
    pub(crate) headers: Vec<HeaderMap>,
    /// By scenario: requests on their way.
    pub(crate) in_flight: Vec<Cell<u32>>,
    pub(crate) ids: RefCell<SmallRng>,
    records: RefCell<Vec<RequestRecord>>,
    events: mpsc::Sender<Event>,
}

impl Worker {
    pub(crate) fn record(&self, record: RequestRecord) {
        self.records.borrow_mut().push(record);
    }

    pub(crate) fn signal(&self, scenario: usize) -> Signal {
        *self.shared.scenarios[scenario].signal.borrow()
    }

    /// A time of the plan as a moment of the monotonic clock.
    pub(crate) fn moment(&self, plan_ns: u64) -> Instant {
        self.shared.clock.instant(self.shared.planned_ns(plan_ns))
    }

    fn hand_over(&self) {
        let records = self.records.replace(Vec::with_capacity(BUFFER));
        if !records.is_empty() {
            // The other end is gone only when a consumer failed, which ends the run by itself.
            let _ = self.events.send(Event::Requests(records));
        }
    }
}

/// Runs a worker until its share of every scenario has drained.
pub(crate) fn run(
    shared: Arc<Shared>,
    index: usize,
    client: reqwest::Client,
    events: mpsc::Sender<Event>,
    progress: UnboundedSender<Progress>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Look for I/O and timers more often than by default: sends are due to the tenth of a ms.
        .event_interval(16)
        .build()?;
    let scenarios = shared.plan.scenarios.len();
    let headers = shared
        .plan
        .scenarios
        .iter()
        .map(|s| scenario_headers(&s.anomaly))
        .collect();
    let worker = Rc::new(Worker {
        shared,
        index,
        client,
        headers,
        in_flight: (0..scenarios).map(|_| Cell::new(0)).collect(),
        ids: RefCell::new(rand::make_rng()),
        records: RefCell::new(Vec::with_capacity(BUFFER)),
        events,
    });
    LocalSet::new().block_on(&runtime, async {
        let recorder = tokio::task::spawn_local({
            let worker = worker.clone();
            async move {
                let mut tick = tokio::time::interval(HAND_OVER);
                loop {
                    tick.tick().await;
                    worker.hand_over();
                }
            }
        });
        let running: Vec<_> = (0..scenarios)
            .map(|scenario| {
                let worker = worker.clone();
                let progress = progress.clone();
                tokio::task::spawn_local(async move {
                    executor::run(&worker, scenario, |p| {
                        if matches!(p, Progress::Drained(_)) {
                            worker.hand_over();
                        }
                        let _ = progress.send(p);
                    })
                    .await;
                })
            })
            .collect();
        for scenario in running {
            // A panic in a scenario's task must not pass for a scenario that has drained.
            if let Err(error) = scenario.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        recorder.abort();
        worker.hand_over();
    });
    Ok(())
}
