use planning::model::host_state::HostState;

use super::*;
use crate::testing::{scene, system};

const HOST: &str = "[hosts.cyt-pi]";

#[tokio::test(start_paused = true)]
async fn all_that_is_stored_of_a_host_is_read_in_one_turn() {
    let scene = scene(HOST).await;
    scene.settle().await;
    scene.pin('b');
    scene.suspend();
    let before = scene.context.store.turns();
    let stored = scene.stored();
    let after = scene.context.store.turns();
    assert_eq!(
        (after.reads - before.reads, after.writes),
        (1, before.writes)
    );
    assert!(stored.wish.is_some() && stored.pin.is_some() && stored.suspension.is_some());
    assert_eq!(stored.remembered.state.facts.running, Some(system('a')));
    let clients = scene.context.clients();
    let config = clients.host(&scene.host).unwrap();
    let known = stored.known(&scene.host, config);
    assert_eq!(known.pin, stored.pin.as_ref());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_of_a_host_of_which_nothing_is_stored() {
    let scene = scene(HOST).await;
    let stored = scene.of("spare").stored();
    assert_eq!(stored.remembered.state, HostState::default());
    assert_eq!((stored.wish, stored.in_flight), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_damaged_is_kept_as_it_is_and_its_host_left_alone() {
    let scene = scene(HOST).await;
    scene.write_document("half of a docu");
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "not_understood");
    assert!(scene.is_on('0'));
    let kept = scene.stored().on_disk.document();
    assert!(kept.contains("half of a docu"), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_and_not_written_down_yet_counts() {
    let scene = scene(HOST).await;
    scene.settle().await;
    let mut newer = scene.stored().remembered;
    newer.state.facts.nix_store_free = Some(7);
    let last_seen = &scene.context.registries.last_seen;
    last_seen.note(&scene.host, newer.clone());
    let stored = scene.stored();
    assert_eq!(stored.remembered.state.facts.nix_store_free, Some(7));
    assert_eq!(stored.on_disk.state.facts.nix_store_free, None);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_now_still_is_to_be() {
    let scene = scene(HOST).await;
    scene.settle().await;
    scene.reconcile().await;
    let last_seen = &scene.context.registries.last_seen;
    let waiting = last_seen.all();
    assert_eq!(waiting.len(), 1);
    scene.break_state().await;
    write_last_seen(&scene.context).await.unwrap_err();
    assert_eq!(last_seen.all(), waiting);
}
