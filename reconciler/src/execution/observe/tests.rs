use std::time::Duration;

use planning::model::order::Trigger;

use super::*;
use crate::testing::{lost, refused, scene, system};

const HOST: &str = "[hosts.cyt-pi]";

#[test]
fn a_host_that_was_reached_and_lets_nobody_in_is_told_from_one_that_is_away() {
    let away = Unseen::from(lost()).outcome();
    assert_eq!(away.label(), "unreachable");
    let refused = Unseen::from(refused()).outcome();
    assert_eq!(refused.label(), "access_refused");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_is_overdue_at_last_and_forgiven_when_it_answers_again() {
    let scene = scene(&format!("{HOST}\noverdue_after = \"5m\"")).await;
    scene.settle().await;
    scene.change(|host| host.is_away = true);
    tokio::time::advance(Duration::from_secs(60)).await;
    scene.reconcile().await;
    let away = scene.state().presence;
    assert!(away.unreachable.is_some() && away.overdue_since.is_none());
    tokio::time::advance(Duration::from_secs(300)).await;
    scene.reconcile().await;
    assert!(scene.state().presence.overdue_since.is_some());
    scene.change(|host| host.is_away = false);
    scene.reconcile().await;
    let back = scene.state().presence;
    assert_eq!((back.unreachable, back.overdue_since), (None, None));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_learned_from_another_machine_that_answers_under_the_name_until_forced() {
    let scene = scene(HOST).await;
    scene.settle().await;
    let facts = scene.state().facts;
    scene.change(|host| {
        host.says.machine_id = "another".into();
        host.is_on(&system('0'));
    });
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "another_machine");
    assert_eq!(scene.state().facts, facts);
    assert_eq!(scene.script().calls(), ["observe cyt-pi"]);
    scene.give(scene.order(Trigger::Forced));
    scene.reconcile().await;
    assert!(scene.is_on('a'));
    let learned = scene.state().facts.machine_id;
    assert_eq!(learned.as_deref(), Some("another"));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_known_by_its_host_key_may_have_another_machine_id_after_each_boot() {
    let scene = scene(&format!("{HOST}\nidentity = \"host-key\"")).await;
    scene.settle().await;
    for boot in ["one", "another"] {
        scene.change(|host| host.says.machine_id = boot.into());
        let done = scene.reconcile().await;
        assert_eq!(done.report.decision.label(), "up_to_date");
    }
    scene.push('b');
    scene.reconcile().await;
    assert!(scene.is_on('b'));
}

#[tokio::test(start_paused = true)]
async fn what_an_activation_left_is_swept_up_by_the_next_look_where_that_failed_before() {
    let scene = scene(HOST).await;
    scene.script().fails("clean up", lost());
    scene.reconcile().await;
    assert!(scene.state().traces.leftovers.is_some());
    scene.script().calls();
    scene.reconcile().await;
    assert_eq!(
        scene.script().calls(),
        ["observe cyt-pi", "clean up cyt-pi"]
    );
    assert!(
        scene.state().traces.leftovers.is_some(),
        "whether that worked is seen later"
    );
    scene.reconcile().await;
    assert_eq!(scene.state().traces.leftovers, None);
    assert_eq!(scene.script().calls(), ["observe cyt-pi"]);
}
