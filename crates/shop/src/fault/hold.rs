//! Pool exhaustion: all connections are held by open transactions, again and again.
//!
//! Holding only some of them would strike nothing: the few that are left answer thousands of short
//! queries a second. So all are held, for the share of the time that the intensity says, and given
//! back in between.

use std::time::Duration;

use deadpool_sqlite::{Object, Pool};
use tokio::sync::{oneshot, watch};
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
    task: JoinHandle<()>,
}

impl Hold {
    /// Starts holding for `share` (0 to 1) of the time; returns when all connections are held for
    /// the first time.
    pub(crate) async fn start(pool: Pool, share: f64) -> Self {
        let (sender, receiver) = watch::channel(share);
        let (held, first) = oneshot::channel();
        let task = tokio::spawn(hold_in_rounds(pool, receiver, held));
        // An error means that the task ended, which leaves nothing held: the caller's check of
        // the effect is the data.
        let _ = first.await;
        Hold {
            share: sender,
            task,
        }
    }

    /// Changes the share.
    pub(crate) fn set(&self, share: f64) {
        self.share.send_replace(share);
    }

    /// Gives everything back and ends.
    pub(crate) async fn stop(self) {
        drop(self.share);
        let _ = self.task.await;
    }
}

async fn hold_in_rounds(pool: Pool, mut share: watch::Receiver<f64>, held: oneshot::Sender<()>) {
    let mut held = Some(held);
    loop {
        let now = *share.borrow_and_update();
        let round = Duration::from_millis(rand::random_range(ROUND_MS));
        let connections = hold_all(&pool).await;
        if let Some(held) = held.take() {
            let _ = held.send(());
        }
        let ended = if now >= FOR_GOOD {
            share.changed().await.is_err()
        } else {
            pause(&mut share, round.mul_f64(now)).await
        };
        give_back(connections).await;
        if ended || pause(&mut share, round.mul_f64(1.0 - now)).await {
            return;
        }
    }
}

/// Waits; true when the holding is to end.
async fn pause(share: &mut watch::Receiver<f64>, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => share.has_changed().is_err(),
        changed = share.changed() => changed.is_err(),
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
