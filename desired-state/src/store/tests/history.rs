//! The history.

use super::*;
use crate::{HistoryEntry, HistoryFilter};

fn entry(seconds: i64, kind: &str, name: Option<&str>) -> HistoryEntry {
    HistoryEntry {
        host: name.map(host),
        ..HistoryEntry::new(at(seconds), kind)
    }
}

fn filter(name: Option<&str>, kind: Option<&str>, limit: u32) -> HistoryFilter {
    HistoryFilter {
        host: name.map(host),
        kind: kind.map(str::to_owned),
        limit,
    }
}

#[tokio::test]
async fn an_entry_is_read_as_it_was_written() {
    let fresh = Fresh::new().await;
    let mut full = HistoryEntry {
        id: 77,
        at: at(1),
        host: Some(host("a")),
        kind: "deployment".to_owned(),
        revision: Some(revision('1')),
        toplevel: Some("/nix/store/x".to_owned()),
        action: Some("switch".to_owned()),
        outcome: Some("converged".to_owned()),
        detail: "größer 🦀".to_owned(),
        cause: Some("poll".to_owned()),
        deployment: Some("d-1".to_owned()),
        started_at: Some(at(0)),
    };
    full.id = fresh.append(&full).await.unwrap();
    assert_eq!(full.id, 1, "the store gives the id");
    let fresh = fresh.reopened().await;
    assert_eq!(
        fresh.history(&HistoryFilter::default()).await.unwrap(),
        [full]
    );
}

#[tokio::test]
async fn the_newest_come_first_and_the_filter_holds() {
    let fresh = Fresh::new().await;
    for (seconds, kind, name) in [
        (9, "drift", Some("a")),
        // A clock that was set back does not change the order.
        (1, "wish", Some("a")),
        (2, "wish", Some("b")),
        (3, "reload", None),
    ] {
        fresh.append(&entry(seconds, kind, name)).await.unwrap();
    }
    for (filter, expected) in [
        (filter(None, None, 10), vec![4, 3, 2, 1]),
        (filter(None, None, 2), vec![4, 3]),
        (filter(None, None, 0), vec![4]),
        (filter(Some("a"), None, 10), vec![2, 1]),
        (filter(None, Some("wish"), 10), vec![3, 2]),
        (filter(Some("a"), Some("wish"), 10), vec![2]),
        (filter(None, Some("' OR 1 = 1 --"), 10), vec![]),
    ] {
        let entries = fresh.history(&filter).await.unwrap();
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn one_question_never_answers_more_than_a_thousand() {
    let fresh = Fresh::new().await;
    let mut write = fresh.connections.write("test").await.unwrap();
    for seconds in 0..1100 {
        super::super::history::insert(&mut write, &entry(seconds, "test", None))
            .await
            .unwrap();
    }
    write.commit().await.unwrap();
    let entries = fresh.history(&filter(None, None, u32::MAX)).await.unwrap();
    assert_eq!(entries.len(), 1000);
}

#[tokio::test]
async fn texts_that_are_too_long_are_cut_and_the_entry_is_recorded() {
    let fresh = Fresh::new().await;
    let long = Some("ä\0".repeat(100_000));
    let entry = HistoryEntry {
        kind: "k".repeat(1000),
        toplevel: long.clone(),
        action: long.clone(),
        outcome: long.clone(),
        detail: long.clone().unwrap(),
        cause: long.clone(),
        deployment: long,
        ..entry(1, "", None)
    };
    fresh.append(&entry).await.unwrap();
    let read = fresh
        .history(&HistoryFilter::default())
        .await
        .unwrap()
        .remove(0);
    assert!(read.detail.len() <= 8192 && read.detail.ends_with('…'));
    assert!(read.kind.len() <= 64 && read.cause.unwrap().len() <= 1024);
}

#[tokio::test]
async fn nothing_changes_or_deletes_an_entry_behind_prunes_back() {
    let fresh = Fresh::new().await;
    fresh.append(&entry(1, "drift", Some("a"))).await.unwrap();
    for statement in [
        "UPDATE history SET detail = 'nothing happened'",
        "DELETE FROM history",
        "INSERT OR REPLACE INTO history (id, at, kind, detail) VALUES (1, 0, 'x', '')",
    ] {
        let mut write = fresh.connections.write("test").await.unwrap();
        let refused = write.execute(sqlx::query(statement)).await;
        drop(write);
        if let Err(error) = refused {
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains("append-only"), "{statement}: {source}");
        } else {
            panic!("{statement} was not refused");
        }
    }
    let entries = fresh.history(&HistoryFilter::default()).await.unwrap();
    assert_eq!(entries[0].kind, "drift");
}
