//! The schema and its versions.

use std::path::Path;

use sqlx::SqlSafeStr as _;
use sqlx::SqliteConnection;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::error::StoreError;

/// Every version of the schema: number, name, SQL. Only ever grows at the end.
const VERSIONS: &[(i64, &str, &str)] = &[
    (1, "store", include_str!("../../migrations/0001_store.sql")),
    (
        2,
        "history by revision",
        include_str!("../../migrations/0002_history_by_revision.sql"),
    ),
    (
        3,
        "untrusted",
        include_str!("../../migrations/0003_untrusted.sql"),
    ),
    (
        4,
        "collections",
        include_str!("../../migrations/0004_collections.sql"),
    ),
];

/// Brings the database to the newest version, and refuses one that is beyond it.
///
/// # Errors
///
/// [`StoreError::Newer`], [`StoreError::Schema`], or what SQLite says.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StoreError> {
    // `run` takes an `Acquire`, with which rustc cannot prove that this future is `Send`
    // (https://github.com/rust-lang/rust/issues/100013); sqlx has this for just that reason.
    let done = migrator(newest()).run_direct(None, connection, false).await;
    let step = "bring the schema up to date";
    done.map_err(|error| match error {
        MigrateError::VersionMissing(found) if found > newest() => StoreError::Newer {
            path: path.to_owned(),
            found,
            known: newest(),
        },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::from_sqlite(step, path.to_owned(), source)
        }
        source => StoreError::Schema {
            path: path.to_owned(),
            source,
        },
    })
}

/// The newest version of the schema that this program knows.
fn newest() -> i64 {
    VERSIONS.last().map_or(0, |(version, _, _)| *version)
}

/// Makes a database as an earlier version of this program had it.
#[cfg(test)]
pub(super) async fn migrate_to(version: i64, connection: &mut SqliteConnection) {
    let migrator = migrator(version);
    migrator.run_direct(None, connection, false).await.unwrap();
}

fn migrator(newest: i64) -> Migrator {
    let migrations = VERSIONS
        .iter()
        .filter(|(version, _, _)| *version <= newest)
        .map(|&(version, name, sql)| {
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}
