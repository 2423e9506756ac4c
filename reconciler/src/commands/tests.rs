//! Requests that are carried out for every host that they name, or for none.

use std::path::Path;
use std::sync::Arc;

use desired_state::{HostName, Revision};
use planning::model::history::HistoryKind;
use planning::model::order::{Then, Trigger};
use planning::model::requests::{HostSelection, Instead, ReconcileRequest, Wait};

use crate::commands::error::RequestError;
use crate::commands::reconcile::reconcile;
use crate::context::Context;
use crate::testing::context;

/// A context of two hosts that have been on another commit before, and a way back for both of them.
async fn before_a_rollback(folder: &Path) -> (Arc<Context>, ReconcileRequest) {
    let context = context(folder, "[hosts.cyt-pi]\n[hosts.spare]").await;
    let hosts: Vec<HostName> = context.clients().config.hosts.keys().cloned().collect();
    for host in &hosts {
        let mut proof = HistoryKind::Deployment.entry(context.now());
        proof.host = Some(host.clone());
        proof.revision = Some(revision());
        proof.outcome = Some("converged".into());
        context.store.append(&proof).await.unwrap();
    }
    let request = ReconcileRequest {
        hosts: HostSelection::Named(hosts),
        instead: Some(Instead::Proven),
        action: None,
        then: Then::Nothing,
        trigger: Trigger::Manual,
        wait: Wait::No,
        by: "ada".into(),
    };
    (context, request)
}

fn revision() -> Revision {
    "a".repeat(40).parse().unwrap()
}

#[tokio::test]
async fn a_request_pins_and_queues_every_host_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let (context, request) = before_a_rollback(folder.path()).await;
    let queued = reconcile(&context, &request).await.unwrap();
    let pinned: Vec<_> = queued.values().map(|order| order.pinned.clone()).collect();
    assert_eq!(pinned, [Some(revision()), Some(revision())]);
    assert_eq!(context.store.pins().await.unwrap().len(), 2);
    assert!(queued.keys().all(|host| context.orders.has(host)));
}

#[tokio::test]
async fn a_request_that_one_host_has_no_room_for_pins_and_queues_none() {
    let folder = tempfile::tempdir().unwrap();
    let (context, request) = before_a_rollback(folder.path()).await;
    let (free, full) = ("cyt-pi".parse().unwrap(), "spare".parse().unwrap());
    let one = ReconcileRequest {
        hosts: HostSelection::Named(vec![HostName::clone(&full)]),
        instead: None,
        ..request.clone()
    };
    while reconcile(&context, &one).await.is_ok() {}
    let refused = reconcile(&context, &request).await;
    assert!(
        matches!(&refused, Err(RequestError::TooManyOrders(error)) if error.host == full),
        "{refused:?}"
    );
    assert!(!context.orders.has(&free));
    assert_eq!(context.store.pins().await.unwrap(), []);
}
