//! All that is known of one host, in one turn.

use super::collections::collection;
use super::deployments::deployment;
use super::pins::pin;
use super::suspensions::suspension;
use super::wishes::wish;
use super::*;
use crate::{BranchState, CollectionResult, HostRecord, NixStore, Wish};

/// Tells the store all that there is to know of a host.
async fn tell_all(store: &Store, name: &str) -> HostRecord {
    let record = HostRecord {
        wish: Some(Wish {
            branch_state: BranchState::Rewound { to: revision('2') },
            ..wish(name, '1')
        }),
        pin: Some(pin(name, '3')),
        suspension: Some(suspension(name, "a new disk")),
        in_flight: Some(deployment(&format!("d-{name}"), name)),
        document: Some(format!("of {name}")),
        last_collection: Some(collection(5, CollectionResult::Failed)),
    };
    let known = record.clone();
    store.set_wish(&known.wish.unwrap()).await.unwrap();
    store.pin_all(&[known.pin.unwrap()]).await.unwrap();
    store.suspend(&known.suspension.unwrap()).await.unwrap();
    let in_flight = known.in_flight.unwrap();
    store.begin_deployment(&in_flight).await.unwrap();
    remember(store, name, &known.document.unwrap()).await;
    store
        .record_collection(&NixStore::Host(host(name)), &known.last_collection.unwrap())
        .await
        .unwrap();
    record
}

#[tokio::test]
async fn all_that_is_known_of_a_host_is_read_in_one_turn_and_of_no_other_host() {
    let fresh = Fresh::new().await;
    let (a, b) = (tell_all(&fresh, "a").await, tell_all(&fresh, "b").await);
    let fresh = fresh.reopened().await;
    let before = fresh.turns();
    assert_eq!(fresh.host_record(&host("a")).await.unwrap(), a);
    assert_eq!(fresh.host_record(&host("b")).await.unwrap(), b);
    let after = fresh.turns();
    assert_eq!(after.reads, before.reads + 2);
    assert_eq!(after.writes, before.writes);
}

#[tokio::test]
async fn what_is_not_known_of_a_host_is_left_empty() {
    let fresh = Fresh::new().await;
    let nothing = HostRecord::default();
    assert_eq!(fresh.host_record(&host("a")).await.unwrap(), nothing);
    tell_all(&fresh, "b").await;
    assert_eq!(fresh.host_record(&host("a")).await.unwrap(), nothing);
    let held = pin("a", '3');
    fresh.pin_all(std::slice::from_ref(&held)).await.unwrap();
    let pinned = HostRecord {
        pin: Some(held),
        ..nothing
    };
    assert_eq!(fresh.host_record(&host("a")).await.unwrap(), pinned);
}
