use std::time::Duration;

use deploy::SshError;
use tokio::time::timeout;

use super::*;
use crate::testing::{Scene, refused, scene};

const HOST: &str = "[hosts.cyt-pi]";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The calls of one reconciliation that begin with one of these words.
async fn calls(scene: &Scene, words: &[&str]) -> Vec<String> {
    scene.script().calls();
    scene.reconcile().await;
    let mut calls = scene.script().calls();
    calls.retain(|call| words.iter().any(|word| call.starts_with(word)));
    calls
}

/// How the only deployment ended.
fn ended(scene: &Scene) -> Outcome {
    scene.state().progress.outcome.expect("one has ended")
}

#[tokio::test(start_paused = true)]
async fn what_is_only_to_be_built_is_not_brought_to_its_host() {
    let scene = scene(&format!("{HOST}\naction = \"build\"")).await;
    let calls = calls(&scene, &["build", "copy", "start"]).await;
    assert_eq!(calls, ["build a here"]);
    assert_eq!(scene.history("deployment"), ["built"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_built_on_its_host_lies_there_already() {
    let scene = scene(&format!("{HOST}\nbuild_on = \"target\"")).await;
    let calls = calls(&scene, &["build", "copy"]).await;
    assert_eq!(calls, ["build a cyt-pi"]);
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn a_derivation_that_is_gone_is_evaluated_again_and_built_then() {
    let scene = scene(HOST).await;
    let detail = "collected".into();
    let gone = BuildError::DerivationGone { detail };
    scene.script().fails("build", gone);
    let calls = calls(&scene, &["evaluate", "build"]).await;
    let again = "evaluate a: cyt-pi";
    assert_eq!(calls, [again, "build a here", again, "build a here"]);
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn a_host_is_asked_again_after_a_long_build_and_another_machine_gets_nothing() {
    let scene = scene(HOST).await;
    scene.reconcile().await;
    scene.push('b');
    scene.script().takes("build", HOUR);
    scene.at("build", |scene| {
        scene.change(|host| host.says.machine_id = "another".into());
    });
    let calls = calls(&scene, &["observe", "copy"]).await;
    assert_eq!(calls, ["observe cyt-pi", "observe cyt-pi"]);
    assert_eq!(ended(&scene).label(), "observed_changed");
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_away_or_lets_us_in_no_more_after_a_long_build_is_told_from_one_another() {
    for (is_refused, label) in [(true, "access_refused"), (false, "unreachable")] {
        let scene = scene(HOST).await;
        scene.script().takes("build", HOUR);
        scene.at("build", move |scene| match is_refused {
            true => scene.script().fails("observe", refused()),
            false => scene.change(|host| host.is_away = true),
        });
        assert_eq!(calls(&scene, &["copy"]).await, [""; 0]);
        assert_eq!(ended(&scene).label(), label);
    }
}

#[tokio::test(start_paused = true)]
async fn a_system_for_another_platform_is_not_copied() {
    let scene = scene(HOST).await;
    *scene.outside.nix.platform.lock() = Some("x86_64-linux".into());
    scene.change(|host| host.says.platforms = vec!["aarch64-linux".into()]);
    assert_eq!(calls(&scene, &["copy"]).await, [""; 0]);
    let expected = Outcome::WrongPlatform {
        system: "x86_64-linux".into(),
        host: "aarch64-linux".into(),
    };
    assert_eq!(ended(&scene), expected);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_is_told_by_its_cause() {
    let timed_out = SshError::CommandTimedOut {
        address: "cyt-pi".into(),
        program: "nix-store".into(),
        after: HOUR,
    };
    let failed = CopyError::Failed {
        address: "cyt-pi".into(),
        detail: "broken".into(),
    };
    let full = CopyError::NoSpace {
        needed: 3,
        free: 2,
        reserve: 1,
    };
    for (error, label) in [
        (full, "no_space"),
        (CopyError::Ssh(timed_out), "timed_out"),
        (failed, "copy_failed"),
    ] {
        let scene = scene(HOST).await;
        scene.script().fails("copy", error);
        scene.reconcile().await;
        assert_eq!(scene.history("deployment"), [label]);
        assert!(scene.is_on('0'));
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_for_as_long_as_something_is_built_or_copied() {
    for (step, limit) in [("build", "builds"), ("copy", "copies")] {
        let limit = format!("[limits]\n{limit} = 1");
        let scene = scene(&format!("{HOST}\n[hosts.spare]\n{limit}")).await;
        scene.script().takes(step, HOUR);
        let spare = scene.of("spare");
        let both = async { tokio::join!(scene.reconcile(), spare.reconcile()) };
        timeout(HOUR / 2, both).await.unwrap_err();
        let calls = scene.script().calls();
        let begun = calls.iter().filter(|call| call.starts_with(step));
        assert_eq!(begun.count(), 1, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_built_is_not_collected_before_it_is_on_its_host() {
    let scene = scene(HOST).await;
    for call in ["build", "copy"] {
        scene.at(call, |scene| {
            let collection = scene.context.registries.nix_store.try_write();
            assert!(collection.is_err());
        });
    }
    scene.reconcile().await;
    assert!(scene.is_on('a'));
    let collection = scene.context.registries.nix_store.try_write();
    assert!(collection.is_ok());
}
