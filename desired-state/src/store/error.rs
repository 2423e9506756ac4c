//! Everything that can go wrong with the store, with the mend.

use std::path::PathBuf;

use crate::names::HostName;

/// Why the store did not do what it was asked. Nothing of a failed change is kept: a change is whole or not at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database file can be neither created nor opened for writing.
    #[error(
        "cannot create or open the database {}: the folder must exist, and the folder and the file must be writable by the user that reconcile runs as",
        path.display()
    )]
    File {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },

    /// Somebody else holds the database's lock for longer than the busy timeout: a backup, or a `sqlite3` shell.
    #[error("cannot {step}: another program holds the lock of the database {}", path.display())]
    Busy {
        /// What was to be done.
        step: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },

    /// The disk has no room.
    #[error("cannot {step}: the disk that holds {} is full; free some space on it, nothing that was recorded is lost", path.display())]
    DiskFull {
        /// What was to be done.
        step: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },

    /// The disk failed to read or write: `SQLITE_IOERR`.
    #[error("cannot {step}: the disk that holds {} failed to read or write; look at the kernel's log", path.display())]
    Disk {
        /// What was to be done.
        step: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },

    /// The file or its folder may not be written, or the files beside it may not be opened.
    #[error(
        "cannot {step}: no permission to write {} and the files beside it; the folder and the files must be writable by the user that reconcile runs as",
        path.display()
    )]
    Denied {
        /// What was to be done.
        step: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },

    /// The file is not a database, or its pages contradict one another.
    #[error(
        "cannot {step}: the database {path} is damaged. Stop reconcile, move {path}, {path}-wal and {path}-shm to another folder, and start it again. \
         Lost are pins and suspensions (such hosts follow their branch again: set them anew before you start the loop), the history, and the memory of failed attempts and of what was built. \
         Not lost is what the hosts run and what they should run: both are read again, from the hosts and from git",
        path = path.display()
    )]
    Damaged {
        /// What was to be done.
        step: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },

    /// A newer `reconcile` has written the database.
    #[error(
        "the database {} was made by a newer reconcile (its schema is version {found}, this reconcile knows {known}); run that version or a newer one, or put back the backup from before the upgrade",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema's version in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },

    /// The database has a schema that this program never made.
    #[error("the schema of the database {} is not one that reconcile has made; is it the file of another program?", path.display())]
    Schema {
        /// The database file.
        path: PathBuf,
        /// What is not as expected.
        #[source]
        source: sqlx::migrate::MigrateError,
    },

    /// Anything else that SQLite says.
    #[error("cannot {step} in the database {}", path.display())]
    Query {
        /// What was to be done.
        step: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },

    /// A stored value is not what the store writes: somebody else has written it.
    #[error("the database holds a value in column {column} that reconcile has not written: {why}")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        why: String,
    },

    /// A text that must be kept whole is longer than its column.
    #[error("cannot record this {field} of {length} bytes: the limit is {limit}")]
    TooLong {
        /// What the text is.
        field: &'static str,
        /// How long it is, in bytes.
        length: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },

    /// A text that must be kept whole has a NUL, which databases do not keep.
    #[error("cannot record a {field} that has a NUL character in it")]
    Nul {
        /// What the text is.
        field: &'static str,
    },

    /// The host has a deployment in flight already.
    #[error("a deployment of {host} is in flight already: {deployment}")]
    AlreadyInFlight {
        /// The host.
        host: HostName,
        /// The deployment that is in flight.
        deployment: String,
    },

    /// No deployment of this id is in flight, nor has one ended.
    #[error("no deployment {deployment} is in flight")]
    NotInFlight {
        /// The id that was asked for.
        deployment: String,
    },
}

/// SQLite's primary result codes, <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const AUTH: i32 = 23;
    pub(super) const NOTADB: i32 = 26;

    /// The bits of an extended result code that hold its primary one.
    pub(super) const PRIMARY: i32 = 0xff;
}

impl StoreError {
    /// Whether the same call may succeed later without anybody changing the program or the file:
    /// when a lock is let go, when space is freed, when a disk recovers.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::DiskFull { .. } | Self::Disk { .. } => true,
            Self::File { .. }
            | Self::Denied { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::Schema { .. }
            | Self::Query { .. }
            | Self::Unreadable { .. }
            | Self::TooLong { .. }
            | Self::Nul { .. }
            | Self::AlreadyInFlight { .. }
            | Self::NotInFlight { .. } => false,
        }
    }

    /// Sorts what SQLite says into what a person can do about it.
    pub(super) fn from_sqlite(step: &'static str, path: PathBuf, source: sqlx::Error) -> Self {
        match primary_code(&source) {
            Some(code::BUSY | code::LOCKED) => Self::Busy { step, path, source },
            Some(code::FULL) => Self::DiskFull { step, path, source },
            Some(code::IOERR) => Self::Disk { step, path, source },
            Some(code::PERM | code::READONLY | code::CANTOPEN | code::AUTH) => {
                Self::Denied { step, path, source }
            }
            Some(code::CORRUPT | code::NOTADB) => Self::Damaged { step, path, source },
            _ => Self::Query { step, path, source },
        }
    }
}

/// SQLite's primary result code, if the error is SQLite's.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & code::PRIMARY)
}
