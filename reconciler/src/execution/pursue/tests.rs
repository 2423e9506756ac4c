mod specialised;

use std::time::Duration;

use deploy::{Action, ActivationVerdict, RollbackReason};
use planning::model::order::{Order, Trigger};

use super::*;
use crate::testing::{Scene, revision, scene, system};

const HOST: &str = "[hosts.cyt-pi]";
const MINUTE: Duration = Duration::from_secs(60);

/// A host that was good on `a`, and on which `b`, which is wanted now, could not stay.
async fn quarantined() -> Scene {
    let scene = scene(HOST).await;
    scene.settle().await;
    scene.push('b');
    let reason = RollbackReason::NotAcknowledged;
    scene.change(|host| host.verdict = Some(ActivationVerdict::RolledBack { reason }));
    scene.reconcile().await;
    scene.change(|host| host.verdict = None);
    assert_eq!(scene.history("deployment"), ["rolled_back", "converged"]);
    scene.script().calls();
    scene
}

/// An order to bring the host to a commit once.
fn once(scene: &Scene, digit: char, action: Action) -> Order {
    Order {
        revision: Some(revision(digit)),
        action: Some(action),
        ..scene.order(Trigger::Manual)
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_stay_is_not_tried_again_and_the_host_is_kept_where_it_was_good() {
    let scene = quarantined().await;
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "quarantined");
    assert!(scene.is_on('a'));
    scene.change(|host| host.is_on(&system('0')));
    let done = scene.reconcile().await;
    assert!(scene.is_on('a'), "drift is undone");
    assert_eq!(done.report.decision.label(), "quarantined");
    assert_eq!(done.report.outcome, None);
    let entry = scene.entries("deployment").remove(0);
    assert_eq!(entry.cause.as_deref(), Some("quarantine"));
    assert_eq!(entry.revision, Some(revision('a')));
}

#[tokio::test(start_paused = true)]
async fn being_where_it_was_good_lifts_no_quarantine_of_what_is_wanted() {
    let scene = quarantined().await;
    let before = scene.state();
    for _ in 0..3 {
        scene.reconcile().await;
    }
    let after = scene.state();
    assert_eq!(after.quarantine, before.quarantine);
    assert_eq!(after.progress.target, before.progress.target);
    assert_eq!(after.convergence.last_good, before.convergence.last_good);
    assert_eq!(scene.entries("deployment").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_commit_ends_the_quarantine_by_staying() {
    let scene = quarantined().await;
    scene.push('c');
    scene.reconcile().await;
    assert!(scene.is_on('c'));
    assert_eq!(scene.state().quarantine, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_once_leaves_no_trace_but_what_was_learned_of_the_host() {
    let scene = quarantined().await;
    scene.reconcile().await;
    let before = scene.state();
    scene.give(once(&scene, 'c', Action::Test));
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    let after = scene.state();
    assert_eq!(after.progress, before.progress);
    assert_eq!(after.convergence, before.convergence);
    assert_eq!(after.quarantine, before.quarantine);
    assert_eq!(after.facts.running, Some(system('c')));
    let entry = scene.entries("deployment").remove(0);
    assert_eq!(entry.cause.as_deref(), Some("person ada"));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_stay_when_it_was_tried_once_is_a_fact_all_the_same() {
    let scene = scene(HOST).await;
    scene.settle().await;
    let reason = RollbackReason::NotAcknowledged;
    scene.change(|host| host.verdict = Some(ActivationVerdict::RolledBack { reason }));
    scene.give(once(&scene, 'b', Action::Test));
    scene.reconcile().await;
    let quarantine = scene.state().quarantine.unwrap();
    assert_eq!(quarantine.toplevel, system('b'));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_by_then_is_on_record_while_a_system_is_built() {
    let scene = scene(HOST).await;
    scene.at("build", |scene| {
        let known = scene.context.store.host_record(&scene.host);
        let known = futures::FutureExt::now_or_never(known).unwrap().unwrap();
        let document = known.document.expect("it is on disk");
        assert!(document.contains("system-a"), "{document}");
    });
    scene.reconcile().await;
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_something_else_changed_is_brought_back_and_both_are_told_once() {
    let scene = scene(HOST).await;
    scene.settle().await;
    scene.change(|host| host.is_on(&system('0')));
    scene.reconcile().await;
    assert!(scene.is_on('a'));
    scene.reconcile().await;
    let [drift] = &scene.history("drift")[..] else {
        panic!("{:?}", scene.history("drift"));
    };
    assert!(drift.contains("system-0"), "{drift}");
    assert_eq!(scene.history("deployment"), ["converged", "converged"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_is_observed_again_after_an_evaluation_that_took_minutes() {
    let scene = scene(HOST).await;
    scene.script().takes("evaluate", MINUTE);
    scene.at("evaluate", |scene| {
        scene.change(|host| host.is_on(&system('a')));
    });
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision, Decision::UpToDate);
    let calls = ["observe cyt-pi", "evaluate a: cyt-pi", "observe cyt-pi"];
    assert_eq!(scene.script().calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_host_is_looked_at_and_left_as_it_is() {
    let scene = scene(HOST).await;
    scene.suspend();
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "suspended");
    assert!(scene.is_on('0'));
    assert_eq!(scene.state().facts.running, Some(system('0')));
    scene.give(scene.order(Trigger::Forced));
    scene.reconcile().await;
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_of_a_later_version_leaves_its_host_alone_until_forced() {
    let scene = scene(HOST).await;
    scene.write_document("{\"quarantine\": \"of a later version\"}");
    for trigger in [Trigger::Scheduled, Trigger::Manual] {
        scene.give(scene.order(trigger));
        let done = scene.reconcile().await;
        assert_eq!(done.report.decision.label(), "not_understood");
        assert!(scene.is_on('0'));
    }
    let stored = scene.stored();
    assert_eq!(
        stored.on_disk.unread.guard(),
        Some("quarantine"),
        "it is kept"
    );
    assert_eq!(scene.history("wait").len(), 1);
    scene.give(scene.order(Trigger::Forced));
    scene.reconcile().await;
    assert!(scene.is_on('a'));
    assert!(scene.stored().on_disk.unread.is_empty());
}

#[tokio::test(start_paused = true)]
async fn how_the_wanted_commit_failed_is_on_record_also_where_the_host_falls_back() {
    let scene = quarantined().await;
    scene.reconfigure(&format!("{HOST}\nattribute = \"another\""));
    let error = deploy::EvaluateError::Code {
        detail: "broken".into(),
    };
    scene.script().fails("evaluate b", error);
    scene.change(|host| host.is_on(&system('0')));
    scene.reconcile().await;
    assert!(scene.is_on('a'));
    let ends = ["converged", "evaluation_failed", "rolled_back", "converged"];
    assert_eq!(scene.history("deployment"), ends);
}

#[tokio::test(start_paused = true)]
async fn that_something_else_changed_a_host_is_told_also_where_undoing_it_for_once_is_overtaken() {
    let scene = scene(&format!("{HOST}\naction = \"test\"")).await;
    scene.settle().await;
    scene.change(|host| host.is_on(&system('0')));
    scene.give(once(&scene, 'a', Action::Test));
    scene.at("copy", Scene::suspend);
    scene.script().takes("copy", MINUTE);
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Superseded));
    assert_eq!(scene.history("drift").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_trusted_no_more_once_it_was_evaluated_is_not_deployed() {
    let scene = scene(HOST).await;
    scene.at("evaluate", |scene| {
        let mut distrusted = scene.outside.source.distrusted.lock();
        distrusted.insert(revision('a'));
    });
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "untrusted");
    assert!(scene.is_on('0'));
}
