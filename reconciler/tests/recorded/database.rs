//! The state as a file, as any program of that time or a later one finds it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

/// Runs statements on the database in `file`, which is made if it is not there.
pub fn run(file: &Path, sql: &str) {
    let sql = format!("BEGIN;\n{sql}\nCOMMIT;");
    wait_for(async {
        let mut database = open(file).await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
    });
}

/// What is remembered of each host.
pub fn documents(file: &Path) -> BTreeMap<String, Value> {
    wait_for(async {
        let mut database = open(file).await;
        let rows = sqlx::query("SELECT host, document FROM host_memories")
            .fetch_all(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let document: String = row.get("document");
            (row.get("host"), serde_json::from_str(&document).unwrap())
        };
        rows.iter().map(read).collect()
    })
}

async fn open(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    SqliteConnection::connect_with(&options).await.unwrap()
}

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}
