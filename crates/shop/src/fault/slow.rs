//! Slow queries: each statement is preceded by scans of a table without an index, as if the
//! statement had lost its own.
//!
//! The work is real, so machines would differ in it; it is measured when the fault begins and
//! scaled to a time. Scans run one after the other, as on a database host with a single core:
//! queries queue up there, and the rest of the machine stays usable.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Work before a statement at intensity 1.
const FULL: Duration = Duration::from_millis(25);
/// Rows of the table that is scanned.
const ROWS: u32 = 2_000;
/// Scans for a measurement.
const PROBE_SCANS: i64 = 4;

/// Makes and fills the table that is scanned.
pub(crate) fn create_table(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE audit (id INTEGER PRIMARY KEY, note TEXT NOT NULL);
         INSERT INTO audit (note)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         SELECT printf('entry %d of the stock ledger, checked by clerk %d', i, i * 7919 % 97)
         FROM n;"
    ))
}

/// How many scans precede a statement; 0 is none.
#[derive(Debug, Default)]
pub(crate) struct SlowQueries {
    scans: AtomicI64,
    one_at_a_time: Mutex<()>,
}

impl SlowQueries {
    /// Measures the machine and sets the work for an intensity.
    pub(crate) fn begin(&self, connection: &Connection, intensity: f64) -> rusqlite::Result<()> {
        // The least of several: whatever else runs on the machine only adds.
        let mut least = Duration::MAX;
        for _ in 0..5 {
            let since = Instant::now();
            scan(connection, PROBE_SCANS)?;
            least = least.min(since.elapsed());
        }
        self.scans
            .store(scans_for(FULL.mul_f64(intensity), least), Ordering::Relaxed);
        Ok(())
    }

    /// No work any more.
    pub(crate) fn end(&self) {
        self.scans.store(0, Ordering::Relaxed);
    }

    /// Does the work that is due before a statement; says how long that took, with the wait for its
    /// turn, where there was any.
    pub(crate) fn strike(&self, connection: &Connection) -> rusqlite::Result<Option<Duration>> {
        if self.scans.load(Ordering::Relaxed) == 0 {
            return Ok(None);
        }
        let since = Instant::now();
        let _turn = self
            .one_at_a_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Read again: the fault may have ended while this one waited.
        match self.scans.load(Ordering::Relaxed) {
            0 => {}
            scans => scan(connection, scans)?,
        }
        Ok(Some(since.elapsed()))
    }
}

/// Scans that take `time` where [`PROBE_SCANS`] took `probe`.
fn scans_for(time: Duration, probe: Duration) -> i64 {
    let each = probe.as_secs_f64().max(1e-9) / PROBE_SCANS as f64;
    ((time.as_secs_f64() / each).round() as i64).max(1)
}

fn scan(connection: &Connection, scans: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE pass(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM pass WHERE i < ?1)
         SELECT count(*) FROM pass CROSS JOIN audit WHERE note LIKE '%clerk ' || (pass.i % 97)",
    )?;
    statement
        .query_row([scans], |row| row.get::<_, i64>(0))
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn work_is_proportional(ms in 1_u64..1_000, probe_us in 50_u64..50_000) {
            let time = Duration::from_millis(ms);
            let probe = Duration::from_micros(probe_us);
            let scans = scans_for(time, probe);
            let takes = probe.as_secs_f64() / PROBE_SCANS as f64 * scans as f64;
            // Right to half a scan, and never without any.
            let half = probe.as_secs_f64() / PROBE_SCANS as f64 / 2.0;
            prop_assert!(scans >= 1);
            prop_assert!(scans == 1 || (takes - time.as_secs_f64()).abs() <= half * 1.001);
        }
    }

    #[test]
    fn a_fault_works_on_real_rows_and_ends() {
        let connection = Connection::open_in_memory().expect("memory");
        create_table(&connection).expect("a new database");
        let slow = SlowQueries::default();
        slow.begin(&connection, 0.5).expect("the table is there");
        assert!(slow.scans.load(Ordering::Relaxed) >= 1);
        slow.strike(&connection).expect("the table is there");
        slow.end();
        connection
            .execute_batch("DROP TABLE audit")
            .expect("it was there");
        slow.strike(&connection)
            .expect("nothing is scanned any more");
    }
}
