//! The store: what each host should run and what happened, in one SQLite file.
//!
//! # Guarantees
//!
//! - What a method has returned from is on disk: it outlives `kill -9` and a power cut.
//! - A method that fails, or whose future is dropped, has changed nothing, or all that it was to change (when only the
//!   answer got lost). Every method may simply be called again.
//! - The history only grows; [`Store::prune`] alone takes its oldest entries away.
//! - Every column and every answer is bounded.
//!
//! # Assumptions
//!
//! One process writes: the daemon. A backup or a `sqlite3` shell beside it does no harm.
//!
//! All SQL of the project is in this folder. Queries keep to what PostgreSQL has too; what is SQLite's own (opening,
//! pragmas, the schema's triggers) is in `sqlite.rs`, `schema.rs` and `migrations/`.

mod bounds;
mod built;
mod collections;
mod connection;
mod deliveries;
mod deployments;
mod error;
mod gate;
mod history;
mod host_record;
mod inline;
mod memory;
mod pins;
mod prune;
mod record;
mod row;
mod schema;
mod sqlite;
mod suspensions;
mod turn;
mod unannounced;
mod wishes;

#[cfg(test)]
mod tests;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

pub use connection::Turns;
pub use error::StoreError;
pub use gate::Gate;

use connection::Connections;
use inline::Mode;
use sqlite::Database;

/// The memory of `reconcile`. Clones share the same two connections to the database.
#[derive(Debug, Clone)]
pub struct Store {
    connections: Arc<Connections>,
}

impl Store {
    /// Opens the database, making it first (readable by its owner only) when it is not there, and brings its schema up to date.
    /// All its pages are checked, which takes about 2 ms a MiB.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when the folder is missing or may not be written, [`StoreError::Damaged`] with the mend,
    /// [`StoreError::Newer`] when a newer `reconcile` has written it; in the last two cases the file is left as it is.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_as(Mode::Durable, path, None).await
    }

    /// As [`Store::open`], for a simulator whose time is tokio's paused time: every method, this one included, runs to
    /// its end the first time that it is polled, and blocks the thread meanwhile. So nothing wakes the runtime from
    /// outside, and paused time does not advance.
    ///
    /// What is recorded outlives the store; a `kill -9` in the middle of a write, or a power cut, may damage the file.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn open_inline(path: &Path) -> Result<Self, StoreError> {
        Self::open_as(Mode::Inline, path, None).await
    }

    /// As [`Store::open_inline`], with a gate before every later turn: there a method may wait, or fail.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn open_gated(path: &Path, gate: Arc<dyn Gate>) -> Result<Self, StoreError> {
        Self::open_as(Mode::Inline, path, Some(gate)).await
    }

    async fn open_as(
        mode: Mode,
        path: &Path,
        gate: Option<Arc<dyn Gate>>,
    ) -> Result<Self, StoreError> {
        // Absolute, so that no name is special to SQLite (":memory:", "file:…") and messages say where it is.
        let path = std::path::absolute(path)
            .and_then(|absolute| create(&absolute).map(|()| absolute))
            .map_err(|source| StoreError::File {
                path: path.to_owned(),
                source,
            })?;
        let mut connections = Connections::new(Database::new(path, mode));
        let database = connections.database();
        let mut turn = connections.read("open the store").await?;
        mode.wait(database.check(turn.connection())).await?;
        mode.wait(schema::migrate(turn.connection(), database.path()))
            .await?;
        turn.end();
        connections.put_up(gate);
        Ok(Self {
            connections: Arc::new(connections),
        })
    }

    /// How often the store was read and written, by all clones: for metrics and tests.
    #[must_use]
    pub fn turns(&self) -> Turns {
        self.connections.turns()
    }

    /// Closes the connections, for all clones; SQLite then tidies the files beside the database.
    /// Not needed for safety, and a later call to any method opens them again.
    pub async fn close(&self) {
        self.connections.close().await;
    }
}

/// Makes the file when it is not there. SQLite would make it readable by everybody; the files beside it take its permissions.
fn create(path: &Path) -> std::io::Result<()> {
    // The one blocking call of the store, and as short as they come.
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}
