//! A worker: one thread with an event loop of its own that runs its share of every scenario.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::LocalSet;

use crate::context::{Context, Progress};
use crate::event::Event;
use crate::executor;
use crate::shared::Shared;

/// How often a worker hands over what it recorded. Bounds what a kill can lose.
const HAND_OVER: Duration = Duration::from_millis(250);

/// Runs a worker until its share of every scenario has drained.
pub(crate) fn run(
    shared: Arc<Shared>,
    index: usize,
    clients: Vec<reqwest::Client>,
    authorization: Option<HeaderValue>,
    events: SyncSender<Event>,
    progress: UnboundedSender<Progress>,
) -> std::io::Result<()> {
    let notice = DeathNotice(Some(progress.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Look for I/O and timers more often than by default: sends are due to the tenth of a ms.
        .event_interval(16)
        .build()?;
    let scenarios = shared.plan.scenarios.len();
    let context = Rc::new(Context::new(shared, index, clients, authorization, events));
    LocalSet::new().block_on(&runtime, async {
        let recorder = tokio::task::spawn_local({
            let context = context.clone();
            async move {
                let mut tick = tokio::time::interval(HAND_OVER);
                loop {
                    tick.tick().await;
                    context.hand_over();
                }
            }
        });
        let running: Vec<_> = (0..scenarios)
            .map(|scenario| {
                let context = context.clone();
                let progress = progress.clone();
                tokio::task::spawn_local(async move {
                    executor::run(&context, scenario, |report| {
                        let _ = progress.send(report);
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
        context.hand_over_the_rest();
    });
    notice.take_back();
    Ok(())
}

/// Tells the conductor when a worker ends by an error or a panic: the others would go on with a
/// part of the load.
struct DeathNotice(Option<UnboundedSender<Progress>>);

impl DeathNotice {
    fn take_back(mut self) {
        self.0 = None;
    }
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        if let Some(progress) = &self.0 {
            let _ = progress.send(Progress::Died);
        }
    }
}
