//! The dashboard and the alerts, asked of a real Prometheus that scrapes a real daemon.

mod bars;
mod prometheus;
mod questions;
mod story;

use std::process::Command;

use anyhow::Result;
use xtask::process::run;
use xtask::workspace::root;

/// The rule file.
const ALERTS: &str = "charts/reconcile/files/alerts.yaml";

#[test]
#[ignore = "long"]
fn prometheus_takes_the_config_that_compose_gives_it() -> Result<()> {
    let config = root().join("packaging/compose/prometheus.yaml");
    run(Command::new("promtool")
        .args(["check", "config"])
        .arg(config))
    .map(drop)
}

#[test]
#[ignore = "long"]
fn prometheus_takes_the_alerts_and_each_fires_and_resolves() -> Result<()> {
    run(Command::new("promtool")
        .args(["check", "rules"])
        .arg(root().join(ALERTS)))?;
    let folder = root().join("xtask/tests/it/ship/dashboards");
    run(Command::new("promtool")
        .args(["test", "rules"])
        .arg(folder.join("alerts.test.yaml"))
        .arg(folder.join("alerts-of-days.test.yaml")))?;
    Ok(())
}
