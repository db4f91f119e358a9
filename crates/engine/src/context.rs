//! What the code of a worker works with: its buffer of records, its way to the target, its ids.
//!
//! What requests leave behind goes into a plain buffer of the worker, and that buffer is handed
//! over a few times a second, so recording costs the hot path neither a lock nor a channel.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use loadgen_timeline::RequestRecord;
use rand::rngs::SmallRng;

use crate::event::EngineEvent;
use crate::headers::scenario_headers;
use crate::shared::{Shared, Signal};
use crate::way::Way;

/// Records that are handed over as soon as they have come together. The recorder may have the
/// processor of a worker, which then sends nothing: so many take it some 0.25 ms.
const PORTION: usize = 256;

/// Records (some 150 MB of them) that a worker keeps while the recorder is behind, before it
/// waits for it.
const PATIENCE: usize = 1_000_000;

/// What a worker, or the one that follows k6, tells the conductor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It starts no more iterations of a scenario, since that time if it is known to be earlier.
    Closed(usize, Option<i64>),
    /// The last iteration of a scenario ended, at that time if it is known to have been earlier.
    Drained(usize, Option<i64>),
    /// It ended although scenarios had not drained.
    Died,
}

/// The state of one worker; lives on its thread only.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    /// This worker's place among `shared.workers`: it takes every n-th iteration or VU.
    pub(crate) index: usize,
    pub(crate) way: Way,
    /// By scenario.
    pub(crate) headers: Vec<HeaderMap>,
    /// By scenario: requests on their way.
    pub(crate) in_flight: Vec<Cell<u32>>,
    pub(crate) ids: RefCell<SmallRng>,
    records: RefCell<Vec<RequestRecord>>,
    events: SyncSender<EngineEvent>,
}

impl Context {
    pub(crate) fn new(
        shared: Arc<Shared>,
        index: usize,
        way: Way,
        authorization: Option<HeaderValue>,
        events: SyncSender<EngineEvent>,
    ) -> Self {
        let scenarios = &shared.plan.scenarios;
        let mut headers: Vec<HeaderMap> = scenarios
            .iter()
            .map(|s| scenario_headers(&s.anomaly, Some(&shared.run_id)))
            .collect();
        if let Some(value) = &authorization {
            for headers in &mut headers {
                headers.insert(AUTHORIZATION, value.clone());
            }
        }
        Self {
            index,
            way,
            headers,
            in_flight: scenarios.iter().map(|_| Cell::new(0)).collect(),
            ids: RefCell::new(rand::make_rng()),
            records: RefCell::default(),
            events,
            shared,
        }
    }

    pub(crate) fn record(&self, record: RequestRecord) {
        let length = {
            let mut records = self.records.borrow_mut();
            records.push(record);
            records.len()
        };
        // Also where the recorder had no room before: more come together, and it is asked again.
        if length.is_multiple_of(PORTION) {
            self.hand_over();
        }
    }

    pub(crate) fn is_signalled(&self, scenario: usize, least: Signal) -> bool {
        self.shared.is_signalled(scenario, least)
    }

    /// Now, by the run's clock.
    pub(crate) fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// A time of the plan as a moment of the monotonic clock.
    pub(crate) fn moment(&self, plan_ns: u64) -> Instant {
        self.shared.clock.instant(self.shared.planned_ns(plan_ns))
    }

    /// Hands over what was recorded. A recorder that is behind is waited for only when very much
    /// has come together: until then the records stay here, and the load is not disturbed.
    pub(crate) fn hand_over(&self) {
        let length = self.records.borrow().len();
        if length == 0 {
            return;
        }
        // Likely as many will come together again. What is handed over takes no more than it holds,
        // as much of it may wait for the recorder.
        let mut records = self.records.replace(Vec::with_capacity(length));
        records.shrink_to_fit();
        if records.len() >= PATIENCE {
            // The other end is gone only when a consumer failed, which ends the run by itself.
            let _ = self.events.send(EngineEvent::Requests(records));
        } else if let Err(TrySendError::Full(EngineEvent::Requests(records))) =
            self.events.try_send(EngineEvent::Requests(records))
        {
            *self.records.borrow_mut() = records;
        }
    }

    /// Hands over the rest, however long that takes.
    pub(crate) fn hand_over_the_rest(&self) {
        let _ = self.events.send(EngineEvent::Requests(self.records.take()));
    }
}
