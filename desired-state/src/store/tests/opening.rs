//! Opening: what is made, what is checked, what is refused.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::StoreError;

/// The only value of a query, as text.
async fn value(connections: &super::super::Connections, query: &'static str) -> String {
    let mut turn = connections.read("test").await.unwrap();
    let value: i64 = match sqlx::query_scalar(query).fetch_one(turn.connection()).await {
        Ok(value) => value,
        Err(_) => {
            let text: String = sqlx::query_scalar(query)
                .fetch_one(turn.connection())
                .await
                .unwrap();
            turn.end();
            return text;
        }
    };
    turn.end();
    value.to_string()
}

/// Writes to the database behind the store's back.
async fn meddle(fresh: &Fresh, statement: &'static str) {
    let mut write = fresh.connections.write("test").await.unwrap();
    write.execute(sqlx::query(statement)).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn a_commit_is_synced_to_disk_and_the_log_is_ahead_of_it() {
    let fresh = Fresh::new().await;
    assert_eq!(value(&fresh.connections, "PRAGMA synchronous").await, "2");
    assert_eq!(
        value(&fresh.connections, "PRAGMA journal_mode").await,
        "wal"
    );
    assert_eq!(value(&fresh.connections, "PRAGMA foreign_keys").await, "1");
    assert_eq!(value(&fresh.connections, "PRAGMA cache_size").await, "-256");
    assert_eq!(
        value(&fresh.connections, "PRAGMA busy_timeout").await,
        "4000"
    );
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let fresh = Fresh::new().await;
    fresh.record_delivery(&delivery("one", 0)).await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(fresh.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and the log's index");
}

#[tokio::test]
async fn a_missing_folder_is_said_with_the_path_and_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open(&folder.path().join("no/state.db"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error:?}");
    assert!(!error.is_worth_retrying());
    let message = error.to_string();
    assert!(
        message.contains("no/state.db") && message.contains("the folder must exist"),
        "{message}"
    );
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let fresh = Fresh::new().await;
    meddle(
        &fresh,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (7000, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    fresh.store.close().await;
    let before = std::fs::read(fresh.path()).unwrap();
    let error = Store::open(&fresh.path()).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Newer {
                found: 7000,
                known: 4,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.is_worth_retrying());
    assert!(
        error.to_string().contains("made by a newer reconcile"),
        "{error}"
    );
    assert_eq!(std::fs::read(fresh.path()).unwrap(), before);
}

#[tokio::test]
async fn a_schema_that_is_not_ours_is_refused() {
    let fresh = Fresh::new().await;
    meddle(&fresh, "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    fresh.store.close().await;
    let error = Store::open(&fresh.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Schema { .. }), "{error:?}");
}

/// Checks that a damaged file is refused with the mend, and not touched.
async fn check_damaged(path: &std::path::Path) {
    let before = std::fs::read(path).unwrap();
    let error = Store::open(path).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(!error.is_worth_retrying());
    let message = error.to_string();
    let name = path.display().to_string();
    for part in [
        &*format!("move {name}, {name}-wal"),
        "Lost are pins",
        "Not lost is",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(std::fs::read(path).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    std::fs::write(&path, "This is a letter to my aunt.\n".repeat(300)).unwrap();
    check_damaged(&path).await;
}

#[tokio::test]
async fn damaged_pages_are_found_at_the_start() {
    let fresh = Fresh::new().await;
    for number in 0..200 {
        fresh
            .record_delivery(&delivery(&format!("delivery {number}"), number))
            .await
            .unwrap();
    }
    fresh.store.close().await;
    let mut bytes = std::fs::read(fresh.path()).unwrap();
    let page = 4096;
    let last = bytes.len() - page;
    bytes[last..last + 200].fill(0xff);
    std::fs::write(fresh.path(), bytes).unwrap();
    check_damaged(&fresh.path()).await;
}

#[tokio::test]
async fn a_name_that_is_special_to_sqlite_is_a_file_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(":memory:");
    let store = Store::open(&path).await.unwrap();
    store.record_delivery(&delivery("one", 0)).await.unwrap();
    store.close().await;
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.deliveries_to_fetch(&infra()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_value_that_somebody_else_wrote_is_an_error_and_no_panic() {
    let fresh = Fresh::new().await;
    meddle(
        &fresh,
        "INSERT INTO pins (host, revision, action, pinned_by, since) \
         VALUES ('-x', 'ffffffffffffffffffffffffffffffffffffffff', 'switch', 'me', 0)",
    )
    .await;
    let error = fresh.pins().await.unwrap_err();
    assert!(
        matches!(error, StoreError::Unreadable { column: "host", .. }),
        "{error:?}"
    );
    // The next question is answered.
    assert_eq!(fresh.suspended(&host("a")).await.unwrap(), None);
}

#[tokio::test]
async fn what_an_earlier_version_wrote_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    use sqlx::{Connection as _, SqlSafeStr as _};
    let mut old = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    super::super::schema::migrate_to(2, &mut old).await;
    let rewound = "INSERT INTO wishes VALUES ('a', 'infra-team/infra', 'main', \
                   '1111111111111111111111111111111111111111', 'rewound', \
                   '2222222222222222222222222222222222222222', 'poll', NULL, 1, 2)";
    sqlx::raw_sql(rewound.into_sql_str())
        .execute(&mut old)
        .await
        .unwrap();
    old.close().await.unwrap();

    let store = Store::open(&path).await.unwrap();
    let wish = store.wish(&host("a")).await.unwrap().unwrap();
    assert_eq!(wish.revision, Some(revision('1')));
    let rewound = crate::BranchState::Rewound { to: revision('2') };
    assert_eq!(wish.branch_state, rewound);
    assert_eq!(wish.recorded_at.as_microsecond(), 2);
}
