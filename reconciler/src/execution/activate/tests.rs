use deploy::{ActivateError, RollbackReason};
use planning::model::order::Trigger;
use tokio::time::timeout;

use super::*;
use crate::context::ports::ProbeError;
use crate::testing::{Scene, host, lost, scene};

const HOST: &str = "[hosts.cyt-pi]";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A host that went back because nobody said that a login works.
fn not_acknowledged() -> Option<ActivationVerdict> {
    Some(ActivationVerdict::RolledBack {
        reason: RollbackReason::NotAcknowledged,
    })
}

/// Reconciles the host, which has nothing else to do than to wait for its turn, and has `change` come meanwhile.
async fn turn_comes_after(scene: &Scene, change: impl FnOnce(&Scene)) -> Option<Outcome> {
    let activations = scene.context.clients().permits.activations.clone();
    let others = activations.acquire_many(8).await.unwrap();
    let all = async {
        tokio::time::sleep(2 * HOUR).await;
        change(scene);
        drop(others);
    };
    let (done, ()) = tokio::join!(scene.reconcile(), all);
    done.report.outcome
}

#[test]
fn a_deployments_name_tells_when_it_began() {
    let id = new_id(Timestamp::UNIX_EPOCH, 7).unwrap();
    assert_eq!(id.as_str(), "19700101t000000z-00000007");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_lets_us_in_slowly_while_its_logind_restarts_is_waited_for() {
    let scene = scene(&format!("{HOST}\ntimeouts.observe = \"5s\"")).await;
    assert_eq!(scene.one(None).way().observe, Duration::from_secs(5));
    assert_eq!(scene.one(None).patient_way().observe, SLOW_LOGIN);
}

#[tokio::test(start_paused = true)]
async fn a_system_is_started_waited_for_acknowledged_by_a_new_login_and_cleaned_up_after() {
    let scene = scene(HOST).await;
    scene.reconcile().await;
    let calls = [
        "observe cyt-pi",
        "evaluate a: cyt-pi",
        "build a here",
        "copy to cyt-pi",
        "observe cyt-pi anew",
        "start switch cyt-pi",
        "wait cyt-pi",
        "log in cyt-pi",
        "acknowledge cyt-pi: good",
        "clean up cyt-pi",
    ];
    assert_eq!(scene.script().calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_on_record_before_its_host_is_told_to_start_it() {
    let scene = scene(HOST).await;
    scene.at("start", |scene| {
        let deployment = scene.in_flight().expect("it is on record");
        assert_eq!(deployment.id, "20270115t080000z-00000001");
        assert_eq!(deployment.boot_id, "first-boot");
    });
    scene.reconcile().await;
    assert_eq!(scene.in_flight(), None);
    let entry = scene.entries("deployment").remove(0);
    assert_eq!(
        entry.deployment.as_deref(),
        Some("20270115t080000z-00000001")
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_is_lost_is_asked_for_by_its_name_and_not_started_again() {
    let scene = scene(HOST).await;
    scene.script().fails("start", lost());
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    let calls = scene.script().calls();
    let starts = calls.iter().filter(|call| call.starts_with("start"));
    assert_eq!(starts.count(), 1, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_that_it_did_not_start_it_has_nothing_in_flight() {
    let scene = scene(HOST).await;
    let detail = "no systemd-run".to_owned();
    let error = HostError::Activate(ActivateError::NotStarted { detail });
    scene.script().fails("start", error);
    scene.reconcile().await;
    assert_eq!(scene.in_flight(), None);
    assert_eq!(scene.history("deployment"), ["activation_refused"]);
    assert!(
        scene
            .script()
            .calls()
            .iter()
            .all(|call| !call.starts_with("wait"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_acknowledges_nothing_and_is_tried_again() {
    let scene = scene(HOST).await;
    scene.script().fails("log in", lost());
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    let calls = scene.script().calls();
    let end = &calls[calls.len() - 6..];
    let expected = [
        "wait cyt-pi",
        "log in cyt-pi",
        "wait cyt-pi",
        "log in cyt-pi",
        "acknowledge cyt-pi: good",
        "clean up cyt-pi",
    ];
    assert_eq!(end, expected);
}

#[tokio::test(start_paused = true)]
async fn every_route_is_logged_in_by_where_the_config_says_so_and_else_the_one_that_it_came_by() {
    let logins = async |proof: &str| {
        let routes = "destinations = [\"first\", \"second\"]";
        let scene = scene(&format!("{HOST}\n{routes}\nproof = {{ {proof} }}")).await;
        scene.reconcile().await;
        assert!(scene.is_on('a'));
        let mut calls = scene.script().calls();
        calls.retain(|call| call.starts_with("log in") || call.starts_with("acknowledge"));
        calls
    };
    let every = [
        "log in first",
        "log in second",
        "log in first",
        "acknowledge first: good",
    ];
    assert_eq!(logins("acknowledge = \"every-route\"").await, every);
    let same = ["log in first", "acknowledge first: good"];
    assert_eq!(logins("acknowledge = \"same-route\"").await, same);
    assert_eq!(logins("acknowledge = \"none\"").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_has_to_work_and_does_not_keeps_the_system_from_being_acknowledged() {
    let routes = "destinations = [\"first\", \"second\"]\nproof.acknowledge = \"every-route\"";
    let scene = scene(&format!("{HOST}\n{routes}")).await;
    for _ in 0..100 {
        scene.script().fails("log in second", lost());
    }
    scene.reconcile().await;
    let calls = scene.script().calls();
    assert!(
        calls.iter().all(|call| !call.starts_with("acknowledge")),
        "{calls:?}"
    );
    assert!(scene.in_flight().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_from_here_is_told_to_the_host_which_goes_back() {
    let probe =
        "[{ name = \"web\", http = \"http://cyt-pi/\", from = \"controller\", attempts = 2 }]";
    let scene = scene(&format!("{HOST}\nproof.probes = {probe}")).await;
    for _ in 0..2 {
        scene
            .script()
            .fails("probe", ProbeError::Said("no answer".into()));
    }
    let done = scene.reconcile().await;
    let name = "web".into();
    let Some(Outcome::RolledBack { reason, .. }) = done.report.outcome else {
        panic!("{:?}", done.report);
    };
    assert_eq!(reason, RollbackReason::Probe { name });
    let calls = scene.script().calls();
    assert!(
        calls.contains(&"acknowledge cyt-pi: web".to_owned()),
        "{calls:?}"
    );
    assert!(scene.is_on('0'));
    assert!(scene.state().quarantine.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_silent_keeps_its_deployment_and_is_taken_up_by_the_same_name() {
    let scene = scene(HOST).await;
    scene.change(|host| host.goes_silent = true);
    let done = scene.reconcile().await;
    let outcome = done.report.outcome.unwrap();
    assert_eq!(outcome.label(), "unreachable", "{outcome}");
    assert_eq!(scene.history("deployment"), [""; 0], "it has not ended");
    let deployment = scene.in_flight().unwrap();
    scene.change(|host| (host.is_away, host.goes_silent) = (false, false));
    scene.script().calls();
    scene.reconcile().await;
    let calls = scene.script().calls();
    assert_eq!(calls[0], "wait cyt-pi", "{calls:?}");
    assert!(scene.is_on('a'));
    let ended = scene.entries("deployment").remove(0);
    assert_eq!(ended.outcome.as_deref(), Some("converged"));
    assert_eq!(ended.deployment, Some(deployment.id));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_back_while_we_are_down_blames_us_and_else_the_system() {
    for (is_down, label) in [(true, "Unattended"), (false, "NotAcknowledged")] {
        let mut scene = scene(HOST).await;
        scene.change(|host| host.goes_silent = true);
        scene.reconcile().await;
        if is_down {
            scene = scene.restart();
        }
        scene.change(|host| {
            host.is_away = false;
            host.verdict = not_acknowledged();
        });
        // Only what became of the one that was under way.
        scene.suspend();
        scene.reconcile().await;
        let quarantine = scene.state().quarantine;
        assert_eq!(quarantine.is_none(), is_down, "{quarantine:?}");
        let Some(Outcome::RolledBack { reason, .. }) = scene.state().progress.outcome else {
            panic!("{:?}", scene.state());
        };
        assert_eq!(format!("{reason:?}"), label);
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_closed_before_its_turn_came_calls_a_deployment_off() {
    let day = "windows = [{ from = \"07:00\", to = \"09:00\", time_zone = \"UTC\" }]";
    let scene = scene(&format!("{HOST}\n{day}")).await;
    let outcome = turn_comes_after(&scene, |_| ()).await.unwrap();
    assert_eq!(
        outcome.to_string(),
        called_off(Stop::WindowClosed).to_string()
    );
    assert!(scene.is_on('0'));
    assert_eq!(scene.in_flight(), None);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_halted_before_its_turn_came_calls_a_deployment_off() {
    let scene = scene(&format!("{HOST}\n[hosts.spare]\n[limits]\nrollbacks = 1")).await;
    let halt = |scene: &Scene| scene.could_not_stay_on(&host("spare"), 'a');
    let outcome = turn_comes_after(&scene, halt).await.unwrap();
    assert_eq!(
        outcome.to_string(),
        called_off(Stop::HaltedBy(Vec::new())).to_string()
    );
    assert!(scene.is_on('0'));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_any_more_when_its_turn_comes_is_overtaken() {
    for change in [|scene: &Scene| scene.push('b'), Scene::suspend] {
        let scene = scene(HOST).await;
        let outcome = turn_comes_after(&scene, change).await;
        assert_eq!(outcome, Some(Outcome::Superseded));
        assert!(scene.is_on('0'));
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_hosts_are_activated_at_once_as_the_config_allows() {
    let scene = scene("[hosts.cyt-pi]\n[hosts.spare]\n[limits]\nactivations = 1").await;
    scene.script().takes("wait", HOUR);
    let spare = scene.of("spare");
    let both = async { tokio::join!(scene.reconcile(), spare.reconcile()) };
    timeout(HOUR / 2, both).await.unwrap_err();
    let calls = scene.script().calls();
    let starts = calls.iter().filter(|call| call.starts_with("start"));
    assert_eq!(starts.count(), 1, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_run_nixos_is_refused() {
    let scene = scene(HOST).await;
    scene.change(|host| host.says.running = None);
    scene.reconcile().await;
    assert_eq!(scene.history("deployment"), ["activation_refused"]);
    let calls = scene.script().calls();
    assert!(
        calls.iter().all(|call| !call.starts_with("start")),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_on_record_by_a_name_that_no_host_knows_has_vanished() {
    let scene = scene(HOST).await;
    let one = scene.one(Some(scene.order(Trigger::Manual)));
    let deployment = Deployment {
        id: "Not Ours".into(),
        host: scene.host.clone(),
        revision: scene.goal().target.revision,
        toplevel: String::new(),
        old_toplevel: String::new(),
        action: "switch".into(),
        boot_id: String::new(),
        destination: "cyt-pi".into(),
        started_at: one.now(),
        trigger: "poll".into(),
    };
    let attempt = one.resume(&deployment).await.unwrap();
    assert_eq!(attempt.outcome.label(), "vanished");
    assert_eq!(scene.script().calls(), [""; 0]);
}
