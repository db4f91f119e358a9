//! A worker: one thread with an event loop of its own that runs its share of every scenario.

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinSet, spawn_local};

use crate::context::{Context, Progress};
use crate::executor;

/// How often a worker hands over what it recorded. Bounds what a kill can lose.
const HAND_OVER: Duration = Duration::from_millis(250);

/// Runs a worker on this thread until its share of every scenario has drained.
pub(crate) fn run(
    context: impl FnOnce() -> Context,
    progress: UnboundedSender<Progress>,
) -> std::io::Result<()> {
    let notice = DeathNotice::new(&progress);
    let runtime = Builder::new_current_thread()
        .enable_all()
        // Look for I/O and timers more often than by default: sends are due to the tenth of a ms.
        .event_interval(16)
        .build_local(LocalOptions::default())?;
    runtime.block_on(work(context(), progress));
    notice.take_back();
    Ok(())
}

/// The work of a worker, on the local tasks of whoever calls it.
pub(crate) async fn work(context: Context, progress: UnboundedSender<Progress>) {
    let context = Rc::new(context);
    let recorder = spawn_local({
        let context = context.clone();
        async move {
            let mut tick = tokio::time::interval(HAND_OVER);
            loop {
                tick.tick().await;
                context.hand_over();
            }
        }
    });
    let planned = context.shared.plan.scenarios.iter().enumerate();
    let sending = planned.filter(|(_, planned)| planned.executor.sends());
    let scenarios: Vec<usize> = sending.map(|(scenario, _)| scenario).collect();
    let mut running = JoinSet::new();
    for scenario in scenarios {
        let (context, progress) = (context.clone(), progress.clone());
        running.spawn_local(async move {
            executor::run(&context, scenario, |report| {
                let _ = progress.send(report);
            })
            .await;
        });
    }
    // A panic in a scenario's task must not pass for a scenario that has drained.
    executor::drained(&mut running).await;
    recorder.abort();
    context.hand_over_the_rest();
}

/// Tells the conductor when a worker ends by an error or a panic: the others would go on with a
/// part of the load.
pub(crate) struct DeathNotice(Option<UnboundedSender<Progress>>);

impl DeathNotice {
    pub(crate) fn new(progress: &UnboundedSender<Progress>) -> Self {
        Self(Some(progress.clone()))
    }

    pub(crate) fn take_back(mut self) {
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
