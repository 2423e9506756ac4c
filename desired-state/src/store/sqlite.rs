//! SQLite's own: where the database lies, how it is opened, and whether it is whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::error::StoreError;
use super::inline::Mode;

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

/// The database file.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    mode: Mode,
    options: SqliteConnectOptions,
}

impl Database {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf, mode: Mode) -> Self {
        let options = options(&path, mode);
        Self {
            path,
            mode,
            options,
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How whatever concerns it is waited for.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, step: &'static str) -> Result<SqliteConnection, StoreError> {
        let connected = self.options.connect().await;
        connected.map_err(|error| self.failed(step, error))
    }

    /// Reads every page once, so that damage is told at the start and not in the middle of a deployment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], or what SQLite says.
    pub(super) async fn check(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let step = "open the store";
        // One finding is enough: https://www.sqlite.org/pragma.html#pragma_quick_check.
        let found: Option<String> = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_optional(connection)
            .await
            .map_err(|error| self.failed(step, error))?;
        match found {
            Some(found) if found != "ok" => Err(StoreError::Damaged {
                step,
                path: self.path.clone(),
                source: sqlx::Error::Protocol(found),
            }),
            _ => Ok(()),
        }
    }

    /// What it means that a gate does not let a step pass.
    pub(super) fn refused(&self, step: &'static str, error: std::io::Error) -> StoreError {
        let (path, source) = (self.path.clone(), sqlx::Error::Io(error));
        match &source {
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                StoreError::DiskFull { step, path, source }
            }
            _ => StoreError::Disk { step, path, source },
        }
    }

    /// What a failure of a step means.
    pub(super) fn failed(&self, step: &'static str, error: sqlx::Error) -> StoreError {
        StoreError::from_sqlite(step, self.path.clone(), error)
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
