//! Every way a deployment ends, by its name, and what persons can do about it.

mod actions;
mod backoff;
mod broken;
mod ends;
mod guards;
mod held;
mod windows;

use anyhow::{Result, ensure};
use serde_json::Value;
use xtask::daemon::Daemon;
use xtask::fleet::Host;

use crate::scene::{Scene, history, status_of};

/// The attempts to bring a commit to a host, the oldest first.
fn attempts(daemon: &Daemon, host: &str, revision: &str) -> Result<Vec<Value>> {
    let mut entries = history(daemon, host, "deployment")?;
    entries.retain(|entry| entry["revision"] == revision);
    entries.reverse();
    Ok(entries)
}

/// How many deployments of a host ended so, by the metrics.
fn counted(daemon: &Daemon, host: &str, outcome: &str) -> Result<u64> {
    let labels = [("host", host), ("outcome", outcome)];
    let sum = daemon
        .metrics()?
        .sum("reconcile_deployments_total", &labels);
    Ok(sum as u64)
}

/// A gauge of a host.
fn gauge(daemon: &Daemon, name: &str, host: &str) -> Result<f64> {
    let metrics = daemon.metrics()?;
    let value = metrics.value(&format!("reconcile_host_{name}"), &[("host", host)]);
    value.ok_or_else(|| anyhow::anyhow!("no {name} of {host}"))
}

/// Runs `reconcile`, which has to end with this code; gives what it said.
fn ends_with(daemon: &Daemon, code: i32, arguments: &[&str]) -> Result<String> {
    let output = daemon.cli(arguments)?;
    ensure!(
        output.status.code() == Some(code),
        "{arguments:?} did not end with {code}: {output:?}"
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asserts that an outcome is told by its name everywhere: to `status`, `history`, metrics and the log.
fn assert_told(scene: &Scene, host: &str, revision: &str, outcome: &str) -> Result<()> {
    let daemon = &scene.daemon;
    let told = attempts(daemon, host, revision)?;
    let last = told.last().map(|entry| entry["outcome"].clone());
    assert_eq!(last, Some(Value::from(outcome)), "{told:#?}");
    assert_eq!(status_of(daemon, host)?["outcome"]["outcome"], outcome);
    let mut ended_so = history(daemon, host, "deployment")?;
    ended_so.retain(|entry| entry["outcome"] == outcome);
    assert_eq!(counted(daemon, host, outcome)?, ended_so.len() as u64);
    let log = daemon.log();
    let line = log.lines().find(|line| {
        line.contains(&format!("host={host}")) && line.contains(&format!("outcome=\"{outcome}\""))
    });
    assert!(line.is_some(), "no {outcome} of {host} in the log:\n{log}");
    Ok(())
}

/// Whether a host has a store path.
fn has(host: &Host, path: &str) -> Result<bool> {
    let said = host.console(&format!("test -e {path} && echo yes || echo no"))?;
    Ok(said.trim() == "yes")
}
