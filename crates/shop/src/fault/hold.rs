//! Pool exhaustion: all connections are held by open transactions, again and again.
//!
//! Holding only some of them would strike nothing: the few that are left answer thousands of short
//! queries a second. So all are held, for the share of the time that the intensity says, and given
//! back in between.

use deadpool_sqlite::{Object, Pool};
use tokio::task::JoinSet;

use super::rounds::Spell;

/// A pool without a free connection.
pub(crate) struct FullPool(pub(crate) Pool);

impl Spell for FullPool {
    type Held = Vec<Object>;

    async fn begin(&self) -> Vec<Object> {
        hold_all(&self.0).await
    }

    async fn end(&self, connections: Vec<Object>) {
        give_back(connections).await;
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
    use crate::fault::rounds::{ROUND_MS, Rounds};
    use crate::store::{POOL_SIZE, WAIT_LIMIT};
    use deadpool_sqlite::{Config, Runtime};
    use std::time::Duration;
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
        let hold = Rounds::start(FullPool(pool), 0.5).await;
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
