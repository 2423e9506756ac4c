//! A store for a simulator: tokio's paused time stands still while it works.

use std::time::Duration;

use futures::FutureExt as _;

use super::deployments::deployment;
use super::*;
use crate::StoreError;
use crate::{HistoryEntry, HistoryFilter, Record};

/// How long another task sleeps meanwhile; paused time jumps so far as soon as everybody waits.
const ASLEEP: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn paused_time_stands_still_through_a_thousand_writes_and_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let start = tokio::time::Instant::now();
    let sleeper = tokio::spawn(tokio::time::sleep(ASLEEP));
    tokio::task::yield_now().await;
    let store = Store::open_inline(&path).await.unwrap();
    for number in 0..1000 {
        let name = host(&format!("host-{number}"));
        let told = Record {
            document: Some(number.to_string()),
            history: vec![HistoryEntry::new(at(number), "drift")],
            ..Record::new(name.clone())
        };
        store.record(&told).await.unwrap();
        let known = store.host_record(&name).await.unwrap();
        assert_eq!(known.document, told.document);
    }
    store.close().await;
    assert_eq!(tokio::time::Instant::now(), start);
    assert!(!sleeper.is_finished());
    sleeper.await.unwrap();
    assert_eq!(tokio::time::Instant::now(), start + ASLEEP);
}

#[tokio::test(start_paused = true)]
async fn every_method_has_ended_when_it_was_polled_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    // Opened, closed, and opened again by the next method.
    let store = Store::open_inline(&path).now_or_never().unwrap().unwrap();
    store.close().now_or_never().unwrap();
    let begun = deployment("d-1", "a");
    let begin = store.begin_deployment(&begun);
    begin.now_or_never().unwrap().unwrap();
    // One that fails closes its connection.
    let nobodys = Record {
        ended: Some("d-9".to_owned()),
        ..Record::new(host("a"))
    };
    let refused = store.record(&nobodys).now_or_never().unwrap();
    refused.unwrap_err();
    let delivery = delivery("one", 1);
    let recorded = store.record_delivery(&delivery).now_or_never().unwrap();
    recorded.unwrap();
    let pruned = store.prune(at(2)).now_or_never().unwrap();
    assert_eq!(pruned.unwrap(), crate::Pruned::default());
    let everything = HistoryFilter::default();
    let history = store.history(&everything).now_or_never().unwrap();
    assert_eq!(history.unwrap(), []);
    let settled = store.settle_unannounced(at(3), ASLEEP);
    assert_eq!(settled.now_or_never().unwrap().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_was_recorded_inline_is_known_to_the_next_store_of_either_kind() {
    let fresh = Fresh::new().await;
    remember(&fresh, "a", "first").await;
    fresh.close().await;
    let path = fresh.path();
    // Without a close: a simulated crash drops the store.
    for document in ["second", "third"] {
        let store = Store::open_inline(&path).await.unwrap();
        remember(&store, "a", document).await;
        drop(store);
        let store = Store::open_inline(&path).await.unwrap();
        let known = remembered(&store, "a").await;
        assert_eq!(known.as_deref(), Some(document));
    }
    let store = Store::open(&path).await.unwrap();
    let known = remembered(&store, "a").await;
    assert_eq!(known.as_deref(), Some("third"));
}

/// Lets the first turns pass.
#[derive(Debug, Default)]
struct Few(std::sync::atomic::AtomicUsize);

impl crate::Gate for Few {
    fn pass(&self) -> futures::future::BoxFuture<'static, std::io::Result<()>> {
        let turn = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            match turn {
                0 | 1 => Ok(()),
                2 => Err(std::io::ErrorKind::StorageFull.into()),
                _ => std::future::pending().await,
            }
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_turn_begins_only_once_its_gate_lets_it_pass() {
    let folder = tempfile::tempdir().unwrap();
    let gate = std::sync::Arc::new(Few::default());
    let path = folder.path().join("state.db");
    let store = Store::open_gated(&path, gate).await.unwrap();
    let document = |text: &str| [(host("a"), text.to_owned())];
    store.record_documents(&document("first")).await.unwrap();
    let known = store.host_record(&host("a")).await.unwrap();
    assert_eq!(known.document.as_deref(), Some("first"));
    let full = store.record_documents(&document("second")).await;
    let full = full.unwrap_err();
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full}");
    assert!(store.host_record(&host("a")).now_or_never().is_none());
}
