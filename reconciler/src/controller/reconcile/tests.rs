use deploy::{ActivationVerdict, BuildError, RollbackReason};
use planning::model::order::Trigger;
use tokio::time::{Instant, timeout};

use super::*;
use crate::testing::{host, revision, scene};

const HOST: &str = "[hosts.cyt-pi]";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(start_paused = true)]
async fn a_host_is_brought_to_what_its_branch_asks_for_and_is_then_left_alone() {
    let scene = scene(HOST).await;
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    assert_eq!(done.report.revision, Some(revision('a')));
    assert!(scene.is_on('a'));
    assert_eq!(scene.history("deployment"), ["converged"]);
    scene.script().calls();
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision, Decision::UpToDate);
    assert_eq!((done.report.outcome, done.next), (None, MINUTE));
    assert_eq!(scene.script().calls(), ["observe cyt-pi"]);
}

#[tokio::test(start_paused = true)]
async fn an_up_to_date_hosts_failed_units_are_told_but_for_those_that_do_not_matter() {
    let tables = format!("{HOST}\nproof = {{ ignored_units = [\"back*.service\"] }}");
    let scene = scene(&tables).await;
    scene.settle().await;
    let units = ["app.service", "backup.service"].map(String::from);
    scene.change(|host| host.says.failed_units = units.into());
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision, Decision::UpToDate);
    assert_eq!(done.report.failed_units, ["app.service"]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_look_at_a_host_that_is_up_to_date_makes_three_reads_at_most_and_no_durable_write()
{
    let scene = scene(HOST).await;
    scene.settle().await;
    for _ in 0..3 {
        tokio::time::advance(MINUTE).await;
        let before = scene.context.store.turns();
        scene.reconcile().await;
        let after = scene.context.store.turns();
        assert!(after.reads - before.reads <= 3, "{before:?} {after:?}");
        assert_eq!(after.writes, before.writes);
        let last_seen = scene.state().presence.last_seen;
        assert_eq!(last_seen, Some(scene.context.now()), "it is known");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_is_left_as_it_is_while_the_state_cannot_be_used_and_that_is_told() {
    let scene = scene(HOST).await;
    scene.break_state().await;
    let done = scene.reconcile().await;
    let Decision::Wait {
        why: Why::StateUnusable { detail },
    } = done.report.decision
    else {
        panic!("{done:?}");
    };
    assert!(detail.contains("state.db"), "{detail}");
    assert_eq!(done.next, AFTER_STORE_ERROR);
    assert_eq!(scene.script().calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_comes_during_a_reconciliation_is_carried_out_right_after_it() {
    let scene = scene(HOST).await;
    scene.settle().await;
    scene.at("observe", |scene| scene.give(scene.order(Trigger::Manual)));
    let done = scene.reconcile().await;
    assert_eq!((done.report.order, done.next), (None, Duration::ZERO));
    let done = scene.reconcile().await;
    assert_eq!((done.report.order, done.next), (Some(1), MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_left_the_fleet_is_looked_at_no_more() {
    let scene = scene(HOST).await;
    scene.reconfigure("[hosts.spare]");
    let next = reconcile(Arc::clone(&scene.context), host("cyt-pi")).await;
    assert_eq!(next, None);
    assert_eq!(scene.script().calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn work_that_is_overtaken_is_told_so_and_the_host_is_looked_at_again_at_once() {
    let scene = scene(HOST).await;
    scene.at("build a", |scene| scene.push('b'));
    scene.script().takes("build a", HOUR);
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Superseded));
    let why = Why::Superseded;
    assert_eq!(done.report.decision, Decision::Wait { why });
    assert_eq!(done.next, Duration::ZERO);
    assert_eq!(scene.history("deployment"), [""; 0]);
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    assert!(scene.is_on('b'));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_waits_for_its_window_is_looked_at_when_that_opens() {
    let night = "windows = [{ from = \"22:00\", to = \"05:00\", time_zone = \"UTC\" }]";
    let scene = scene(&format!("{HOST}\ninterval = \"1d\"\n{night}")).await;
    let done = scene.reconcile().await;
    let decision = &done.report.decision;
    assert_eq!(decision.label(), "window_closed", "{decision:?}");
    assert_eq!(done.next, 14 * HOUR);
    assert_eq!(scene.history("wait").len(), 1);
    tokio::time::advance(done.next).await;
    scene.reconcile().await;
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_once_its_backoff_has_passed() {
    let scene = scene(HOST).await;
    let gone = |text: &str| BuildError::BuilderKilled {
        derivation: "system".into(),
        how: text.into(),
        log: String::new(),
    };
    scene.script().fails("build", gone("was killed"));
    let done = scene.reconcile().await;
    assert_eq!(scene.history("deployment"), ["build_failed"]);
    assert_eq!(done.next, Duration::from_secs(10));
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "backing_off");
    tokio::time::advance(done.next).await;
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
}

#[tokio::test(start_paused = true)]
async fn of_a_host_of_which_nothing_is_wanted_it_is_learned_what_it_runs() {
    let scene = scene(HOST).await;
    scene.reconfigure("[hosts.cyt-pi]\nbranch = \"stable\"");
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "no_revision");
    assert_eq!(done.next, MINUTE);
    assert!(scene.state().facts.running.is_some());
    assert_eq!(scene.script().calls(), ["observe cyt-pi"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_config_has_changed_begins_with_a_clean_slate_once() {
    let scene = scene(HOST).await;
    scene.could_not_stay_on(&scene.host, 'a');
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "quarantined");
    scene.context.registries.forgiven.insert(&scene.host);
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    assert!(!scene.context.registries.forgiven.take(&scene.host));
}

#[tokio::test(start_paused = true)]
async fn a_changed_config_forgives_nothing_that_was_under_way_and_could_not_stay() {
    let scene = scene(HOST).await;
    scene.change(|host| host.goes_silent = true);
    scene.reconcile().await;
    scene.change(|host| {
        (host.is_away, host.goes_silent) = (false, false);
        host.verdict = Some(ActivationVerdict::RolledBack {
            reason: RollbackReason::NotAcknowledged,
        });
    });
    scene.context.registries.forgiven.insert(&scene.host);
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "quarantined");
    assert!(scene.state().quarantine.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_at_any_call_leaves_what_the_next_goes_on_with() {
    for call in ["observe", "evaluate", "build", "copy", "start", "wait"] {
        let scene = scene(HOST).await;
        scene.script().takes(call, Duration::MAX / 2);
        timeout(HOUR, scene.reconcile()).await.expect_err(call);
        let scene = scene.restart();
        let until = Instant::now() + HOUR;
        while !scene.is_on('a') {
            let next = scene.reconcile().await.next;
            tokio::time::sleep(next).await;
            assert!(Instant::now() < until, "{call}");
        }
        scene.reconcile().await;
        assert_eq!(scene.in_flight(), None, "{call}");
        assert_eq!(scene.state().quarantine, None, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_host_does_not_answer_in_the_midst_of_a_deployment_nothing_else_is_done_to_it() {
    let scene = scene(HOST).await;
    scene.change(|host| host.goes_silent = true);
    scene.reconcile().await;
    scene.push('b');
    scene.script().calls();
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "unreachable");
    assert_eq!((done.report.outcome, done.next), (None, MINUTE));
    let calls = scene.script().calls();
    assert!(calls.iter().all(|call| call == "wait cyt-pi"), "{calls:?}");
    assert!(scene.state().presence.unreachable.is_some());
}
