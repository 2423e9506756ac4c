use futures::FutureExt as _;
use planning::model::attempt::Attempt;
use planning::model::goal::Goal;
use tokio::time::timeout;

use super::*;
use crate::state::host::write_last_seen;
use crate::testing::{Scene, scene, system};

const HOST: &str = "[hosts.cyt-pi]";
const MINUTE: Duration = Duration::from_secs(60);

/// A document that is too long for the store: nothing of its record can be written.
fn too_long(state: &mut HostState) {
    state.presence.unreachable = Some("x".repeat(2 << 20));
}

/// What is on disk of the host.
fn on_disk(scene: &Scene) -> HostState {
    scene.stored().on_disk.state
}

/// A host whose activation goes on unattended.
async fn in_flight() -> Scene {
    let scene = scene(HOST).await;
    scene.change(|host| host.goes_silent = true);
    scene.reconcile().await;
    scene.change(|host| host.is_away = false);
    scene.script().calls();
    scene
}

#[tokio::test(start_paused = true)]
async fn an_end_the_state_and_the_history_are_written_together_or_not_at_all() {
    let scene = in_flight().await;
    let one = scene.one(None);
    let mut stored = scene.stored();
    let deployment = stored.in_flight.clone().unwrap();
    let before = on_disk(&scene);
    let attempt = one.resume(&deployment).await.unwrap();
    let ended = one.conclude(&mut stored.remembered.state, attempt);
    too_long(&mut stored.remembered.state);
    scene.script().calls();
    one.record(&mut stored, ended.into()).await.unwrap_err();
    assert_eq!(scene.in_flight(), Some(deployment));
    assert_eq!(scene.history("deployment"), [""; 0]);
    assert_eq!(on_disk(&scene), before);
    assert_eq!(scene.script().calls(), [""; 0], "nothing is cleaned up");
    // It is found out again.
    scene.reconcile().await;
    assert_eq!(scene.in_flight(), None);
    assert_eq!(scene.history("deployment"), ["converged"]);
    assert_eq!(on_disk(&scene).facts.running, Some(system('a')));
}

#[tokio::test(start_paused = true)]
async fn what_an_activation_left_is_cleaned_up_once_its_end_is_on_record() {
    let scene = scene(HOST).await;
    scene.at("clean up", |scene| {
        assert_eq!(scene.history("deployment"), ["converged"]);
        assert_eq!(scene.in_flight(), None);
    });
    scene.reconcile().await;
    let calls = scene.script().calls();
    assert_eq!(calls.last().map(String::as_str), Some("clean up cyt-pi"));
}

#[tokio::test(start_paused = true)]
async fn that_a_quiet_host_was_seen_again_is_known_and_not_written_at_once() {
    let scene = scene(HOST).await;
    scene.settle().await;
    let written = on_disk(&scene).presence.last_seen;
    tokio::time::advance(MINUTE).await;
    let writes = scene.context.store.turns().writes;
    scene.reconcile().await;
    assert_eq!(scene.context.store.turns().writes, writes);
    assert_eq!(on_disk(&scene).presence.last_seen, written);
    let last_seen = scene.state().presence.last_seen;
    assert_eq!(last_seen, Some(scene.context.now()));
    write_last_seen(&scene.context).await.unwrap();
    assert_eq!(on_disk(&scene).presence.last_seen, last_seen);
}

#[tokio::test(start_paused = true)]
async fn when_a_host_was_last_seen_never_overwrites_what_was_recorded_since() {
    let scene = scene(HOST).await;
    scene.settle().await;
    tokio::time::advance(MINUTE).await;
    scene.reconcile().await;
    scene.push('b');
    scene.reconcile().await;
    let recorded = on_disk(&scene);
    write_last_seen(&scene.context).await.unwrap();
    assert_eq!(on_disk(&scene), recorded);
    assert_eq!(recorded.facts.running, Some(system('b')));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_of_a_host_while_it_is_written_when_hosts_were_last_seen() {
    let scene = scene(HOST).await;
    let one = scene.one(None);
    let mut stored = scene.stored();
    one.note_seen(&mut stored.remembered.state, &one.observe().await);
    let writing = scene.context.registries.last_seen.writing.write().await;
    let record = one.record(&mut stored, Findings::default());
    timeout(MINUTE, record).await.unwrap_err();
    assert_eq!(on_disk(&scene).facts.running, None);
    drop(writing);
    one.record(&mut stored, Findings::default()).await.unwrap();
    assert_eq!(on_disk(&scene).facts.running, Some(system('0')));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_not_understood_is_kept_by_every_record() {
    let scene = scene(HOST).await;
    scene.write_document("{\"a_part\": \"of a later version\"}");
    scene.settle().await;
    let record = scene.context.store.host_record(&scene.host);
    let record = record.now_or_never().unwrap().unwrap();
    let document = record.document.unwrap();
    assert!(document.contains("of a later version"), "{document}");
    assert!(document.contains("system-a"), "{document}");
}

#[tokio::test(start_paused = true)]
async fn what_was_overtaken_before_anything_was_started_is_not_told() {
    let scene = scene(HOST).await;
    let one = scene.one(None);
    let mut stored = scene.stored();
    let attempt = Attempt::of_goal(&scene.goal(), None, one.now(), Outcome::Superseded);
    let ended = one.conclude(&mut stored.remembered.state, attempt);
    one.record(&mut stored, ended.into()).await.unwrap();
    assert_eq!(scene.history("deployment"), [""; 0]);
    let outcome = on_disk(&scene).progress.outcome;
    assert_eq!(outcome, Some(Outcome::Superseded));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_arrives_is_counted_once_with_the_time_that_its_push_took() {
    let scene = scene(HOST).await;
    let one = scene.one(None);
    tokio::time::advance(MINUTE).await;
    let mut state = scene.state();
    let goal: Goal = scene.goal();
    let arrive = |state: &mut HostState| {
        let attempt = Attempt::of_goal(&goal, Some(system('a')), one.now(), Outcome::Converged);
        let ended = one.conclude(state, attempt);
        assert_eq!(ended.at, one.now());
        ended.arrival
    };
    assert_eq!(arrive(&mut state), Arrival::First);
    scene.reconcile().await;
    let text = scene.context.metrics.text().unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("reconcile_convergence_seconds_sum 60"),
        "{text}"
    );
    assert_eq!(arrive(&mut scene.state()), Arrival::No);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_left_the_fleet_meanwhile_is_not_shown_any_more() {
    let scene = scene(HOST).await;
    let one = scene.one(None);
    let mut stored = scene.stored();
    scene.reconfigure("[hosts.spare]");
    one.record(&mut stored, Findings::default()).await.unwrap();
    let text = scene.context.metrics.text().unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("cyt-pi"), "{text}");
}
