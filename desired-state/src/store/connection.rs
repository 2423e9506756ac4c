//! The two connections to the database, and how they are shared.
//!
//! One connection writes and one reads, each behind a fair lock: writers queue in order and never find the database
//! busy with one another, and a reader does not wait for a writer's fsync.
//!
//! sqlx's pool is not used, for two reasons. Its waits are timers, which paused time fires at once; and a connection
//! whose transaction SQLite has rolled back by itself (disk full, see
//! <https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>) keeps counting that
//! transaction as open and refuses every later one. Here a connection on which anything failed, or whose future was
//! dropped half-way, is closed, which rolls back, and the next turn opens a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::Connection as _;

use super::error::StoreError;
use super::gate::Gate;
use super::row::Row;
use super::sqlite::Database;
use super::turn::{Query, Slot, Turn, Write};

/// The database and its two connections, each opened when it is first needed.
#[derive(Debug)]
pub(super) struct Connections {
    database: Database,
    gate: Option<Arc<dyn Gate>>,
    writer: Slot,
    reader: Slot,
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
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            gate: None,
            writer: Slot::default(),
            reader: Slot::default(),
            reads: AtomicU64::default(),
            writes: AtomicU64::default(),
        }
    }

    /// Every turn passes this gate from now on.
    pub(super) fn put_up(&mut self, gate: Option<Arc<dyn Gate>>) {
        self.gate = gate;
    }

    async fn pass(&self, step: &'static str) -> Result<(), StoreError> {
        match &self.gate {
            None => Ok(()),
            Some(gate) => gate
                .pass()
                .await
                .map_err(|error| self.database.refused(step, error)),
        }
    }

    /// The database.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// The turns that were taken so far.
    pub(super) fn turns(&self) -> Turns {
        Turns {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }

    /// A turn to read.
    pub(super) async fn read(&self, step: &'static str) -> Result<Turn<'_>, StoreError> {
        self.pass(step).await?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        Turn::take(&self.reader, &self.database, step).await
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

    /// A turn to write.
    pub(super) async fn write(&self, step: &'static str) -> Result<Write<'_>, StoreError> {
        self.pass(step).await?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        let turn = Turn::take(&self.writer, &self.database, step).await?;
        Write::begin(turn).await
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
        self.database.mode().wait(close).await;
    }
}
