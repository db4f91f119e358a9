//! Faults that come and go: something is bad for a share of each round, and good for the rest.

use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// Length of one round. It varies, so that metrics which are read at equal intervals do not always
/// fall into the same part of a round.
pub(crate) const ROUND_MS: std::ops::Range<u64> = 300..500;
/// From this share on nothing is good in between.
const FOR_GOOD: f64 = 0.995;

/// What is bad for a while.
pub(crate) trait Spell: Send + Sync + 'static {
    /// What it takes to make it good again.
    type Held: Send;

    /// Makes it bad.
    fn begin(&self) -> impl Future<Output = Self::Held> + Send;

    /// Makes it good.
    fn end(&self, held: Self::Held) -> impl Future<Output = ()> + Send;
}

/// A fault that comes in rounds, while it is on.
#[derive(Debug, Default)]
pub(crate) struct InRounds(Mutex<Option<Rounds>>);

impl InRounds {
    /// Begins the fault, or changes its share (0 to 1) of the time. Returns when it is bad for the
    /// first time under that share.
    pub(crate) async fn on(&self, spell: impl Spell, share: f64) {
        let mut rounds = self.0.lock().await;
        match rounds.as_ref() {
            Some(rounds) => rounds.set(share).await,
            None => *rounds = Some(Rounds::start(spell, share).await),
        }
    }

    /// Ends the fault.
    pub(crate) async fn off(&self) {
        let rounds = self.0.lock().await.take();
        if let Some(rounds) = rounds {
            rounds.stop().await;
        }
    }
}

/// A task that goes through the rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    share: watch::Sender<f64>,
    rounds: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Rounds {
    /// Starts; returns when it is bad for the first time.
    pub(crate) async fn start(spell: impl Spell, share: f64) -> Self {
        let (sender, receiver) = watch::channel(share);
        let (begun, mut rounds) = watch::channel(0);
        let task = tokio::spawn(go_through(spell, receiver, begun));
        wait_for_round(&mut rounds).await;
        Rounds {
            share: sender,
            rounds,
            task,
        }
    }

    /// Changes the share; returns when it is bad under the new one.
    pub(crate) async fn set(&self, share: f64) {
        let mut rounds = self.rounds.clone();
        rounds.mark_unchanged();
        self.share.send_replace(share);
        wait_for_round(&mut rounds).await;
    }

    /// Makes everything good and ends.
    pub(crate) async fn stop(self) {
        drop(self.share);
        let _ = self.task.await;
    }
}

async fn wait_for_round(rounds: &mut watch::Receiver<u64>) {
    // An error means that the task is gone, and there is nothing to be waited for.
    let _ = rounds.changed().await;
}

/// How a pause came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    Over,
    ShareChanged,
    Stopped,
}

async fn pause(share: &mut watch::Receiver<f64>, time: Duration) -> Pause {
    tokio::select! {
        () = tokio::time::sleep(time) => Pause::Over,
        changed = share.changed() => match changed {
            Ok(()) => Pause::ShareChanged,
            Err(_) => Pause::Stopped,
        },
    }
}

async fn go_through(spell: impl Spell, mut share: watch::Receiver<f64>, begun: watch::Sender<u64>) {
    loop {
        let now = *share.borrow_and_update();
        let round = Duration::from_millis(rand::random_range(ROUND_MS));
        let bad = match now {
            now if now >= FOR_GOOD => Duration::MAX,
            now => round.mul_f64(now),
        };
        let held = spell.begin().await;
        begun.send_modify(|round| *round += 1);
        let mut ended = pause(&mut share, bad).await;
        spell.end(held).await;
        if ended == Pause::Over {
            ended = pause(&mut share, round.mul_f64(1.0 - now)).await;
        }
        if ended == Pause::Stopped {
            return;
        }
    }
}
