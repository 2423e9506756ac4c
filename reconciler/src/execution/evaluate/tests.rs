use deploy::NixTrouble;
use planning::model::order::Trigger;

use super::*;
use crate::testing::{Scene, scene};

const HOST: &str = "[hosts.cyt-pi]";

fn broken() -> EvaluateError {
    EvaluateError::Code {
        detail: "syntax error".into(),
    }
}

/// The evaluations since they were last asked for.
fn evaluations(scene: &Scene) -> Vec<String> {
    let mut calls = scene.script().calls();
    calls.retain(|call| call.starts_with("evaluate") || call == "doubt");
    calls
}

#[tokio::test(start_paused = true)]
async fn hosts_that_want_the_same_commit_share_one_evaluation() {
    let others = "[hosts.off]\navailability = \"intermittent\"\n[hosts.spare]";
    let scene = scene(&format!("{HOST}\n{others}\n[hosts.ahead]")).await;
    scene.push_to(&"ahead".parse().unwrap(), 'b');
    let (cyt_pi, spare) = (scene.of("cyt-pi"), scene.of("spare"));
    scene.script().takes("evaluate", Duration::from_secs(60));
    tokio::join!(cyt_pi.reconcile(), spare.reconcile());
    assert_eq!(evaluations(&scene), ["evaluate a: cyt-pi spare"]);
    assert!(cyt_pi.is_on('a') && spare.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn what_a_commit_evaluates_to_is_known_over_a_restart() {
    let scene = scene(HOST).await;
    scene.settle().await;
    let scene = scene.restart();
    let goal = scene.goal();
    let known = scene.one(None).evaluated(&goal.target.revision).await;
    let expected = crate::testing::evaluated(goal.target.revision.as_str());
    assert_eq!(known.unwrap(), Some(expected));
    scene.reconcile().await;
    assert_eq!(evaluations(&scene), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_mirror_lacks_has_it_looked_at_closely() {
    let scene = scene(HOST).await;
    let missing = EvaluateError::RevisionMissing {
        revision: "a".into(),
        detail: String::new(),
    };
    scene.script().fails("evaluate", missing);
    scene.reconcile().await;
    assert_eq!(evaluations(&scene), ["evaluate a: cyt-pi", "doubt"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_evaluated_is_not_tried_again_before_a_person_forces_it() {
    let scene = scene(HOST).await;
    scene.script().fails("evaluate", broken());
    let done = scene.reconcile().await;
    let outcome = done.report.outcome.unwrap();
    assert_eq!(outcome.label(), "evaluation_failed", "{outcome}");
    assert_eq!(scene.history("deployment"), ["evaluation_failed"]);
    evaluations(&scene);
    for trigger in [Trigger::Scheduled, Trigger::Manual] {
        scene.give(scene.order(trigger));
        scene.reconcile().await;
        assert_eq!(evaluations(&scene), [""; 0], "{trigger:?}");
    }
    scene.give(scene.order(Trigger::Forced));
    scene.reconcile().await;
    assert_eq!(evaluations(&scene), ["evaluate a: cyt-pi"]);
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_lacks_its_submodules_is_refused_before_anything_is_evaluated() {
    let scene = scene(HOST).await;
    let lacking = scene.goal().target.revision;
    scene.outside.source.with_submodules.lock().insert(lacking);
    let done = scene.reconcile().await;
    let outcome = done.report.outcome.unwrap();
    assert_eq!(outcome.label(), "evaluation_failed", "{outcome}");
    assert!(outcome.to_string().contains("submodules"), "{outcome}");
    assert_eq!(evaluations(&scene), [""; 0]);
    assert!(!scene.is_on('a'));
    // It is the commit's own fault: another one is taken up.
    scene.push('b');
    scene.reconcile().await;
    assert!(scene.is_on('b'));
}

#[tokio::test(start_paused = true)]
async fn an_evaluation_that_took_too_long_is_told_with_its_limit() {
    let scene = scene(&format!("{HOST}\ntimeouts.evaluate = \"5m\"")).await;
    let trouble = NixTrouble::TimedOut {
        after: Duration::from_secs(300),
        last_words: String::new(),
    };
    scene
        .script()
        .fails("evaluate", EvaluateError::Nix(trouble));
    let done = scene.reconcile().await;
    let expected = timed_out("evaluate", Duration::from_secs(300));
    assert_eq!(done.report.outcome, Some(expected));
}
