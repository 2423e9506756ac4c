use deploy::CollectOnHostError;
use planning::model::order::Trigger;

use super::*;
use crate::context::ports::HostError;
use crate::testing::{Scene, THIS_MACHINE, scene, system};

const HOST: &str = "[hosts.cyt-pi]\nstore.collect_every = \"1d\"";

/// A host on what is wanted, and nothing else is to be done there.
async fn at_rest(tables: &str) -> Scene {
    let scene = scene(tables).await;
    scene.reconcile().await;
    scene.script().calls();
    scene
}

/// Whether a reconciliation has the host collect its garbage.
async fn collects(scene: &Scene) -> bool {
    scene.reconcile().await;
    let calls = scene.script().calls();
    calls.iter().any(|call| call == "collect cyt-pi")
}

#[tokio::test(start_paused = true)]
async fn a_host_at_rest_collects_its_garbage_when_that_is_due_and_it_is_on_record() {
    let scene = at_rest(HOST).await;
    assert!(collects(&scene).await);
    let last = scene.stored().last_collection.unwrap();
    assert_eq!((last.result, last.freed), (CollectionResult::Done, 5));
    assert_eq!(last.detail, "2 generations, 3 paths");
    assert!(!collects(&scene).await, "it is not due");
    tokio::time::advance(std::time::Duration::from_secs(24 * 60 * 60)).await;
    assert!(collects(&scene).await);
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_garbage_is_not_ours_collects_none() {
    let scene = at_rest("[hosts.cyt-pi]").await;
    assert!(!collects(&scene).await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_collected_where_somebody_else_is_at_work() {
    let held = SwitchLock::Held {
        by: "nixos-rebuild".into(),
    };
    let changes: [fn(&Scene); 4] = [
        |scene| scene.give(scene.order(Trigger::Manual)),
        Scene::suspend,
        |scene| scene.push('b'),
        |scene| scene.at("observe", |scene| scene.change(|host| host.is_away = true)),
    ];
    for change in changes {
        let scene = at_rest(HOST).await;
        change(&scene);
        assert!(!collects(&scene).await);
    }
    let scene = at_rest(HOST).await;
    scene.change(|host| host.says.switch_lock = held);
    assert!(!collects(&scene).await);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_boots_something_else_by_now_is_no_host_at_rest() {
    let scene = at_rest(HOST).await;
    let state = scene.state();
    let seen = async || scene.one(None).observe().await.unwrap();
    assert!(is_at_rest(&state, Identity::MachineId, &seen().await));
    scene.change(|host| host.says.profile = Some(system('0')));
    assert!(!is_at_rest(&state, Identity::MachineId, &seen().await));
    scene.change(|host| host.is_on(&system('a')));
    scene.change(|host| host.says.machine_id = "another".into());
    assert!(!is_at_rest(&state, Identity::MachineId, &seen().await));
}

#[tokio::test(start_paused = true)]
async fn the_host_that_we_run_on_is_left_alone_while_something_is_built_there() {
    let scene = scene(HOST).await;
    scene.change(|host| host.says.machine_id = THIS_MACHINE.into());
    scene.reconcile().await;
    let build = scene.context.registries.nix_store.read().await;
    assert!(!collects(&scene).await);
    drop(build);
    assert!(collects(&scene).await);
}

#[tokio::test(start_paused = true)]
async fn a_collection_of_which_nothing_is_known_is_a_failure_and_is_tried_again_later() {
    let scene = at_rest(HOST).await;
    let error = CollectOnHostError::Unreadable("nonsense".into());
    scene.script().fails("collect", HostError::Collect(error));
    assert!(collects(&scene).await);
    let last = scene.stored().last_collection.unwrap();
    assert_eq!(last.result, CollectionResult::Failed);
    assert!(!collects(&scene).await);
    tokio::time::advance(std::time::Duration::from_secs(60 * 60)).await;
    assert!(collects(&scene).await);
}

#[tokio::test(start_paused = true)]
async fn a_host_of_whose_state_a_guard_is_not_understood_collects_none() {
    let scene = at_rest(HOST).await;
    scene.write_document("{\"reboot\": \"of a later version\"}");
    scene.reconcile().await;
    assert!(!collects(&scene).await);
}
