//! Pool exhaustion: all connections are held by open transactions, again and again.
//!
//! Holding only some of them would strike nothing: the few that are left answer thousands of short
//! queries a second. So all are held, for the share of the time that the intensity says, and given
//! back in between.

use std::time::Duration;

use deadpool_sqlite::{Object, Pool};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

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
///
/// All at once, so that it takes no longer than one request may wait: who changes the fault or takes
/// it off waits for this.
async fn hold_all(pool: &Pool) -> Vec<Object> {
    let mut taking = JoinSet::new();
    for _ in 0..pool.status().max_size {
        let pool = pool.clone();
        taking.spawn(async move { hold_one(&pool).await });
    }
    taking.join_all().await.into_iter().flatten().collect()
}

async fn hold_one(pool: &Pool) -> Option<Object> {
    // A connection that cannot be had in time is in use by a request: just as exhausted.
    let connection = pool.get().await.ok()?;
    let opened = connection
        .interact(|c| {
            c.execute_batch("BEGIN")?;
            c.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0))
        })
        .await;
    if matches!(opened, Ok(Ok(_))) {
        return Some(connection);
    }
    // It may be inside of a transaction.
    drop(Object::take(connection));
    None
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::CHANGE_LIMIT;
    use crate::store::{POOL_SIZE, WAIT_LIMIT};
    use deadpool_sqlite::{Config, Runtime};
    use tokio::time::Instant;

    // The clock is tokio's, which stands still but for those who wait for it.
    #[tokio::test(start_paused = true)]
    async fn every_change_is_done_in_time_although_requests_have_all_connections() {
        let folder = tempfile::tempdir().expect("a folder");
        let pool = Config::new(folder.path().join("busy.db"))
            .builder(Runtime::Tokio1)
            .expect("a configuration")
            .max_size(POOL_SIZE)
            .wait_timeout(Some(WAIT_LIMIT))
            .build()
            .expect("a pool");
        let mut busy = Vec::new();
        for _ in 0..POOL_SIZE {
            busy.push(pool.get().await.expect("a connection"));
        }
        let since = Instant::now();
        let hold = Hold::start(pool, 0.5).await;
        assert!(since.elapsed() < CHANGE_LIMIT, "{:?}", since.elapsed());
        // Into the middle of a later round's taking.
        tokio::time::sleep(Duration::from_millis(ROUND_MS.end + 50)).await;
        let since = Instant::now();
        hold.set(0.6).await;
        assert!(since.elapsed() < CHANGE_LIMIT, "{:?}", since.elapsed());
        tokio::time::sleep(Duration::from_millis(ROUND_MS.end + 50)).await;
        let since = Instant::now();
        hold.stop().await;
        assert!(since.elapsed() < CHANGE_LIMIT, "{:?}", since.elapsed());
    }
}
