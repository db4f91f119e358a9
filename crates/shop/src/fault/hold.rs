//! Pool exhaustion: all connections are held by open transactions, again and again.
//!
//! Holding only some of them would strike nothing: the few that are left answer thousands of short
//! queries a second. So all are held, for the share of the time that the intensity says, and given
//! back in between.

use std::time::Duration;

use deadpool_sqlite::{Object, Pool};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Length of one round of holding and giving back. It varies, so that metrics which are read at
/// equal intervals do not always fall into the same part of a round.
const ROUND_MS: std::ops::Range<u64> = 300..500;
/// From this share on nothing is given back, so that requests wait until they give up.
const FOR_GOOD: f64 = 0.995;

/// A task that holds the pool's connections.
#[derive(Debug)]
pub(crate) struct Hold {
    share: watch::Sender<f64>,
    rounds: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Hold {
    /// Starts holding for `share` (0 to 1) of the time; returns when all connections are held for
    /// the first time.
    pub(crate) async fn start(pool: Pool, share: f64) -> Self {
        let (sender, receiver) = watch::channel(share);
        let (held, mut rounds) = watch::channel(0);
        let task = tokio::spawn(hold_in_rounds(pool, receiver, held));
        wait_for_round(&mut rounds).await;
        Hold {
            share: sender,
            rounds,
            task,
        }
    }

    /// Changes the share; returns when all connections are held under the new one.
    pub(crate) async fn set(&self, share: f64) {
        let mut rounds = self.rounds.clone();
        rounds.mark_unchanged();
        self.share.send_replace(share);
        wait_for_round(&mut rounds).await;
    }

    /// Gives everything back and ends.
    pub(crate) async fn stop(self) {
        drop(self.share);
        let _ = self.task.await;
    }
}

async fn wait_for_round(rounds: &mut watch::Receiver<u64>) {
    // An error means that the task is gone, and nothing is held that should be waited for.
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

async fn hold_in_rounds(pool: Pool, mut share: watch::Receiver<f64>, held: watch::Sender<u64>) {
    loop {
        let now = *share.borrow_and_update();
        let round = Duration::from_millis(rand::random_range(ROUND_MS));
        let holding = match now {
            now if now >= FOR_GOOD => Duration::MAX,
            now => round.mul_f64(now),
        };
        let connections = hold_all(&pool).await;
        held.send_modify(|round| *round += 1);
        let mut ended = pause(&mut share, holding).await;
        give_back(connections).await;
        if ended == Pause::Over {
            ended = pause(&mut share, round.mul_f64(1.0 - now)).await;
        }
        if ended == Pause::Stopped {
            return;
        }
    }
}

/// Takes every connection, in turn with the requests that wait, and opens a transaction on each.
async fn hold_all(pool: &Pool) -> Vec<Object> {
    let mut connections = Vec::new();
    for _ in 0..pool.status().max_size {
        // A connection that cannot be had in time is in use by a request: just as exhausted.
        let Ok(connection) = pool.get().await else {
            continue;
        };
        let opened = connection
            .interact(|c| {
                c.execute_batch("BEGIN")?;
                c.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0))
            })
            .await;
        if matches!(opened, Ok(Ok(_))) {
            connections.push(connection);
        }
    }
    connections
}

async fn give_back(connections: Vec<Object>) {
    for connection in connections {
        let ended = connection.interact(|c| c.execute_batch("ROLLBACK")).await;
        if !matches!(ended, Ok(Ok(()))) {
            // Not fit for the pool any more: close it, the pool will open another one.
            drop(Object::take(connection));
        }
    }
}
