//! What others do to a host: seen, said, and undone where the policy says so.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use xtask::flake::System;
use xtask::fleet::Host;
use xtask::wait::wait_until;

use crate::scene::{SOON, Scene, history, says, status_of};
use crate::settled::{INTERVAL, start, wait_until_in_sync};

/// An observation takes 0.1 s; this much on a machine that runs everything else at the same time.
const OBSERVATION: Duration = Duration::from_secs(5);

/// Runs another system's `switch-to-configuration`, as an administrator would; gives when it was done.
fn switch_by_hand(host: &Host, toplevel: &str) -> Result<Instant> {
    host.console(&format!(
        "{toplevel}/bin/switch-to-configuration switch < /dev/null > /dev/null 2>&1"
    ))?;
    Ok(Instant::now())
}

/// Waits until the daemon says that the host drifted; that has to be within an interval and an observation.
fn wait_until_drifted(scene: &Scene, host: &Host, since: Instant) -> Result<()> {
    let host = [("host", host.name.as_str())];
    let drifted = |value| value > 0.5;
    scene
        .daemon
        .wait_for_metric("reconcile_host_drifted", &host, SOON, drifted)?;
    let took = since.elapsed();
    assert!(took <= INTERVAL + OBSERVATION, "seen after {took:?}");
    Ok(())
}

fn drifts(scene: &Scene, host: &Host) -> Result<Vec<Value>> {
    history(&scene.daemon, &host.name, "drift")
}

fn deployments(scene: &Scene, host: &Host) -> Result<usize> {
    Ok(history(&scene.daemon, &host.name, "deployment")?.len())
}

#[test]
fn a_system_switched_to_by_hand_is_seen_within_an_interval_and_undone() -> Result<()> {
    let scene = start(&["cyt-pi"])?;
    let host = scene.host();
    // It takes 3 s to activate, so that one can see that the drift is said while it is being undone.
    let slow = System {
        seconds: 3,
        ..System::new("slow")
    };
    let revision = scene
        .repository
        .deploy("main", "Slow", &[("cyt-pi", slow)])?;
    let toplevel = scene.repository.toplevel("cyt-pi", &revision)?;
    wait_until_in_sync(&scene, "cyt-pi", &revision)?;
    assert!(drifts(&scene, host)?.is_empty());

    let since = switch_by_hand(host, &host.base_toplevel)?;
    wait_until_drifted(&scene, host, since)?;
    let status = status_of(&scene.daemon, "cyt-pi")?;
    assert_eq!(status["drift"], "drifted");
    assert_eq!(status["running_toplevel"], host.base_toplevel.as_str());
    scene.wait_for_revision(host, &revision)?;
    let status = scene.wait_for_status("cyt-pi", "the drift to be over", |status| {
        status["drift"] == "in_sync"
    })?;
    assert_eq!(status["drifted_since"], Value::Null);
    assert_eq!(
        (host.profile_toplevel()?, host.boot_default()?),
        (toplevel.clone(), toplevel.clone())
    );

    let drifts = drifts(&scene, host)?;
    assert_eq!(drifts.len(), 1, "{drifts:#?}");
    assert_eq!(drifts[0]["toplevel"], host.base_toplevel.as_str());
    assert!(drifts[0]["detail"].as_str().unwrap().contains(&toplevel));
    assert_eq!(deployments(&scene, host)?, 3);
    assert!(scene.daemon.log().contains("the host drifted"));
    Ok(())
}

#[test]
fn a_profile_set_by_hand_is_drift_too_and_put_back() -> Result<()> {
    let scene = start(&["uConsole"])?;
    let host = scene.host();
    let toplevel = host.running_toplevel()?;
    host.console(&format!(
        "nix-env -p /nix/var/nix/profiles/system --set {}",
        host.base_toplevel
    ))?;
    let put_back = |status: &Value| status["drift"] == "in_sync";
    let said = || Ok(drifts(&scene, host)?.len());
    wait_until("the drift in the history", SOON, said, |count| *count == 1)?;
    scene.wait_for_status("uConsole", "the profile to be put back", put_back)?;
    assert_eq!(host.profile_toplevel()?, toplevel);
    assert_eq!(host.boot_default()?, toplevel);
    assert_eq!(host.running_toplevel()?, toplevel);
    // What runs was right all along, so the entry has to say what was not.
    let detail = drifts(&scene, host)?[0]["detail"].to_string();
    assert!(detail.contains(&host.base_toplevel), "{detail}");
    Ok(())
}

#[test]
fn under_observe_a_changed_host_and_a_push_are_only_reported_until_a_person_asks() -> Result<()> {
    let mut scene = start(&["spare"])?;
    *scene.daemon.config.host("spare") += "\npolicy = \"observe\"";
    scene.daemon.rewrite_config()?;
    scene.wait_for_status("spare", "the policy", |status| {
        status["policy"] == "observe"
    })?;
    let host = scene.host();
    let before = deployments(&scene, host)?;

    let since = switch_by_hand(host, &host.base_toplevel)?;
    wait_until_drifted(&scene, host, since)?;
    scene.wait_for_two_looks("spare")?;
    assert_eq!(host.running_toplevel()?, host.base_toplevel);
    assert_eq!(drifts(&scene, host)?.len(), 1);
    assert!(says(&scene.daemon, &["status"])?.contains("drifted"));

    let revision = scene.deploy("main", "2")?;
    let wanted = scene.repository.toplevel("spare", &revision)?;
    scene.wait_for_status("spare", "the push to be reported", |status| {
        status["desired_toplevel"] == wanted.as_str() && status["drift"] == "drifted"
    })?;
    scene.wait_for_two_looks("spare")?;
    assert_eq!(host.running_toplevel()?, host.base_toplevel);
    assert_eq!(deployments(&scene, host)?, before);

    says(&scene.daemon, &["--host", "spare"])?;
    assert_eq!(host.running_toplevel()?, wanted);
    assert_eq!(host.profile_toplevel()?, wanted);
    assert_eq!(status_of(&scene.daemon, "spare")?["drift"], "in_sync");
    Ok(())
}

#[test]
fn a_revert_to_the_first_systems_is_deployed() -> Result<()> {
    let scene = start(&["cyt-pi"])?;
    let host = scene.host();
    let first = host.running_toplevel()?;
    let second = scene.deploy("main", "2")?;
    wait_until_in_sync(&scene, "cyt-pi", &second)?;
    scene.repository.git(&["revert", "--no-edit", "HEAD"])?;
    let revert = scene.repository.git(&["rev-parse", "HEAD"])?;
    scene.repository.push("main")?;
    assert_eq!(scene.repository.toplevel("cyt-pi", &revert)?, first);
    scene.wait_for_revision(host, &revert)?;
    wait_until_in_sync(&scene, "cyt-pi", &revert)?;
    assert_eq!(host.profile_toplevel()?, first);
    assert_eq!(host.marker()?.as_deref(), Some("1"));
    assert_eq!(deployments(&scene, host)?, 3);
    Ok(())
}
