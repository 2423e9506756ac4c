use std::time::Duration;

use planning::model::decision::{Decision, Why};
use planning::model::order::Trigger;

use super::*;
use crate::testing::{revision, scene};

const HOST: &str = "[hosts.cyt-pi]";
const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(start_paused = true)]
async fn nothing_is_evaluated_for_a_host_that_is_usually_off_and_is_unless_a_person_asks() {
    let scene = scene(&format!("{HOST}\navailability = \"intermittent\"")).await;
    scene.change(|host| host.is_away = true);
    scene.reconcile().await;
    assert_eq!(scene.script().calls(), ["observe cyt-pi"]);
    scene.give(scene.order(Trigger::Manual));
    scene.reconcile().await;
    assert_eq!(
        scene.script().calls(),
        ["observe cyt-pi", "evaluate a: cyt-pi"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_should_be_there_is_evaluated_for_while_it_is_away() {
    let scene = scene(HOST).await;
    scene.change(|host| host.is_away = true);
    scene.reconcile().await;
    assert_eq!(
        scene.script().calls(),
        ["observe cyt-pi", "evaluate a: cyt-pi"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_is_observed_while_its_commit_is_evaluated() {
    let scene = scene(HOST).await;
    scene.script().takes("observe", HOUR);
    scene.script().takes("evaluate", HOUR);
    let began = tokio::time::Instant::now();
    let (one, goal) = (scene.one(None), scene.goal());
    let facts = one.facts(&goal, &scene.state().progress).await.unwrap();
    assert_eq!(began.elapsed(), HOUR);
    assert!(facts.seen.is_ok() && matches!(facts.evaluation, Evaluation::Done { .. }));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_commit_that_is_not_trusted_is_run_whoever_asks() {
    let scene = scene(HOST).await;
    scene.outside.source.distrusted.lock().insert(revision('a'));
    for trigger in [Trigger::Scheduled, Trigger::Manual, Trigger::Forced] {
        scene.give(scene.order(trigger));
        let done = scene.reconcile().await;
        let decision = done.report.decision;
        let is_untrusted = |why: &Why| matches!(why, Why::Untrusted { .. });
        assert!(
            matches!(&decision, Decision::Wait { why } if is_untrusted(why)),
            "{decision:?}"
        );
        assert_eq!(scene.script().calls(), ["observe cyt-pi"]);
    }
    assert!(scene.is_on('0'));
}

#[tokio::test(start_paused = true)]
async fn what_was_evaluated_just_now_is_kept_from_being_collected() {
    let scene = scene(HOST).await;
    let (one, goal) = (scene.one(None), scene.goal());
    let collection = || scene.context.registries.nix_store.try_write().is_ok();
    let facts = one.facts(&goal, &scene.state().progress).await.unwrap();
    assert!(!collection());
    drop(facts);
    assert!(collection());
    let known = one.facts(&goal, &scene.state().progress).await.unwrap();
    assert!(collection(), "it was evaluated before: {known:?}");
}
