use std::time::SystemTime;

use deploy::{BuildRoot, CollectError};

use super::*;
use crate::testing::{BEGINNING, Scene, revision, scene, system};

const DUE: &str = "[hosts.cyt-pi]\n[store]\ncollect_every = \"1d\"";
const MINUTE: Duration = Duration::from_secs(60);

/// Looks after the store for a while.
async fn look_for(scene: &Scene, time: Duration) {
    let stop = CancellationToken::new();
    let looking = tokio::spawn(look_after(Arc::clone(&scene.context), stop.clone()));
    tokio::time::sleep(time).await;
    stop.cancel();
    looking.await.unwrap();
}

async fn last(scene: &Scene) -> Option<Collection> {
    let last = scene.context.store.last_collection(&NixStore::Controller);
    last.await.unwrap()
}

/// Builds that are kept: the host's name, the commit, and how many days ago it was built.
fn builds(scene: &Scene, all: &[(&str, char, u64)]) {
    let root = |(host, digit, days): &(&str, char, u64)| {
        let ago = Duration::from_secs(days * 24 * 3600);
        BuildRoot {
            host: (*host).into(),
            revision: revision(*digit).to_string(),
            toplevel: Some(system(*digit)),
            built_at: SystemTime::from(BEGINNING) - ago,
            path: "/roots".into(),
        }
    };
    *scene.outside.nix.roots.lock() = all.iter().map(root).collect();
}

#[tokio::test]
async fn that_a_collection_waits_is_said_once_for_each_cause() {
    let mut looks = Looks {
        next_round: Instant::now(),
        said: None,
    };
    let space = |free| Some(Cause::Space { free, below: 10 });
    let said: Vec<bool> = [
        None,
        Some(Cause::Period),
        Some(Cause::Period),
        space(9),
        space(8),
        None,
        space(7),
    ]
    .map(|cause| looks.is_news(cause))
    .into();
    assert_eq!(said, [false, true, false, true, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_collected_when_it_is_due_and_that_is_on_record() {
    let scene = scene(DUE).await;
    look_for(&scene, MINUTE).await;
    assert_eq!(scene.script().calls(), ["collect here"]);
    let collection = last(&scene).await.unwrap();
    assert_eq!(
        (collection.result, collection.freed),
        (CollectionResult::Done, 5)
    );
    look_for(&scene, MINUTE).await;
    assert_eq!(scene.script().calls(), [""; 0], "it is not due any more");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_ours_to_collect_is_left_as_it_is() {
    let scene = scene("[hosts.cyt-pi]").await;
    look_for(&scene, MINUTE).await;
    assert_eq!(scene.script().calls(), [""; 0]);
    assert_eq!(last(&scene).await, None);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_collected_where_less_is_free_than_should_be() {
    let scene = scene("[hosts.cyt-pi]\n[store]\ncollect_when_free_below = \"10G\"").await;
    *scene.outside.nix.free.lock() = Some(11 << 30);
    look_for(&scene, MINUTE).await;
    assert_eq!(scene.script().calls(), [""; 0]);
    *scene.outside.nix.free.lock() = Some(9 << 30);
    look_for(&scene, MINUTE).await;
    assert_eq!(scene.script().calls(), ["collect here"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_builds_is_not_disturbed_and_does_not_wait() {
    let scene = scene(DUE).await;
    let nix_store = Arc::clone(&scene.context.registries.nix_store);
    let build = nix_store.read().await;
    look_for(&scene, MINUTE).await;
    assert_eq!(scene.script().calls(), [""; 0]);
    assert!(nix_store.try_read().is_ok(), "others can build");
    drop(build);
    scene.at("collect here", move |_| {
        assert!(nix_store.try_read().is_err(), "it is held alone");
    });
    look_for(&scene, MINUTE).await;
    assert_eq!(scene.script().calls(), ["collect here"]);
}

#[tokio::test(start_paused = true)]
async fn a_collection_that_failed_is_on_record_and_tried_again_later() {
    let scene = scene(DUE).await;
    let detail = "no daemon".into();
    let failed = CollectError::Failed { detail };
    scene.script().fails("collect here", failed);
    look_for(&scene, MINUTE).await;
    let collection = last(&scene).await.unwrap();
    assert_eq!(collection.result, CollectionResult::Failed);
    assert!(collection.detail.contains("no daemon"));
    assert_eq!(scene.script().calls(), ["collect here"]);
    look_for(&scene, 60 * MINUTE).await;
    assert_eq!(scene.script().calls(), ["collect here"]);
}

#[tokio::test(start_paused = true)]
async fn builds_are_let_go_of_but_for_what_a_host_runs_wants_or_had_that_proved_itself() {
    let scene = scene("[hosts.cyt-pi]").await;
    // Proved itself, and then another did, which is wanted and runs.
    scene.settle().await;
    scene.push('b');
    scene.settle().await;
    builds(
        &scene,
        &[
            ("cyt-pi", 'b', 50),
            ("cyt-pi", 'a', 60),
            ("cyt-pi", 'c', 70),
            ("cyt-pi", 'd', 10),
            ("gone", 'e', 40),
        ],
    );
    look_for(&scene, MINUTE).await;
    let mut gone = scene.script().calls();
    gone.sort();
    assert_eq!(gone, ["let go of c", "let go of e"]);
}

#[tokio::test(start_paused = true)]
async fn builds_are_let_go_of_once_an_hour() {
    let scene = scene("[hosts.cyt-pi]").await;
    builds(&scene, &[("gone", 'e', 40)]);
    look_for(&scene, 59 * MINUTE).await;
    assert_eq!(scene.script().calls(), ["let go of e"]);
    look_for(&scene, 61 * MINUTE).await;
    assert_eq!(scene.script().calls(), ["let go of e"; 2]);
}
