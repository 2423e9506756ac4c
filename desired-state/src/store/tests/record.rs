//! What a pass found out is written down whole, once, or not at all.

use super::collections::collection;
use super::deployments::{deployment, ended};
use super::*;
use crate::{
    CollectionResult, HistoryEntry, HistoryFilter, HostRecord, NixStore, Record, StoreError,
};

/// What a pass has to say at most, about host `a` and deployment `d-1`.
fn full() -> Record {
    Record {
        document: Some("failed once".to_owned()),
        ended: Some("d-1".to_owned()),
        history: vec![
            HistoryEntry::new(at(8), "drift"),
            HistoryEntry {
                deployment: Some("d-1".to_owned()),
                ..ended()
            },
        ],
        collection: Some(collection(10, CollectionResult::Done)),
        ..Record::new(host("a"))
    }
}

/// The whole history, oldest first.
async fn history(store: &Store) -> Vec<HistoryEntry> {
    let mut entries = store.history(&HistoryFilter::default()).await.unwrap();
    entries.reverse();
    entries
}

#[tokio::test]
async fn a_pass_is_one_write_and_all_of_it_is_known_after_a_restart() {
    let fresh = Fresh::new().await;
    let begun = deployment("d-1", "a");
    fresh.begin_deployment(&begun).await.unwrap();
    let before = fresh.turns();
    fresh.record(&full()).await.unwrap();
    assert_eq!(fresh.turns().writes, before.writes + 1);
    let fresh = fresh.reopened().await;
    let expected = HostRecord {
        document: Some("failed once".to_owned()),
        last_collection: Some(collection(10, CollectionResult::Done)),
        ..HostRecord::default()
    };
    assert_eq!(fresh.host_record(&host("a")).await.unwrap(), expected);
    let entries = history(&fresh).await;
    let of_host = |entry: &HistoryEntry| entry.host == Some(host("a"));
    assert!(entries.iter().all(of_host), "{entries:?}");
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind.as_str(), entry.deployment.as_deref()))
        .collect();
    assert_eq!(told, [("drift", None), ("deployment", Some("d-1"))]);
}

#[tokio::test]
async fn what_a_record_leaves_out_stays_and_one_that_says_nothing_is_not_written() {
    let fresh = Fresh::new().await;
    let begun = deployment("d-1", "a");
    fresh.begin_deployment(&begun).await.unwrap();
    remember(&fresh, "a", "before").await;
    let known = fresh.host_record(&host("a")).await.unwrap();
    let before = fresh.turns();
    fresh.record(&Record::new(host("a"))).await.unwrap();
    assert_eq!(fresh.turns(), before);
    let told = Record {
        history: vec![HistoryEntry::new(at(8), "drift")],
        ..Record::new(host("a"))
    };
    fresh.record(&told).await.unwrap();
    assert_eq!(fresh.host_record(&host("a")).await.unwrap(), known);
    assert_eq!(history(&fresh).await.len(), 1);
}

#[tokio::test]
async fn an_end_that_is_recorded_twice_is_written_once_and_never_over_what_came_after() {
    let fresh = Fresh::new().await;
    let begun = deployment("d-1", "a");
    fresh.begin_deployment(&begun).await.unwrap();
    // An end that does not say which deployment's it is.
    let unnamed = Record {
        history: vec![ended()],
        ..full()
    };
    fresh.record(&unnamed).await.unwrap();
    remember(&fresh, "a", "later").await;
    fresh.record(&unnamed).await.unwrap();
    let document = remembered(&fresh, "a").await;
    assert_eq!(document.as_deref(), Some("later"));
    let entries = history(&fresh).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].deployment.as_deref(), Some("d-1"));
}

#[tokio::test]
async fn a_record_that_cannot_be_kept_whole_changes_nothing() {
    let fresh = Fresh::new().await;
    let begun = deployment("d-1", "a");
    fresh.begin_deployment(&begun).await.unwrap();
    remember(&fresh, "a", "before").await;
    let known = fresh.host_record(&host("a")).await.unwrap();
    let too_long = Record {
        document: Some("x".repeat(1 << 21)),
        ..full()
    };
    let of_another_host = Record {
        host: host("b"),
        ..full()
    };
    let of_nobody = Record {
        ended: Some("d-9".to_owned()),
        ..full()
    };
    let error = fresh.record(&too_long).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLong { .. }), "{error:?}");
    for wrong in [of_another_host, of_nobody] {
        let error = fresh.record(&wrong).await.unwrap_err();
        assert!(matches!(error, StoreError::NotInFlight { .. }), "{error:?}");
    }
    assert_eq!(fresh.host_record(&host("a")).await.unwrap(), known);
    assert_eq!(history(&fresh).await, []);
    let collection = fresh.last_collection(&NixStore::Host(host("a"))).await;
    assert_eq!(collection.unwrap(), None);
}

#[tokio::test]
async fn the_documents_of_several_hosts_are_one_write_all_or_none() {
    let fresh = Fresh::new().await;
    let documents = ["a", "b", "c"].map(|name| (host(name), format!("of {name}")));
    let before = fresh.turns();
    fresh.record_documents(&documents).await.unwrap();
    fresh.record_documents(&[]).await.unwrap();
    assert_eq!(fresh.turns().writes, before.writes + 1);
    let one_too_long = [
        (host("a"), "anew".to_owned()),
        (host("b"), "x".repeat(1 << 21)),
    ];
    fresh.record_documents(&one_too_long).await.unwrap_err();
    for (host, document) in &documents {
        let known = fresh.host_record(host).await.unwrap();
        assert_eq!(known.document.as_ref(), Some(document));
    }
}
