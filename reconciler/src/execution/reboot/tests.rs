use std::time::Duration;

use deploy::{ActivationVerdict, RebootReason, Told};
use planning::model::order::{Order, Trigger};
use tokio::time::{Instant, timeout};

use super::*;
use crate::testing::{Scene, host, lost, revision, scene, system};

const HOST: &str = "[hosts.cyt-pi]\nreboot.policy = \"when-required\"";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A host on what is wanted that needs a reboot.
async fn needs_a_reboot(tables: &str) -> Scene {
    let scene = scene(tables).await;
    needs_one(&scene).await;
    scene
}

/// The host is on what is wanted and needs a reboot.
async fn needs_one(scene: &Scene) {
    scene.suspend();
    scene.change(|host| {
        host.is_on(&system('a'));
        host.says.reboot_reasons = vec![RebootReason::Kernel];
    });
    scene.reconcile().await;
    scene.resume();
    scene.script().calls();
}

/// A person asks for a reboot.
fn asked(scene: &Scene, trigger: Trigger) -> Order {
    Order {
        then: Then::Reboot,
        ..scene.order(trigger)
    }
}

/// Why the host's reboot waits.
fn blocked(scene: &Scene) -> Option<RebootBlocked> {
    scene.state().reboot_blocked
}

fn is_told(calls: &[String]) -> bool {
    calls.iter().any(|call| call.starts_with("reboot"))
}

#[tokio::test(start_paused = true)]
async fn a_host_that_needs_a_reboot_is_told_and_watched_until_it_is_back() {
    let scene = needs_a_reboot(HOST).await;
    let began = Instant::now();
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Rebooted));
    assert_eq!(began.elapsed(), Duration::from_secs(30));
    assert_eq!(scene.state().reboot, None);
    let entry = scene.entries("reboot").remove(0);
    assert_eq!(entry.outcome.as_deref(), Some("rebooted"));
    assert_eq!(entry.cause.as_deref(), Some("required: kernel"));
    let calls = scene.script().calls();
    let told = [
        "observe cyt-pi",
        "observe cyt-pi",
        "observe cyt-pi anew",
        "reboot cyt-pi",
        "observe cyt-pi anew",
    ];
    assert_eq!(calls[..5], told);
    scene.reconcile().await;
    assert!(!is_told(&scene.script().calls()), "it needs none any more");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_rebooted_where_the_config_does_not_say_so() {
    let scene = needs_a_reboot("[hosts.cyt-pi]").await;
    scene.reconcile().await;
    assert!(!is_told(&scene.script().calls()));
    scene.give(asked(&scene, Trigger::Manual));
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Rebooted));
    let entry = scene.entries("reboot").remove(0);
    assert_eq!(entry.cause.as_deref(), Some("person ada"));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_on_record_before_its_host_is_told_and_a_restart_takes_it_up() {
    let scene = needs_a_reboot(HOST).await;
    scene.script().takes("reboot", Duration::MAX / 2);
    timeout(HOUR, scene.reconcile()).await.unwrap_err();
    let reboot = scene.stored().on_disk.state.reboot.unwrap();
    assert!(reboot.is_under_way());
    assert_eq!(reboot.boot_id, "first-boot");
    // Within its deadline.
    scene.remember_of(&scene.host, |state| {
        let reboot = state.reboot.as_mut().unwrap();
        reboot.deadline = reboot.deadline.checked_add(HOUR).unwrap();
    });
    let scene = scene.restart();
    scene.script().calls();
    scene.reconcile().await;
    let calls = scene.script().calls();
    assert_eq!(calls[..2], ["observe cyt-pi anew", "reboot cyt-pi"]);
    assert_eq!(scene.history("reboot"), ["rebooted"]);
    assert_eq!(scene.state().reboot, None);
}

#[tokio::test(start_paused = true)]
async fn two_hosts_never_reboot_at_once() {
    let both = format!("{HOST}\n[hosts.spare]\nreboot.policy = \"when-required\"");
    let scene = needs_a_reboot(&both).await;
    let spare = scene.of("spare");
    needs_one(&spare).await;
    let (one, other) = tokio::join!(scene.reconcile(), spare.reconcile());
    assert_eq!(one.report.outcome, Some(Outcome::Rebooted));
    assert_eq!(other.report.outcome, None);
    let expected = RebootBlocked::AnotherReboots {
        host: host("cyt-pi"),
    };
    assert_eq!(blocked(&spare), Some(expected));
    spare.reconcile().await;
    assert_eq!(blocked(&spare), None);
    assert_eq!(spare.history("reboot"), ["rebooted"]);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_written_down_in_its_turn() {
    let scene = needs_a_reboot(HOST).await;
    let turn = scene.context.registries.reboots.lock().await;
    timeout(HOUR, scene.reconcile()).await.unwrap_err();
    assert_eq!(scene.state().reboot, None);
    assert!(!is_told(&scene.script().calls()));
    drop(turn);
    scene.reconcile().await;
    assert_eq!(scene.history("reboot"), ["rebooted"]);
}

#[tokio::test(start_paused = true)]
async fn what_came_up_while_another_had_its_turn_holds_a_reboot() {
    let scene = needs_a_reboot(HOST).await;
    let turn = scene.context.registries.reboots.lock().await;
    let suspend = async {
        tokio::time::sleep(HOUR).await;
        scene.suspend();
        drop(turn);
    };
    tokio::join!(scene.reconcile(), suspend);
    let blocked = blocked(&scene);
    assert!(
        matches!(blocked, Some(RebootBlocked::Suspended { .. })),
        "{blocked:?}"
    );
    assert!(!is_told(&scene.script().calls()));
}

#[tokio::test(start_paused = true)]
async fn another_hosts_reboot_that_a_later_version_began_holds_this_one() {
    let scene = needs_a_reboot(&format!("{HOST}\n[hosts.spare]")).await;
    scene
        .of("spare")
        .write_document("{\"reboot\": \"of a later version\"}");
    scene.reconcile().await;
    let expected = RebootBlocked::AnotherReboots {
        host: host("spare"),
    };
    assert_eq!(blocked(&scene), Some(expected));
    assert!(!is_told(&scene.script().calls()));
}

#[tokio::test(start_paused = true)]
async fn others_that_did_not_come_back_from_the_same_commit_hold_a_reboot_by_itself() {
    let scene = needs_a_reboot(&format!("{HOST}\n[hosts.spare]")).await;
    let failed = |digit| {
        let target = Target {
            revision: revision(digit),
            action: Action::Switch,
        };
        let at = scene.context.now();
        scene.remember_of(&host("spare"), |state| {
            state.reboot = Some(Reboot {
                target,
                wanted_since: at,
                toplevel: system(digit),
                boot_id: "before".into(),
                entry: Observation::default().boot_entry(),
                failed_before: Vec::new(),
                began: at,
                deadline: at,
                cause: Cause::Required {
                    reasons: Vec::new(),
                },
                failure: Some(Outcome::BootedAnother {
                    booted: "nothing".into(),
                    wanted: system(digit).to_string(),
                }),
            });
        });
    };
    failed('a');
    scene.reconcile().await;
    let hosts = vec![host("spare")];
    assert_eq!(blocked(&scene), Some(RebootBlocked::OthersFailed { hosts }));
    failed('b');
    scene.reconcile().await;
    assert_eq!(scene.history("reboot"), ["rebooted"]);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_is_running_leaves_a_reboot_undone() {
    let scene = needs_a_reboot(HOST).await;
    let by = "nixos-rebuild".to_owned();
    scene.change(|host| host.told = Told::Locked { by });
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, None);
    assert_eq!(scene.state().reboot, None);
    assert_eq!(scene.history("reboot"), [""; 0]);
    scene.change(|host| host.told = Told::Reboots);
    scene.reconcile().await;
    assert_eq!(scene.history("reboot"), ["rebooted"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_refuses_time_and_again_did_not_reboot_and_is_not_told_again() {
    let scene = needs_a_reboot(HOST).await;
    let detail = "inhibited".to_owned();
    scene.change(|host| host.told = Told::Refused { detail });
    let done = scene.reconcile().await;
    let outcome = done.report.outcome.unwrap();
    assert_eq!(outcome.label(), "did_not_reboot");
    let told = scene.script().calls();
    let told = told.iter().filter(|call| call.starts_with("reboot"));
    assert_eq!(told.count(), 4);
    scene.reconcile().await;
    assert!(!is_told(&scene.script().calls()));
    assert_eq!(blocked(&scene), None, "how it failed is told by itself");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_back_by_its_deadline_did_not_come_back() {
    let scene = needs_a_reboot(&format!("{HOST}\nreboot.deadline = \"10m\"")).await;
    scene.change(|host| host.boots_in = HOUR);
    let began = Instant::now();
    let done = scene.reconcile().await;
    let outcome = done.report.outcome.unwrap();
    assert_eq!(outcome.label(), "did_not_come_back");
    let minute = Duration::from_secs(60);
    assert!((10 * minute..11 * minute).contains(&began.elapsed()));
    assert!(scene.state().presence.unreachable.is_some());
    tokio::time::advance(HOUR).await;
    scene.reconcile().await;
    assert_eq!(scene.state().reboot, None, "it came back after all");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_while_the_host_is_told_is_no_refusal() {
    let scene = needs_a_reboot(HOST).await;
    for _ in 0..6 {
        scene.script().fails("reboot", lost());
    }
    scene.reconcile().await;
    assert_eq!(scene.history("reboot"), ["rebooted"]);
}

#[tokio::test(start_paused = true)]
async fn what_boots_something_else_is_not_rebooted_and_a_person_who_asks_is_told_why() {
    let scene = needs_a_reboot(HOST).await;
    scene.at("observe", |scene| {
        scene.at("observe", |scene| {
            scene.change(|host| host.says.profile = Some(system('0')));
        });
    });
    scene.give(asked(&scene, Trigger::Manual));
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "reboot_held");
    assert_eq!(done.report.outcome, None);
    let blocked = blocked(&scene);
    let is_it = matches!(blocked, Some(RebootBlocked::AnotherBootDefault { .. }));
    assert!(is_it, "{blocked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_system_that_only_a_boot_activates_is_made_the_boot_default_and_booted() {
    let scene = scene(HOST).await;
    let why = "init-interface".to_owned();
    scene.change(|host| host.verdict = Some(ActivationVerdict::RebootRequired { why }));
    scene.at("wait", |scene| {
        scene.at("wait", |scene| scene.change(|host| host.verdict = None));
    });
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Rebooted));
    let mut calls = scene.script().calls();
    calls.retain(|call| call.starts_with("start") || call.starts_with("reboot"));
    assert_eq!(
        calls,
        ["start switch cyt-pi", "start boot cyt-pi", "reboot cyt-pi"]
    );
    let ends = ["converged", "reboot_required"];
    assert_eq!(scene.history("deployment"), ends);
    assert_eq!(scene.history("reboot"), ["rebooted"]);
    assert!(scene.is_on('a'));
    let state = scene.state();
    assert_eq!(state.progress.outcome, Some(Outcome::Rebooted));
    assert_eq!(state.convergence.last_good, state.progress.target);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_waits_for_a_window_of_its_own_and_is_looked_at_when_that_opens() {
    let night = "[{ from = \"22:00\", to = \"05:00\", time_zone = \"UTC\" }]";
    let interval = "interval = \"1d\"";
    let scene = needs_a_reboot(&format!("{HOST}\n{interval}\nreboot.windows = {night}")).await;
    let done = scene.reconcile().await;
    let blocked = blocked(&scene);
    assert!(
        matches!(blocked, Some(RebootBlocked::WindowClosed { .. })),
        "{blocked:?}"
    );
    assert_eq!(done.next, 14 * HOUR);
    tokio::time::advance(done.next).await;
    scene.reconcile().await;
    assert_eq!(scene.history("reboot"), ["rebooted"]);
}

#[tokio::test(start_paused = true)]
async fn another_machine_that_answers_is_not_rebooted() {
    let scene = needs_a_reboot(HOST).await;
    scene.at("observe", |scene| {
        scene.at("observe", |scene| {
            scene.change(|host| host.says.machine_id = "another".into());
        });
    });
    scene.reconcile().await;
    assert!(!is_told(&scene.script().calls()));
    assert_eq!(scene.state().reboot, None);
}

#[tokio::test(start_paused = true)]
async fn a_guard_of_a_later_version_keeps_its_host_from_a_reboot_until_forced() {
    for part in ["quarantine", "reboot", "machine_id"] {
        let scene = needs_a_reboot(HOST).await;
        scene.write_document(&format!("{{\"{part}\": [\"of a later version\"]}}"));
        scene.reconcile().await;
        scene.give(asked(&scene, Trigger::Manual));
        let done = scene.reconcile().await;
        assert!(!is_told(&scene.script().calls()), "{part}");
        assert_eq!(done.report.decision.label(), "not_understood");
        assert_eq!(scene.stored().on_disk.unread.guard(), Some(part));
        scene.give(asked(&scene, Trigger::Forced));
        let done = scene.reconcile().await;
        assert_eq!(done.report.outcome, Some(Outcome::Rebooted), "{part}");
    }
}
