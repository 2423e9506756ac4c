//! Requests that are carried out for every host that they name, or for none.

use desired_state::HistoryEntry;

use super::*;
use crate::api::{Follow, Then};
use crate::decide::Insistence;
use crate::testing::world;

/// A world of two hosts that have been on another commit before, and a way back for both of them.
async fn before_a_rollback(folder: &std::path::Path) -> (Arc<World>, ReconcileRequest) {
    let world = world(folder, "[hosts.cyt-pi]\n[hosts.spare]").await;
    let hosts: Vec<HostName> = world.setup().config.hosts.keys().cloned().collect();
    for host in &hosts {
        let mut proof = HistoryEntry::new(clock::now(), "deployment");
        proof.host = Some(host.clone());
        proof.revision = Some(revision());
        proof.outcome = Some("converged".into());
        world.store.append(&proof).await.unwrap();
    }
    let request = ReconcileRequest {
        hosts: Hosts::Named(hosts),
        instead: Some(Instead::Proven),
        action: None,
        then: Then::Nothing,
        insistence: Insistence::Asked,
        follow: Follow::No,
        by: "ada".into(),
    };
    (world, request)
}

fn revision() -> Revision {
    "a".repeat(40).parse().unwrap()
}

#[tokio::test]
async fn a_request_pins_and_queues_every_host_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let (world, request) = before_a_rollback(folder.path()).await;
    let queued = reconcile(&world, &request).await.unwrap();
    let pinned: Vec<_> = queued.values().map(|order| order.pinned.clone()).collect();
    assert_eq!(pinned, [Some(revision()), Some(revision())]);
    assert_eq!(world.store.pins().await.unwrap().len(), 2);
    assert!(queued.keys().all(|host| world.orders.has(host)));
}

#[tokio::test]
async fn a_request_that_one_host_has_no_room_for_pins_and_queues_none() {
    let folder = tempfile::tempdir().unwrap();
    let (world, request) = before_a_rollback(folder.path()).await;
    let (free, full) = ("cyt-pi".parse().unwrap(), "spare".parse().unwrap());
    let one = ReconcileRequest {
        hosts: Hosts::Named(vec![HostName::clone(&full)]),
        instead: None,
        ..request.clone()
    };
    while reconcile(&world, &one).await.is_ok() {}
    let refused = reconcile(&world, &request).await;
    assert!(
        matches!(&refused, Err(RequestError::TooManyOrders(error)) if error.host == full),
        "{refused:?}"
    );
    assert!(!world.orders.has(&free));
    assert_eq!(world.store.pins().await.unwrap(), []);
}
