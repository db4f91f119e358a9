//! One iteration on the wire: takes the pure [`Iteration`] from step to step, sends its requests,
//! and records each.

use std::error::Error;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use loadgen_scenario::{Iteration, Request, StepRequest};
use loadgen_timeline::{Failure, RequestRecord};
use rand::Rng;
use tracing::{debug, trace};

use crate::context::Context;
use crate::cookies::Cookies;
use crate::exchange::{Answered, Outgoing};
use crate::headers::traceparent;
use crate::shared::Signal;

/// Runs iteration `number` of a scenario; `due` is when it was to start.
pub(crate) async fn run(context: &Rc<Context>, scenario: usize, number: u64, due: Instant) {
    let shared = context.shared.clone();
    let state = &shared.scenarios[scenario];
    let interrupted = InterruptedIteration(Some(&state.counters.interrupted_iterations));
    let mut iteration = Iteration::new(
        &shared.plan,
        &shared.plan.scenarios[scenario],
        state.prng,
        number,
    )
    .with_flags(&shared.flags);
    let mut due = due;
    let mut cookies = Cookies::default();
    for step in 0..iteration.step_count() {
        if context.is_signalled(scenario, Signal::Stop) {
            return;
        }
        match iteration.request(step) {
            StepRequest::Skip => continue,
            // A value that it needs was never captured: there is nothing to send.
            StepRequest::Missing { .. } => {
                state.counters.unsent_steps.fetch_add(1, Relaxed);
            }
            StepRequest::Send(request) => {
                let (flow, planned) = (iteration.flow(), iteration.step(step));
                let in_flight =
                    InFlight::begin(context, scenario, number, flow, step, due, &request);
                let out = Outgoing {
                    plan: &shared.plan,
                    base_url: &shared.base_url,
                    headers: &context.headers[scenario],
                    traceparent: traceparent(&in_flight.trace_id, &in_flight.span_id),
                    step: planned,
                    request,
                };
                let answered = context.way.exchange(scenario, &mut cookies, out).await;
                let finished = context.now();
                let failure = match answered.failure {
                    Some(failure) => Some(failure),
                    None => iteration
                        .capture(step, &answered.body)
                        .err()
                        .map(|_| Failure::Capture),
                };
                tell(&iteration, step, &answered, failure);
                in_flight.end(finished, answered.status, failure);
            }
        }
        let think_ns = iteration.think_time_ns(step);
        if think_ns > 0 {
            tokio::time::sleep(Duration::from_nanos(think_ns)).await;
        }
        // Within an iteration the model is closed: the next request is due when the pause ends.
        due = context.now();
    }
    let wait_ns = iteration.wait_time_ns();
    if wait_ns > 0 {
        tokio::time::sleep(Duration::from_nanos(wait_ns)).await;
    }
    interrupted.disarm();
}

/// Logs how a request ended.
fn tell(iteration: &Iteration<'_>, step: usize, answered: &Answered, failure: Option<Failure>) {
    let step = &iteration.step(step).name;
    let status = answered.status;
    let Some(failure) = failure else {
        trace!(%step, status, "answered");
        return;
    };
    let error = answered
        .error
        .as_ref()
        .map(|error| error as &(dyn Error + 'static));
    debug!(%step, status, failure = failure.name(), error, "not as the flow expects");
}

/// A request on its way. Dropped before its end, because its task was aborted, it records itself
/// as interrupted: no request that was sent is missing from the ledger.
struct InFlight<'w> {
    context: &'w Context,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    /// Taken when the request ends.
    record: Option<RequestRecord>,
}

impl<'w> InFlight<'w> {
    fn begin(
        context: &'w Context,
        scenario: usize,
        iteration: u64,
        flow: usize,
        step: usize,
        due: Instant,
        request: &Request<'_>,
    ) -> Self {
        let clock = context.shared.clock;
        let mut trace_id = [0; 16];
        let mut span_id = [0; 8];
        let mut ids = context.ids.borrow_mut();
        ids.fill_bytes(&mut trace_id);
        ids.fill_bytes(&mut span_id);
        // All zeros is no valid id in W3C Trace Context.
        trace_id[0] |= u8::from(trace_id == [0; 16]);
        span_id[0] |= u8::from(span_id == [0; 8]);
        context.shared.scenarios[scenario]
            .counters
            .sent
            .fetch_add(1, Relaxed);
        context.in_flight[scenario].update(|n| n + 1);
        let sent_ns = clock.now_ns();
        let record = RequestRecord {
            trace_id,
            span_id,
            // A plan's lists are far below 65,536; the ledger checks when it is created.
            scenario: scenario as u16,
            flow: flow as u16,
            step: step as u16,
            iteration,
            intended_ns: clock.unix_ns(due),
            sent_ns,
            finished_ns: sent_ns,
            status: None,
            failure: None,
            path: request.path.as_ref().into(),
        };
        Self {
            context,
            trace_id,
            span_id,
            record: Some(record),
        }
    }

    fn end(mut self, finished: Instant, status: Option<u16>, failure: Option<Failure>) {
        self.close(self.context.shared.clock.unix_ns(finished), status, failure);
    }

    fn close(&mut self, finished_ns: i64, status: Option<u16>, failure: Option<Failure>) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        record.finished_ns = finished_ns;
        record.status = status;
        record.failure = failure;
        let scenario = usize::from(record.scenario);
        let counters = &self.context.shared.scenarios[scenario].counters;
        counters.completed.fetch_add(1, Relaxed);
        if failure.is_some() {
            counters.failed.fetch_add(1, Relaxed);
        }
        counters.last_completed_ns.fetch_max(finished_ns, Relaxed);
        self.context.in_flight[scenario].update(|n| n - 1);
        self.context.record(record);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.close(
            self.context.shared.clock.now_ns(),
            None,
            Some(Failure::Interrupted),
        );
    }
}

/// Counts an iteration that did not come to its end.
struct InterruptedIteration<'c>(Option<&'c std::sync::atomic::AtomicU64>);

impl InterruptedIteration<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for InterruptedIteration<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_add(1, Relaxed);
        }
    }
}
