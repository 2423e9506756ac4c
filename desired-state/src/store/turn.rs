//! A turn of a connection, and a transaction in it.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use super::error::StoreError;
use super::row::Row;
use super::sqlite::Database;

/// A statement with what is bound to it.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Where a connection is while nobody has its turn; empty until it is opened.
pub(super) type Slot = Mutex<Option<SqliteConnection>>;

/// The use of one connection. It goes back with [`Turn::end`]; when the turn is dropped otherwise, it is closed.
pub(super) struct Turn<'c> {
    slot: MutexGuard<'c, Option<SqliteConnection>>,
    connection: SqliteConnection,
    database: &'c Database,
    step: &'static str,
}

impl<'c> Turn<'c> {
    /// Waits for the turn, and opens the connection where it is not open.
    pub(super) async fn take(
        slot: &'c Slot,
        database: &'c Database,
        step: &'static str,
    ) -> Result<Self, StoreError> {
        let take = async {
            let mut slot = slot.lock().await;
            let connection = match slot.take() {
                Some(connection) => connection,
                None => database.connect(step).await?,
            };
            Ok((slot, connection))
        };
        let (slot, connection) = database.mode().wait(take).await?;
        Ok(Self {
            slot,
            connection,
            database,
            step,
        })
    }

    /// The connection, for what needs it bare.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Runs a statement; returns how many rows it touched.
    pub(super) async fn execute(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        let done = query.execute(&mut self.connection);
        let done = self.database.mode().wait(done).await;
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
        let row = self.database.mode().wait(row).await;
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
        let rows = self.database.mode().wait(rows).await;
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
    fn failed(&self, error: sqlx::Error) -> StoreError {
        self.database.failed(self.step, error)
    }
}

/// A turn inside a transaction. Nothing of it is kept unless it is committed.
pub(super) struct Write<'c>(Turn<'c>);

impl<'c> Write<'c> {
    /// Begins the transaction. It has the write lock from its beginning, so it cannot find out later that somebody
    /// else has written meanwhile.
    pub(super) async fn begin(mut turn: Turn<'c>) -> Result<Self, StoreError> {
        turn.execute(sqlx::query("BEGIN IMMEDIATE")).await?;
        Ok(Self(turn))
    }

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
