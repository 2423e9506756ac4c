use deploy::{ActivationVerdict, LoginFault, RollbackReason, SshError};

use crate::context::ports::HostError;
use crate::testing::{Scene, lost, scene};

/// The host gets a system, answers no more, and has gone back by the time that it answers again. Whether `others` do
/// not answer either meanwhile.
async fn silence_with(tables: &str, others_are_silent: bool) -> Scene {
    let scene = scene(&format!("[hosts.cyt-pi]\n{tables}")).await;
    let spare = scene.of("spare");
    if tables.contains("spare") {
        spare.settle().await;
    }
    scene.change(|host| host.goes_silent = true);
    scene.at("start", move |_| {
        spare.change(|host| host.is_away = others_are_silent);
    });
    scene.reconcile().await;
    scene.change(|host| {
        (host.is_away, host.goes_silent) = (false, false);
        host.verdict = Some(ActivationVerdict::RolledBack {
            reason: RollbackReason::NotAcknowledged,
        });
    });
    scene.suspend();
    scene.reconcile().await;
    scene
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_back_while_nobody_answers_us_has_nothing_against_its_system() {
    let scene = silence_with("[hosts.spare]", true).await;
    assert_eq!(scene.state().quarantine, None);
    let outcome = scene.state().progress.outcome.unwrap();
    assert!(!outcome.is_failure(), "{outcome}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_back_while_others_answer_us_keeps_its_system_away() {
    let scene = silence_with("[hosts.spare]", false).await;
    assert!(scene.state().quarantine.is_some());
}

#[tokio::test(start_paused = true)]
async fn hosts_that_get_the_same_commit_are_no_witnesses_for_each_other() {
    let scene = scene("[hosts.cyt-pi]\n[hosts.spare]").await;
    let spare = scene.of("spare");
    spare.settle().await;
    let both = [&scene, &spare];
    scene.push('b');
    spare.push('b');
    for one in both {
        one.change(|host| host.goes_silent = true);
    }
    tokio::join!(scene.reconcile(), spare.reconcile());
    for one in both {
        one.change(|host| {
            (host.is_away, host.goes_silent) = (false, false);
            host.verdict = Some(ActivationVerdict::RolledBack {
                reason: RollbackReason::NotAcknowledged,
            });
        });
        one.suspend();
        one.reconcile().await;
        assert!(one.state().quarantine.is_some(), "{:?}", one.state());
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_nobody_else_to_ask_the_silence_counts() {
    let scene = silence_with("", false).await;
    assert!(scene.state().quarantine.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_we_lack_something_for_says_nothing_about_the_system() {
    let scene = scene("[hosts.cyt-pi]").await;
    let no_client = || {
        HostError::Login(SshError::NotReached {
            failures: vec![deploy::DestinationFailure {
                address: "cyt-pi".into(),
                fault: LoginFault::ClientMissing,
            }],
        })
    };
    scene.script().fails("log in", no_client());
    scene.at("log in", |scene| {
        scene.change(|host| {
            host.verdict = Some(ActivationVerdict::RolledBack {
                reason: RollbackReason::NotAcknowledged,
            });
        });
    });
    scene.reconcile().await;
    assert_eq!(scene.state().quarantine, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_activated_where_a_new_login_does_not_work() {
    let scene = scene("[hosts.cyt-pi]").await;
    scene.script().fails("observe cyt-pi anew", lost());
    let outcome = scene.reconcile().await.report.outcome.unwrap();
    assert_eq!(outcome.label(), "unreachable");
    assert!(
        outcome
            .to_string()
            .contains("a new login does not work, so nothing was activated"),
        "{outcome}"
    );
    assert_eq!(scene.in_flight(), None);
    assert!(scene.is_on('0'));
    let calls = scene.script().calls();
    assert!(!calls.iter().any(|call| call.starts_with("start")));
}

#[tokio::test(start_paused = true)]
async fn every_route_that_the_new_system_will_be_asked_by_is_tried_before() {
    let looks = async |proof: &str, action: &str| {
        let routes = "destinations = [\"first\", \"second\"]";
        let tables = format!("[hosts.cyt-pi]\n{routes}\n{action}\nproof.acknowledge = \"{proof}\"");
        let scene = scene(&tables).await;
        scene.reconcile().await;
        let calls = scene.script().calls();
        calls.iter().filter(|call| call.ends_with("anew")).count()
    };
    assert_eq!(looks("every-route", "").await, 2);
    assert_eq!(looks("same-route", "").await, 1);
    // It judges alone and is asked once it has ended, as it is by a boot.
    assert_eq!(looks("none", "").await, 1);
}
