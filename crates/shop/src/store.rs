//! A service's SQLite database behind a bounded pool of connections, with a client span and a
//! duration for each statement.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use deadpool_sqlite::{Config, Hook, HookError, Object, Pool, PoolError, Runtime};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::{attribute as semconv, metric};
use rusqlite::{Connection, OpenFlags, Params, Row, Transaction, TransactionBehavior};

use crate::error::ShopError;
use crate::fault::hold::FullPool;
use crate::fault::limits::NoDescriptors;
use crate::fault::rounds::InRounds;
use crate::fault::slow::{self, SlowQueries};
use crate::record::{Effect, Record};
use crate::telemetry::{Telemetry, has_bugs};
use loadgen_shop_api::{Service, ShopFault};

/// Connections of a pool.
pub(crate) const POOL_SIZE: usize = 8;
/// How long a request waits for a connection before it is answered 503.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(1);
/// How often a new release with a bug repeats each SELECT.
const REPEATS: usize = 10;
/// A wait longer than this gets a span of its own.
const NOTABLE_WAIT: Duration = Duration::from_millis(1);

/// What is set on each new connection.
const SETUP: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
    PRAGMA busy_timeout = 2000; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024;";

/// Why a statement has no result.
#[derive(Debug)]
pub(crate) enum DbError {
    /// No connection became free in time.
    PoolTimeout(Service),
    /// The pool cannot give a connection at all.
    Pool(String),
    /// The database cannot be opened.
    Refused(String),
    /// SQLite says no.
    Statement(rusqlite::Error),
    /// The statement's thread was lost.
    Lost,
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DbError::PoolTimeout(service) => write!(
                f,
                "{service}: no database connection within {} ms",
                WAIT_LIMIT.as_millis()
            ),
            DbError::Pool(reason) => write!(f, "database pool: {reason}"),
            DbError::Refused(reason) => write!(f, "database unavailable: {reason}"),
            DbError::Statement(error) => write!(f, "database: {error}"),
            DbError::Lost => f.write_str("database: the statement was abandoned"),
        }
    }
}

/// A statement and what its span says of it.
pub(crate) struct Statement {
    /// `SELECT`, `INSERT` and so on.
    pub(crate) operation: &'static str,
    /// The table.
    pub(crate) collection: &'static str,
    /// SQL.
    pub(crate) text: &'static str,
}

/// A pool and what belongs to it. Clones share it.
#[derive(Clone)]
pub(crate) struct Database {
    pool: Pool,
    path: PathBuf,
    telemetry: Arc<Telemetry>,
    slow: Arc<SlowQueries>,
    hold: Arc<InRounds>,
    leak: Arc<InRounds>,
}

impl Database {
    /// Makes the file `<service>.db`, runs `schema` on it once, and opens all connections.
    pub(crate) async fn create(
        telemetry: Arc<Telemetry>,
        data_dir: &Path,
        schema: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<Self, ShopError> {
        let service = telemetry.service;
        let path = data_dir.join(format!("{service}.db"));
        let failed = |reason: String| ShopError::Database {
            service,
            path: path.clone(),
            reason,
        };
        let pool = Config::new(&path)
            .builder(Runtime::Tokio1)
            .map_err(|e| failed(e.to_string()))?
            .max_size(POOL_SIZE)
            .wait_timeout(Some(WAIT_LIMIT))
            .post_create(Hook::async_fn(|connection, _| {
                Box::pin(async move {
                    let set = connection.interact(|c| c.execute_batch(SETUP));
                    match set.await {
                        Ok(Ok(())) => Ok(()),
                        Ok(Err(error)) => Err(HookError::Backend(error)),
                        Err(error) => Err(HookError::message(error.to_string())),
                    }
                })
            }))
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let first = pool.get().await.map_err(|e| failed(e.to_string()))?;
        let made = first.interact(move |connection| {
            let known: i64 =
                connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
            if known > 0 {
                // The folder was used before: go on with what is there.
                return Ok(());
            }
            let transaction = connection.transaction()?;
            slow::create_table(&transaction)?;
            schema(&transaction)?;
            transaction.commit()
        });
        match made.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(error) => return Err(failed(error.to_string())),
        }
        let mut warm = vec![first];
        while warm.len() < POOL_SIZE {
            warm.push(pool.get().await.map_err(|e| failed(e.to_string()))?);
        }
        drop(warm);
        let database = Database {
            pool,
            path,
            telemetry,
            slow: Arc::default(),
            hold: Arc::default(),
            leak: Arc::default(),
        };
        database.observe();
        Ok(database)
    }

    /// Runs statements on one connection.
    pub(crate) async fn run<T, F>(&self, cx: &Context, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let connection = self.connection(cx).await?;
        let (context, database) = (cx.clone(), self.clone());
        let done = connection.interact(move |connection| {
            work(&Session {
                connection,
                context,
                database: &database,
            })
        });
        match done.await {
            Ok(result) => result.map_err(DbError::Statement),
            Err(_) => Err(DbError::Lost),
        }
    }

    async fn connection(&self, cx: &Context) -> Result<Object, DbError> {
        let (since, started) = (Instant::now(), SystemTime::now());
        let got = self.pool.get().await;
        let waited = since.elapsed();
        let instruments = &self.telemetry.instruments;
        let pool = [KeyValue::new(
            semconv::DB_CLIENT_CONNECTION_POOL_NAME,
            self.name(),
        )];
        instruments.db_wait.record(waited.as_secs_f64(), &pool);
        let error = match &got {
            Ok(_) => None,
            Err(PoolError::Timeout(_)) => {
                instruments.db_timeouts.add(1, &pool);
                Some(DbError::PoolTimeout(self.telemetry.service))
            }
            Err(PoolError::Backend(error)) => Some(DbError::Pool(without_path(error))),
            Err(error) => Some(DbError::Pool(error.to_string())),
        };
        if waited >= NOTABLE_WAIT || error.is_some() {
            let span = self.telemetry.start_at(
                cx,
                SpanKind::Internal,
                "db.client.connection.wait",
                pool.to_vec(),
                started,
            );
            if let Some(error) = &error {
                span.fail("pool_timeout", error.to_string());
            }
            span.end();
        }
        self.record_wait(cx, since, error.is_some());
        match (got, error) {
            (Ok(connection), _) => Ok(connection),
            (Err(error), None) => Err(DbError::Pool(error.to_string())),
            (Err(_), Some(error)) => Err(error),
        }
    }

    /// What a wait for a connection has to do with faults.
    fn record_wait(&self, cx: &Context, since: Instant, failed: bool) {
        let record = &self.telemetry.record;
        let waited = since.elapsed();
        let effect = match failed {
            true => Effect::Failed,
            false => Effect::Delayed,
        };
        // Where statements are slow, their connections are in use for longer.
        let faults = [
            ShopFault::PoolExhaustion,
            ShopFault::FdExhaustion,
            ShopFault::SlowQuery,
        ];
        for fault in faults {
            if (failed || waited >= NOTABLE_WAIT) && record.was_on(fault, since) {
                record.touch(fault, effect, cx, Some(waited));
            }
        }
    }

    /// Tries to open the database where there is none, as after the loss of its volume, and
    /// returns SQLite's own error.
    pub(crate) async fn refused(&self, cx: &Context) -> Option<DbError> {
        let lost = self.path.with_extension("lost").join("volume.db");
        let span = self.telemetry.start(
            cx,
            SpanKind::Client,
            format!("CONNECT {}", self.name()),
            vec![
                KeyValue::new(semconv::DB_SYSTEM_NAME, "sqlite"),
                KeyValue::new(semconv::DB_NAMESPACE, self.name()),
                KeyValue::new(semconv::DB_OPERATION_NAME, "CONNECT"),
            ],
        );
        let opened = tokio::task::spawn_blocking(move || {
            Connection::open_with_flags(lost, OpenFlags::SQLITE_OPEN_READ_ONLY).map(drop)
        });
        let error = match opened.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                fail(&span, &error);
                Some(DbError::Refused(without_path(&error)))
            }
            Err(_) => Some(DbError::Lost),
        };
        span.end();
        error
    }

    /// Closes the connections that are not in use: others are opened where they are needed.
    pub(crate) fn close_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Begins the slow query fault.
    pub(crate) async fn slow_down(&self, intensity: f64) -> Result<(), DbError> {
        // On a connection of its own: the pool's may all be in use.
        let (path, slow) = (self.path.clone(), Arc::clone(&self.slow));
        let measured =
            tokio::task::spawn_blocking(move || slow.begin(&Connection::open(path)?, intensity));
        match measured.await {
            Ok(result) => result.map_err(DbError::Statement),
            Err(_) => Err(DbError::Lost),
        }
    }

    /// Ends the slow query fault.
    pub(crate) fn speed_up(&self) {
        self.slow.end();
    }

    /// Begins the pool exhaustion fault.
    pub(crate) async fn hold(&self, share: f64) {
        self.hold.on(FullPool(self.pool.clone()), share).await;
    }

    /// Ends the pool exhaustion fault.
    pub(crate) async fn release(&self) {
        self.hold.off().await;
    }

    /// Begins the fault that uses up file descriptors.
    pub(crate) async fn leak(&self, share: f64) {
        self.leak.on(NoDescriptors(self.pool.clone()), share).await;
    }

    /// Ends the fault that uses up file descriptors.
    pub(crate) async fn stop_leak(&self) {
        self.leak.off().await;
    }

    /// Puts right what a fault has left in the database. Leaves no spans.
    pub(crate) async fn mend(&self, sql: &'static str) -> Result<(), DbError> {
        // On a connection of its own: the pool's may all be in use.
        let path = self.path.clone();
        let mended =
            tokio::task::spawn_blocking(move || Connection::open(path)?.execute_batch(sql));
        match mended.await {
            Ok(result) => result.map_err(DbError::Statement),
            Err(_) => Err(DbError::Lost),
        }
    }

    fn name(&self) -> &'static str {
        self.telemetry.service.as_str()
    }

    fn observe(&self) {
        let meter = &self.telemetry.instruments.meter;
        let name = KeyValue::new(semconv::DB_CLIENT_CONNECTION_POOL_NAME, self.name());
        let used = [
            name.clone(),
            KeyValue::new(semconv::DB_CLIENT_CONNECTION_STATE, "used"),
        ];
        let idle = [
            name.clone(),
            KeyValue::new(semconv::DB_CLIENT_CONNECTION_STATE, "idle"),
        ];
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let pool = self.pool.clone();
        let _connections = meter
            .i64_observable_up_down_counter(metric::DB_CLIENT_CONNECTION_COUNT)
            .with_unit("{connection}")
            .with_description("Connections of the pool by state.")
            .with_callback(move |observer| {
                let status = pool.status();
                observer.observe(count(status.size.saturating_sub(status.available)), &used);
                observer.observe(count(status.available), &idle);
            })
            .build();
        let (pool, attributes) = (self.pool.clone(), [name.clone()]);
        let _pending = meter
            .i64_observable_up_down_counter(metric::DB_CLIENT_CONNECTION_PENDING_REQUESTS)
            .with_unit("{request}")
            .with_description("Requests that wait for a connection.")
            .with_callback(move |o| o.observe(count(pool.status().waiting), &attributes))
            .build();
        let (pool, attributes) = (self.pool.clone(), [name]);
        let _max = meter
            .i64_observable_up_down_counter(metric::DB_CLIENT_CONNECTION_MAX)
            .with_unit("{connection}")
            .with_description("Connections that the pool may have.")
            .with_callback(move |o| o.observe(count(pool.status().max_size), &attributes))
            .build();
    }
}

/// What SQLite says, without the path of the file, which is of no use to a caller.
fn without_path(error: &rusqlite::Error) -> String {
    error.sqlite_error().map_or_else(
        || error.to_string(),
        |e| rusqlite::ffi::code_to_str(e.extended_code).to_owned(),
    )
}

/// One connection, for the length of a piece of work on it.
pub(crate) struct Session<'a> {
    connection: &'a Connection,
    context: Context,
    database: &'a Database,
}

impl Session<'_> {
    /// All rows.
    pub(crate) fn rows<T>(
        &self,
        statement: &'static Statement,
        params: impl Params + Clone,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.repeat(statement, &params)?;
        self.traced(statement, || {
            self.connection
                .prepare_cached(statement.text)?
                .query_map(params, read)?
                .collect()
        })
    }

    /// The first row, where there is one.
    pub(crate) fn row<T>(
        &self,
        statement: &'static Statement,
        params: impl Params + Clone,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.repeat(statement, &params)?;
        self.traced(statement, || {
            let mut prepared = self.connection.prepare_cached(statement.text)?;
            let mut rows = prepared.query_map(params, read)?;
            rows.next().transpose()
        })
    }

    /// What a new release with a bug does before it asks: it asks for the same again and again, as
    /// if for each row by itself.
    fn repeat(
        &self,
        statement: &'static Statement,
        params: &(impl Params + Clone),
    ) -> rusqlite::Result<()> {
        if statement.operation != "SELECT" || !has_bugs(&self.context) {
            return Ok(());
        }
        let since = Instant::now();
        for _ in 0..REPEATS {
            self.traced(statement, || {
                let mut prepared = self.connection.prepare_cached(statement.text)?;
                let mut rows = prepared.query(params.clone())?;
                while rows.next()?.is_some() {}
                Ok(())
            })?;
        }
        let took = Some(since.elapsed());
        self.record().touch(
            ShopFault::BadDeployment,
            Effect::Repeated,
            &self.context,
            took,
        );
        Ok(())
    }

    /// The context in which the work is done.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// The record of what faults do.
    pub(crate) fn record(&self) -> &Record {
        &self.database.telemetry.record
    }

    /// What a statement or a transaction that failed has to do with a disk that is full.
    fn record_failure<T>(&self, context: &Context, since: Instant, result: &rusqlite::Result<T>) {
        if result.is_err() && self.record().was_on(ShopFault::DiskFull, since) {
            self.record()
                .touch(ShopFault::DiskFull, Effect::Failed, context, None);
        }
    }

    /// Changes rows; returns how many.
    pub(crate) fn execute(
        &self,
        statement: &'static Statement,
        params: impl Params,
    ) -> rusqlite::Result<usize> {
        self.traced(statement, || {
            self.connection
                .prepare_cached(statement.text)?
                .execute(params)
        })
    }

    /// Runs several statements so that nobody else writes in between.
    pub(crate) fn atomically<T>(
        &self,
        work: impl FnOnce(&Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        // Rolls back when it is dropped, also after a commit that failed: a connection must not go
        // back to the pool inside of a transaction.
        let transaction =
            Transaction::new_unchecked(self.connection, TransactionBehavior::Immediate)?;
        let value = work(self)?;
        let since = Instant::now();
        let committed = transaction.commit();
        self.record_failure(&self.context, since, &committed);
        committed.map(|()| value)
    }

    fn traced<T>(
        &self,
        statement: &'static Statement,
        work: impl FnOnce() -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let telemetry = &self.database.telemetry;
        let mut attributes = vec![
            KeyValue::new(semconv::DB_SYSTEM_NAME, "sqlite"),
            KeyValue::new(semconv::DB_NAMESPACE, self.database.name()),
            KeyValue::new(semconv::DB_OPERATION_NAME, statement.operation),
            KeyValue::new(semconv::DB_COLLECTION_NAME, statement.collection),
        ];
        let mut spoken = attributes.clone();
        spoken.push(KeyValue::new(semconv::DB_QUERY_TEXT, statement.text));
        let span = telemetry.start(
            &self.context,
            SpanKind::Client,
            format!("{} {}", statement.operation, statement.collection),
            spoken,
        );
        let since = Instant::now();
        let slowed = match telemetry.reach.meets(ShopFault::SlowQuery, &self.context) {
            true => self.database.slow.strike(self.connection),
            false => Ok(None),
        };
        let result = slowed.and_then(|took| {
            if took.is_some() {
                let context = span.context();
                telemetry
                    .record
                    .touch(ShopFault::SlowQuery, Effect::Delayed, context, took);
            }
            work()
        });
        self.record_failure(span.context(), since, &result);
        let elapsed = since.elapsed().as_secs_f64();
        if let Err(error) = &result {
            attributes.push(KeyValue::new(semconv::ERROR_TYPE, fail(&span, error)));
        }
        telemetry
            .instruments
            .db_duration
            .record(elapsed, &attributes);
        span.end();
        result
    }
}

/// Marks a span with SQLite's error; returns the error's type.
fn fail(span: &crate::telemetry::span::ActiveSpan, error: &rusqlite::Error) -> String {
    let kind = match error.sqlite_error() {
        Some(sqlite) => {
            let code = sqlite.extended_code.to_string();
            span.set(KeyValue::new(semconv::DB_RESPONSE_STATUS_CODE, code));
            format!("{:?}", sqlite.code)
        }
        None => "sqlite_error".to_owned(),
    };
    span.fail(kind.clone(), error.to_string());
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORPHAN: Statement = Statement {
        operation: "INSERT",
        collection: "child",
        text: "INSERT INTO child VALUES (1)",
    };

    #[tokio::test]
    async fn a_commit_that_fails_leaves_no_transaction_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let telemetry =
            Telemetry::new(Service::Cart, None, Record::default()).expect("no exporter, no error");
        let database = Database::create(telemetry, folder.path(), |c| {
            c.execute_batch(
                "CREATE TABLE parent (id INTEGER PRIMARY KEY);
                 CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
            )
        });
        let database = database.await.expect("a database");
        let cx = Context::new();
        let work = |s: &Session<'_>| {
            s.connection.execute_batch("PRAGMA foreign_keys = ON")?;
            // Good until the commit, which looks for the parent.
            let committed = s.atomically(|s| s.execute(&ORPHAN, []));
            Ok((committed, s.connection.is_autocommit()))
        };
        let (committed, free) = database.run(&cx, work).await.expect("a result");
        let code = committed.expect_err("no parent").sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::ConstraintViolation));
        assert!(free, "the transaction is over");
    }
}
