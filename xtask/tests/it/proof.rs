//! A bad commit cannot take a host away: what does not prove itself is rolled back, and stays away.

mod back;
mod brake;
mod cut;
mod died;
mod machine;
mod misbehaving;
mod people;
mod power;
mod real;
mod steps;
mod storm;

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use xtask::daemon::Config;
use xtask::fleet::{Host, count_begun};
use xtask::wait::wait_until;

use crate::scene::{SOON, Scene, history, places, status_of, wait_until_clean};

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

/// How the deployments of a commit to a host ended, the oldest first.
fn outcomes(scene: &Scene, host: &str, revision: &str) -> Result<Vec<String>> {
    let mut entries = history(&scene.daemon, host, "deployment")?;
    entries.retain(|entry| entry["revision"] == revision);
    entries.reverse();
    let outcome = |entry: &Value| entry["outcome"].as_str().unwrap_or_default().to_owned();
    Ok(entries.iter().map(outcome).collect())
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
    let status = scene.wait_for_outcome(name, revision, "rolled_back")?;
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
    // What breaks off is begun three times in one deployment.
    assert!(begun <= 3, "{name}: tried {begun} times");
    assert_eq!(outcomes(scene, name, revision)?, ["rolled_back"], "{name}");
    wait_until_clean(host)
}

/// Waits until a host waits for its acknowledgement.
fn wait_for_awaiting(host: &Host) -> Result<()> {
    let look = || host.console("ls /run/reconcile/*/awaiting 2>/dev/null || true");
    wait_until("a host that waits", SOON, look, |seen| !seen.is_empty())?;
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
