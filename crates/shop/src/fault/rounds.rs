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

/// What share of each round is bad, and how often that was changed.
#[derive(Debug, Clone, Copy)]
struct Share {
    change: u64,
    share: f64,
}

/// A task that goes through the rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    share: watch::Sender<Share>,
    /// The change under which the last round began.
    begun: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Rounds {
    /// Starts; returns when it is bad for the first time.
    pub(crate) async fn start(spell: impl Spell, share: f64) -> Self {
        let (sender, receiver) = watch::channel(Share { change: 1, share });
        let (begin, begun) = watch::channel(0);
        let task = tokio::spawn(go_through(spell, receiver, begin));
        let rounds = Rounds {
            share: sender,
            begun,
            task,
        };
        rounds.wait_for(1).await;
        rounds
    }

    /// Changes the share; returns when it is bad under the new one.
    pub(crate) async fn set(&self, share: f64) {
        let mut change = 0;
        self.share.send_modify(|now| {
            change = now.change + 1;
            *now = Share { change, share };
        });
        self.wait_for(change).await;
    }

    /// Waits for a round under this change: one that begins just now may be of the share before.
    async fn wait_for(&self, change: u64) {
        // An error means that the task is gone, and there is nothing to be waited for.
        let _ = self.begun.clone().wait_for(|begun| *begun >= change).await;
    }

    /// Makes everything good and ends.
    pub(crate) async fn stop(self) {
        drop(self.share);
        let _ = self.task.await;
    }
}

/// How a pause came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    Over,
    ShareChanged,
    Stopped,
}

async fn pause(share: &mut watch::Receiver<Share>, time: Duration) -> Pause {
    tokio::select! {
        () = tokio::time::sleep(time) => Pause::Over,
        changed = share.changed() => match changed {
            Ok(()) => Pause::ShareChanged,
            Err(_) => Pause::Stopped,
        },
    }
}

async fn go_through(
    spell: impl Spell,
    mut shares: watch::Receiver<Share>,
    begun: watch::Sender<u64>,
) {
    loop {
        let Share { change, share } = *shares.borrow_and_update();
        let round = Duration::from_millis(rand::random_range(ROUND_MS));
        let bad = match share {
            share if share >= FOR_GOOD => Duration::MAX,
            share => round.mul_f64(share),
        };
        let held = spell.begin().await;
        begun.send_replace(change);
        let mut ended = pause(&mut shares, bad).await;
        spell.end(held).await;
        if ended == Pause::Over {
            ended = pause(&mut shares, round.mul_f64(1.0 - share)).await;
        }
        if ended == Pause::Stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Takes 100 ms to become bad.
    struct Slow(Arc<AtomicBool>);

    impl Spell for Slow {
        type Held = ();

        async fn begin(&self) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.0.store(true, Ordering::Relaxed);
        }

        async fn end(&self, (): ()) {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_that_changes_while_a_round_begins_is_waited_for() {
        let bad = Arc::new(AtomicBool::new(false));
        let rounds = Rounds::start(Slow(bad.clone()), 0.5).await;
        // The second change comes while a round of the first one begins.
        tokio::join!(rounds.set(0.5), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            rounds.set(1.0).await;
        });
        for _ in 0..1000 {
            assert!(bad.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rounds.stop().await;
        assert!(!bad.load(Ordering::Relaxed));
    }
}
