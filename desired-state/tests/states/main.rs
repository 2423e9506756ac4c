//! The state that a daemon of each schema left behind is taken up by this one: `NNNN.db` is a stored file of schema
//! NNNN, made by `cargo run -p desired-state --example state_file -- FILE` with the program of that time, and never
//! changed.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the tests fail by panicking"
)]

mod story;

use std::path::{Path, PathBuf};

use desired_state::Store;

/// The stored files, by schema.
fn stored() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/states");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .collect();
    files.sort();
    files
}

/// The schema that a database says it has.
async fn schema_in(file: &Path) -> i64 {
    use sqlx::{Connection as _, Row as _};
    let mut database = sqlx::SqliteConnection::connect(&file.display().to_string())
        .await
        .unwrap();
    let newest = sqlx::query("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut database)
        .await
        .unwrap();
    newest.get(0)
}

#[tokio::test]
async fn the_state_of_every_schema_keeps_history_pins_suspensions_and_all_else() {
    let stored = stored();
    assert!(!stored.is_empty());
    for file in stored {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("state.db");
        std::fs::copy(&file, &copy).unwrap();
        let schema = schema_in(&copy).await;
        assert_eq!(file.file_stem().unwrap(), &*format!("{schema:04}"));
        let store = Store::open(&copy).await.unwrap();
        story::assert_known(&store, schema)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        store.close().await;
        Store::open(&copy).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_told_today_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    let store = Store::open(&file).await.unwrap();
    story::tell(&store).await.unwrap();
    store.close().await;
    let store = Store::open(&file).await.unwrap();
    let newest = schema_in(&file).await;
    story::assert_known(&store, newest).await.unwrap();
}

#[test]
fn there_is_a_stored_state_for_every_schema_since_the_third() {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let newest = std::fs::read_dir(migrations).unwrap().count();
    let stored: Vec<String> = stored()
        .iter()
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let wanted: Vec<String> = (3..=newest).map(|schema| format!("{schema:04}")).collect();
    assert_eq!(
        stored, wanted,
        "cargo run -p desired-state --example state_file -- desired-state/tests/states/NNNN.db"
    );
}
