//! How the database is opened, and how its two connections are shared.
//!
//! One connection writes and one reads, each behind a fair lock: writers queue in order and never find the database
//! busy with one another, and a reader does not wait for a writer's fsync.
//!
//! sqlx's pool is not used, for two reasons. Its waits are timers, which paused time fires at once; and a connection
//! whose transaction SQLite has rolled back by itself (disk full, see
//! <https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>) keeps counting that
//! transaction as open and refuses every later one. Here a connection on which anything failed, or whose future was
//! dropped half-way, is closed, which rolls back, and the next turn opens a new one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use super::StoreError;
use super::inline::Mode;
use super::row::Row;

/// How long SQLite waits for a lock of another process: a backup or a person's `sqlite3` shell holds one for moments.
/// Shorter than the 5 s after which Gitea gives a delivery up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// The page cache of one connection, in KiB. The tables are small and the system caches the file anyway;
/// SQLite's own default is 2 MiB.
const PAGE_CACHE_KIB: u32 = 256;

/// The size that the write-ahead log is cut back to after a checkpoint, in bytes: a pruning must not leave it large for ever.
const LOG_SIZE: u32 = 1 << 20;

/// How many prepared statements a connection keeps: about as many as the store has.
const STATEMENTS: usize = 48;

/// A statement with what is bound to it.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The database file and its two connections, each opened when it is first needed.
#[derive(Debug)]
pub(super) struct Connections {
    path: PathBuf,
    mode: Mode,
    options: SqliteConnectOptions,
    writer: Mutex<Option<SqliteConnection>>,
    reader: Mutex<Option<SqliteConnection>>,
    reads: AtomicU64,
    writes: AtomicU64,
}

/// How many turns were taken since the store was opened, those of opening it included: for metrics and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turns {
    /// Turns of the reader.
    pub reads: u64,
    /// Turns of the writer, each of which ends with a sync to the disk.
    pub writes: u64,
}

impl Connections {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf, mode: Mode) -> Self {
        Self {
            options: options(&path, mode),
            path,
            mode,
            writer: Mutex::default(),
            reader: Mutex::default(),
            reads: AtomicU64::default(),
            writes: AtomicU64::default(),
        }
    }

    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The turns that were taken so far.
    pub(super) fn turns(&self) -> Turns {
        Turns {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }

    /// Reads every page of the database once, so that damage is told at the start and not in the middle of a deployment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], or what SQLite says.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let mut turn = self.read("open the store").await?;
        // One finding is enough: https://www.sqlite.org/pragma.html#pragma_quick_check.
        let check = sqlx::query("PRAGMA quick_check(1)");
        let found = turn.one(check, |row| row.text("quick_check")).await?;
        match found {
            Some(found) if found != "ok" => Err(StoreError::Damaged {
                step: turn.step,
                path: self.path.clone(),
                source: sqlx::Error::Protocol(found),
            }),
            _ => {
                turn.end();
                Ok(())
            }
        }
    }

    /// A turn to read.
    pub(super) async fn read(&self, step: &'static str) -> Result<Turn<'_>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Turn::take(&self.reader, self, step).await
    }

    /// The row of a query that has one row or none, in a turn of its own.
    pub(super) async fn one<T>(
        &self,
        step: &'static str,
        query: Query<'_>,
        read: impl FnOnce(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut turn = self.read(step).await?;
        let one = turn.one(query, read).await?;
        turn.end();
        Ok(one)
    }

    /// The rows of a query, in a turn of its own. Whoever asks bounds how many there can be.
    pub(super) async fn all<T>(
        &self,
        step: &'static str,
        query: Query<'_>,
        read: impl Fn(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut turn = self.read(step).await?;
        let rows = turn.rows(query, read).await?;
        turn.end();
        Ok(rows)
    }

    /// A turn to write: a transaction that has the write lock from its beginning, so it cannot find out later that
    /// somebody else has written meanwhile.
    pub(super) async fn write(&self, step: &'static str) -> Result<Write<'_>, StoreError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut turn = Turn::take(&self.writer, self, step).await?;
        turn.execute(sqlx::query("BEGIN IMMEDIATE")).await?;
        Ok(Write(turn))
    }

    /// Closes both connections; SQLite then moves the log into the database file.
    pub(super) async fn close(&self) {
        let close = async {
            for slot in [&self.reader, &self.writer] {
                if let Some(connection) = slot.lock().await.take() {
                    // Everything that was recorded is on disk already, so there is nothing to do about a failure here.
                    let _ = connection.close().await;
                }
            }
        };
        self.mode.wait(close).await;
    }
}

/// How a connection is opened.
fn options(path: &Path, mode: Mode) -> SqliteConnectOptions {
    let (journal, synchronous) = match mode {
        // In WAL mode only FULL syncs the log at each commit, https://www.sqlite.org/pragma.html#pragma_synchronous:
        // with NORMAL a power cut takes back a delivery that was already answered.
        Mode::Durable => (SqliteJournalMode::Wal, SqliteSynchronous::Full),
        // A simulated crash drops futures, and no power is cut.
        Mode::Inline => (SqliteJournalMode::Memory, SqliteSynchronous::Off),
    };
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(journal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .pragma("cache_size", format!("-{PAGE_CACHE_KIB}"))
        .pragma("journal_size_limit", LOG_SIZE.to_string())
        // Damage is found where it is read, and a doctored schema cannot call functions:
        // https://www.sqlite.org/security.html.
        .pragma("cell_size_check", "ON")
        .pragma("trusted_schema", "OFF")
        .thread_name(|number| format!("store-{number}"))
        // A library does not log; and a statement's text tells an operator nothing.
        .disable_statement_logging()
}

/// The use of one connection. It goes back with [`Turn::end`]; when the turn is dropped otherwise, it is closed.
pub(super) struct Turn<'c> {
    slot: MutexGuard<'c, Option<SqliteConnection>>,
    connection: SqliteConnection,
    path: &'c Path,
    mode: Mode,
    step: &'static str,
}

impl<'c> Turn<'c> {
    async fn take(
        slot: &'c Mutex<Option<SqliteConnection>>,
        connections: &'c Connections,
        step: &'static str,
    ) -> Result<Self, StoreError> {
        let Connections {
            path,
            mode,
            options,
            ..
        } = connections;
        let take = async {
            let mut slot = slot.lock().await;
            let connection = match slot.take() {
                Some(connection) => connection,
                None => options
                    .connect()
                    .await
                    .map_err(|error| StoreError::from_sqlite(step, path.clone(), error))?,
            };
            Ok((slot, connection))
        };
        let (slot, connection) = mode.wait(take).await?;
        Ok(Self {
            slot,
            connection,
            path,
            mode: *mode,
            step,
        })
    }

    /// The connection, for what needs it bare.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Runs a statement; returns how many rows it touched.
    pub(super) async fn execute(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        let done = self.mode.wait(query.execute(&mut self.connection)).await;
        done.map(|done| done.rows_affected())
            .map_err(|error| self.failed(error))
    }

    /// Runs a query that has one row or none, and reads it.
    pub(super) async fn one<T>(
        &mut self,
        query: Query<'_>,
        read: impl FnOnce(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let row = query.fetch_optional(&mut self.connection);
        let row = self.mode.wait(row).await;
        row.map_err(|error| self.failed(error))?
            .map(|row| read(Row::new(&row)))
            .transpose()
    }

    /// Runs a query and reads each of its rows. Whoever asks bounds how many there can be.
    pub(super) async fn rows<T>(
        &mut self,
        query: Query<'_>,
        read: impl Fn(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = query.fetch_all(&mut self.connection);
        let rows = self.mode.wait(rows).await;
        rows.map_err(|error| self.failed(error))?
            .iter()
            .map(|row| read(Row::new(row)))
            .collect()
    }

    /// Gives the connection back for the next turn.
    pub(super) fn end(mut self) {
        *self.slot = Some(self.connection);
    }

    /// What a failure of this turn's step means.
    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::from_sqlite(self.step, self.path.to_owned(), error)
    }
}

/// A turn inside a transaction. Nothing of it is kept unless it is committed.
pub(super) struct Write<'c>(Turn<'c>);

impl<'c> Write<'c> {
    /// Makes all of it durable: on return it is on disk.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.0.execute(sqlx::query("COMMIT")).await?;
        self.0.end();
        Ok(())
    }
}

impl<'c> std::ops::Deref for Write<'c> {
    type Target = Turn<'c>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
