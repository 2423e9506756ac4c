//! What polls found and deliveries should have announced.

use std::time::Duration;

use super::*;
use crate::Unannounced;

const GRACE: Duration = Duration::from_secs(30);

fn finding(digit: char, seconds: i64) -> Unannounced {
    Unannounced {
        repository: infra(),
        branch: main_branch(),
        revision: revision(digit),
        found_at: at(seconds),
    }
}

async fn note(store: &Store, digit: char, seconds: i64) {
    store
        .note_unannounced(&infra(), &main_branch(), &revision(digit), at(seconds))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_finding_that_nothing_announces_is_returned_once_after_the_grace() {
    let fresh = Fresh::new().await;
    note(&fresh, '1', 100).await;
    // Found again before it is settled: the first time counts.
    note(&fresh, '1', 120).await;
    assert_eq!(fresh.settle_unannounced(at(129), GRACE).await.unwrap(), []);
    let fresh = fresh.reopened().await;
    assert_eq!(
        fresh.settle_unannounced(at(130), GRACE).await.unwrap(),
        [finding('1', 100)]
    );
    assert_eq!(fresh.settle_unannounced(at(999), GRACE).await.unwrap(), []);
}

#[tokio::test]
async fn a_delivery_within_the_grace_before_or_after_announces_a_finding() {
    for (received, missed) in [
        (0, true),
        (69, true),
        (70, false),
        (99, false),
        (100, false),
        (110, false),
        (130, false),
        (131, true),
    ] {
        let fresh = Fresh::new().await;
        fresh
            .record_delivery(&delivery("one", received))
            .await
            .unwrap();
        fresh
            .mark_fetched(&infra(), &["one".parse().unwrap()])
            .await
            .unwrap();
        note(&fresh, '1', 100).await;
        let settled = fresh.settle_unannounced(at(1000), GRACE).await.unwrap();
        let expected: Vec<_> = missed.then(|| finding('1', 100)).into_iter().collect();
        assert_eq!(settled, expected, "received at {received}");
    }
}

#[tokio::test]
async fn a_delivery_that_waited_long_for_its_fetch_announces_the_finding() {
    let fresh = Fresh::new().await;
    fresh.record_delivery(&delivery("one", 0)).await.unwrap();
    note(&fresh, '1', 100).await;
    assert_eq!(fresh.settle_unannounced(at(1000), GRACE).await.unwrap(), []);
}

#[tokio::test]
async fn a_delivery_for_another_branch_or_repository_announces_nothing() {
    let fresh = Fresh::new().await;
    note(&fresh, '1', 100).await;
    for other in [
        ReceivedDelivery {
            branch: Some("test".to_owned()),
            ..delivery("one", 100)
        },
        ReceivedDelivery {
            branch: None,
            ..delivery("two", 100)
        },
        ReceivedDelivery {
            repository: "other/infra".to_owned(),
            ..delivery("three", 100)
        },
    ] {
        fresh.record_delivery(&other).await.unwrap();
    }
    assert_eq!(
        fresh.settle_unannounced(at(1000), GRACE).await.unwrap(),
        [finding('1', 100)]
    );
}

#[tokio::test]
async fn several_findings_are_returned_oldest_first_and_the_largest_grace_waits() {
    let fresh = Fresh::new().await;
    note(&fresh, '2', 110).await;
    note(&fresh, '1', 100).await;
    assert_eq!(
        fresh
            .settle_unannounced(at(9999), Duration::MAX)
            .await
            .unwrap(),
        []
    );
    let missed = fresh.settle_unannounced(at(9999), GRACE).await.unwrap();
    assert_eq!(missed, [finding('1', 100), finding('2', 110)]);
}
