//! What must never be lost, and what must never block.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::{HistoryEntry, HistoryFilter, Novelty, StoreError};

/// Tells the child process which database to write to.
const DATABASE: &str = "DESIRED_STATE_TEST_DATABASE";

/// The child of the test below; it does nothing when it is run by hand.
#[tokio::test]
#[ignore = "the child process of another test"]
async fn records_deliveries_until_it_is_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a test speaks to its own child"
    )]
    let Ok(path) = std::env::var(DATABASE) else {
        return;
    };
    let store = Store::open(path.as_ref()).await.unwrap();
    for number in 0.. {
        store
            .record_delivery(&delivery(&number.to_string(), number))
            .await
            .unwrap();
        println!("recorded {number}");
    }
}

#[tokio::test]
async fn a_recorded_delivery_outlives_kill_9_at_any_instant() {
    let fresh = Fresh::new().await;
    fresh.store.close().await;
    for recorded_before_the_kill in [1, 2, 3, 17, 60] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        #[expect(clippy::disallowed_methods, reason = "a process that can be killed")]
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("store::tests::durability::records_deliveries_until_it_is_killed")
            .env(DATABASE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut recorded = Vec::new();
        while recorded.len() < recorded_before_the_kill {
            let line = lines.next().unwrap().unwrap();
            // The test harness writes before the first line without ending its own.
            if let Some((_, number)) = line.split_once("recorded ") {
                recorded.push(number.to_owned());
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it wrote between the last line that we read and the kill.
        recorded.extend(lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("recorded ")
                .map(|(_, number)| number.to_owned())
        }));
        let store = Store::open(&path).await.unwrap();
        let found = store.deliveries_to_fetch(&infra()).await.unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|delivery| delivery.id.to_string())
            .collect();
        assert!(
            found.len() <= recorded.len() + 1,
            "one may be recorded and not said"
        );
        assert_eq!(found[..recorded.len()], recorded);
    }
}

#[tokio::test]
async fn a_copy_of_the_files_taken_while_they_are_open_has_everything() {
    let fresh = Fresh::new().await;
    for number in 0..50 {
        fresh
            .record_delivery(&delivery(&number.to_string(), number))
            .await
            .unwrap();
        let copy = tempfile::tempdir().unwrap();
        // Without the log's index: a restart after a power cut does not have it either.
        for file in ["state.db", "state.db-wal"] {
            std::fs::copy(fresh.folder.path().join(file), copy.path().join(file)).unwrap();
        }
        let store = Store::open(&copy.path().join("state.db")).await.unwrap();
        let found = store.deliveries_to_fetch(&infra()).await.unwrap();
        assert_eq!(i64::try_from(found.len()).unwrap(), number + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_in_two_processes_all_succeed() {
    let fresh = Fresh::new().await;
    // Another store on the same file stands for another process: SQLite knows no difference.
    let other = Store::open(&fresh.path()).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = if number % 2 == 0 {
            fresh.store.clone()
        } else {
            other.clone()
        };
        writers.spawn(async move {
            for turn in 0..10 {
                let id = format!("{number}-{turn}");
                let novelty = store.record_delivery(&delivery(&id, number)).await.unwrap();
                assert_eq!(novelty, Novelty::First);
                store
                    .append(&HistoryEntry::new(at(turn), "test"))
                    .await
                    .unwrap();
                store.history(&HistoryFilter::default()).await.unwrap();
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    assert_eq!(
        fresh.deliveries_to_fetch(&infra()).await.unwrap().len(),
        400
    );
}

#[tokio::test]
async fn a_full_disk_is_said_plainly_loses_nothing_and_heals() {
    let fresh = Fresh::new().await;
    let entry = HistoryEntry {
        detail: "x".repeat(8000),
        ..HistoryEntry::new(at(0), "test")
    };
    let mut write = fresh.connections.write("test").await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(write.connection())
        .await
        .unwrap();
    // SQLite answers SQLITE_FULL, as for a full disk, when the file would pass this many pages.
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 20));
    sqlx::query(limit)
        .execute(write.connection())
        .await
        .unwrap();
    write.commit().await.unwrap();
    let mut recorded = 0;
    let error = loop {
        match fresh.append(&entry).await {
            Ok(_) => recorded += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(error.is_worth_retrying());
    assert!(error.to_string().contains("is full"), "{error}");
    // The next turn has a new connection, without the limit: space was freed.
    fresh.append(&entry).await.unwrap();
    let all = HistoryFilter {
        limit: 1000,
        ..HistoryFilter::default()
    };
    assert_eq!(fresh.history(&all).await.unwrap().len(), recorded + 1);
}

#[tokio::test]
async fn a_lock_that_is_held_for_long_is_worth_retrying_and_does_not_hinder_readers() {
    let fresh = Fresh::new().await;
    let other = Store::open(&fresh.path()).await.unwrap();
    let lock = other.connections.write("test").await.unwrap();
    let error = fresh
        .record_delivery(&delivery("one", 0))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
    assert!(error.is_worth_retrying());
    assert_eq!(fresh.wishes().await.unwrap(), []);
    drop(lock);
    fresh.record_delivery(&delivery("one", 0)).await.unwrap();
}

#[tokio::test]
async fn a_change_whose_future_is_dropped_half_way_is_undone_and_blocks_nobody() {
    let fresh = Fresh::new().await;
    let mut write = fresh.connections.write("test").await.unwrap();
    write
        .execute(sqlx::query(
            "INSERT INTO host_memories (host, document) VALUES ('a', 'x')",
        ))
        .await
        .unwrap();
    drop(write);
    assert_eq!(remembered(&fresh, "a").await, None);
    for polls in 0..40_u32 {
        // A deadline that has passed polls the future once more each time, so it is dropped at another await.
        let documents = [(host("a"), polls.to_string())];
        let deadline = Duration::from_micros(u64::from(polls) * 20);
        let _ = tokio::time::timeout(deadline, fresh.record_documents(&documents)).await;
    }
    remember(&fresh, "a", "last").await;
    assert_eq!(remembered(&fresh, "a").await.as_deref(), Some("last"));
}

#[test]
fn the_store_can_be_used_from_spawned_tasks() {
    fn check<F: Future + Send>(_: impl FnOnce(&'static Store) -> F) {}
    check(|store| async { store.history(&HistoryFilter::default()).await });
    check(|store| async { store.record_delivery(&delivery("one", 0)).await });
    check(|store| async { store.settle_unannounced(at(0), Duration::ZERO).await });
    check(|store| async { store.prune(at(0)).await });
    check(|_| async { Store::open("x".as_ref()).await });
}
