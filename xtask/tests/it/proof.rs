//! A bad commit cannot take a host away: what does not prove itself is rolled back, and stays away.

mod back;
mod brake;
mod cut;
mod died;
mod machine;
mod misbehaving;
mod people;
mod power;
mod steps;
mod storm;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::daemon::Config;
use xtask::flake::System;
use xtask::fleet::{Host, count_begun};
use xtask::wait::wait_until;

use crate::scene::{SOON, Scene, history, status_of};

/// How long hosts wait for an acknowledgement here: long beside a login, short for a test.
const WAIT: Duration = Duration::from_secs(8);

/// Quick settings: an activation may take 10 s.
fn quick(config: &mut Config) {
    config.proof = format!("timeout = \"{}s\"", WAIT.as_secs());
    config.timeouts = "connect = \"3s\"\nobserve = \"10s\"\nactivate = \"10s\"".to_owned();
}

/// The same, and hosts wait long enough for a daemon to come back on a machine that runs everything else too.
fn patient(config: &mut Config) {
    quick(config);
    config.proof = "timeout = \"40s\"".to_owned();
}

/// What runs on a host, what its profile says, and what a reboot would run.
fn places(host: &Host) -> Result<[String; 3]> {
    Ok([
        host.running_toplevel()?,
        host.profile_toplevel()?,
        host.boot_default()?,
    ])
}

/// How the deployments of a commit to a host ended, the oldest first.
fn outcomes(scene: &Scene, host: &str, revision: &str) -> Result<Vec<String>> {
    let mut entries = history(&scene.daemon, host, "deployment")?;
    entries.retain(|entry| entry["revision"] == revision);
    entries.reverse();
    let outcome = |entry: &Value| entry["outcome"].as_str().unwrap_or_default().to_owned();
    Ok(entries.iter().map(outcome).collect())
}

/// Waits until the last attempt for what is wanted of a host ended so; gives its status.
fn wait_for_outcome(scene: &Scene, host: &str, revision: &str, outcome: &str) -> Result<Value> {
    scene.wait_for_status(host, outcome, |status| {
        status["outcome"]["outcome"] == outcome && status["desired_revision"] == revision
    })
}

/// Asserts that a host is wholly on its old system, reachable, in quarantine, and left alone there.
fn assert_back(
    scene: &Scene,
    host: &Host,
    first: &str,
    revision: &str,
    reason: &str,
) -> Result<()> {
    let name = host.name.as_str();
    let status = wait_for_outcome(scene, name, revision, "rolled_back")?;
    assert_eq!(
        status["outcome"]["reason"]["reason"], reason,
        "{name}: {status:#}"
    );
    assert_eq!(places(host)?, [first; 3].map(str::to_owned), "{name}");
    host.wait_for_login()?;
    let toplevel = scene.repository.toplevel(name, revision)?;
    assert_eq!(
        status["quarantine"]["toplevel"], *toplevel,
        "{name}: {status:#}"
    );
    assert!(status["next_attempt"].is_null(), "{name}: {status:#}");
    let metrics = scene.daemon.metrics()?;
    let labels = [("host", name)];
    assert_eq!(
        metrics.value("reconcile_host_quarantined", &labels),
        Some(1.0)
    );
    let labels = [("host", name), ("reason", reason)];
    assert!(
        metrics.sum("reconcile_rollbacks_total", &labels) >= 1.0,
        "{name}"
    );
    scene.wait_for_two_looks(name)?;
    let begun = count_begun(&host.activations()?, "test", &toplevel);
    assert!(begun <= 1, "{name}: tried {begun} times");
    assert_eq!(outcomes(scene, name, revision)?, ["rolled_back"], "{name}");
    wait_until_clean(host)
}

/// Waits until nothing of a deployment is left on a host.
fn wait_until_clean(host: &Host) -> Result<()> {
    let left = || {
        host.console(
            "ls -A /run/reconcile /nix/var/nix/gcroots/reconcile 2>/dev/null | grep -v -e : -e lock -e starting; \
             systemctl list-units --all --plain --no-legend 'reconcile-*'; true",
        )
    };
    wait_until("a clean host", SOON, left, |left| left.trim().is_empty())?;
    Ok(())
}

/// A version that no earlier run has built: what lies in a host's store looks copied.
fn never_built(version: &str) -> Result<System> {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .context("a clock before 1970")?;
    Ok(System::new(&format!("{version}-{}", since.as_nanos())))
}

/// Waits until a host waits for its acknowledgement.
fn wait_for_awaiting(host: &Host) -> Result<()> {
    let look = || host.console("ls /run/reconcile/*/awaiting 2>/dev/null || true");
    wait_until("a host that waits", SOON, look, |seen| !seen.is_empty())?;
    Ok(())
}

/// Waits until a host has begun to activate a system.
fn wait_for_activation(host: &Host, toplevel: &str) -> Result<()> {
    let begun = || Ok(count_begun(&host.activations()?, "test", toplevel));
    wait_until("an activation", SOON, begun, |count| *count > 0)?;
    Ok(())
}

/// Asserts that what the daemon says of a host is what the host runs.
fn assert_told_truly(scene: &Scene, host: &Host) -> Result<()> {
    scene.wait_for_two_looks(&host.name)?;
    let status = status_of(&scene.daemon, &host.name)?;
    assert_eq!(
        status["running_toplevel"],
        *host.running_toplevel()?,
        "{status:#}"
    );
    Ok(())
}
