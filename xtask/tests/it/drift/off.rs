//! A host that is off while the fleet moves on.

use std::time::{Duration, Instant};

use anyhow::Result;
use xtask::daemon::Daemon;

use crate::scene::{history, says, status_of};
use crate::settled::{start_with, wait_until_in_sync};

/// Longer than a deployment takes on a machine that runs every other test too.
const CONNECT: Duration = Duration::from_secs(15);

/// How many deployments of a host ended, and how many failed in a row.
fn counted(daemon: &Daemon, host: &str) -> Result<(f64, f64)> {
    let metrics = daemon.metrics()?;
    let host = [("host", host)];
    Ok((
        metrics.sum("reconcile_deployments_total", &host),
        metrics.sum("reconcile_host_consecutive_failures", &host),
    ))
}

#[test]
fn a_dead_host_holds_nobody_up_is_no_failure_and_is_deployed_when_it_is_back() -> Result<()> {
    let names = ["spare", "cyt-pi", "uConsole"];
    let scene = start_with(&names, |config| {
        config.timeouts = format!("connect = \"{}s\"\nobserve = \"10s\"", CONNECT.as_secs());
    })?;
    let (dead, others) = (&scene.hosts[0], &scene.hosts[1..]);
    let before = counted(&scene.daemon, "spare")?;
    // Packets are lost and nothing says so: a connection can only time out.
    dead.console("iptables -I INPUT -i eth0 -j DROP")?;
    let pushed = Instant::now();
    let revision = scene.deploy("main", "2")?;
    for host in others {
        scene.wait_for_revision(host, &revision)?;
    }
    let took = pushed.elapsed();
    assert!(took < CONNECT, "the others were done after {took:?}");

    scene.wait_for_status("spare", "the host to be called unreachable", |status| {
        !status["unreachable"].is_null() && status["desired_revision"] == revision.as_str()
    })?;
    let reachable = scene.daemon.metrics()?;
    let reachable = reachable.value("reconcile_host_reachable", &[("host", "spare")]);
    assert_eq!(reachable, Some(0.0));
    let after = counted(&scene.daemon, "spare")?;
    assert_eq!(after, before, "{}", scene.daemon.last_words());

    dead.console("iptables -D INPUT -i eth0 -j DROP")?;
    scene.wait_for_revision(dead, &revision)?;
    wait_until_in_sync(&scene, "spare", &revision)?;
    let status = status_of(&scene.daemon, "spare")?;
    assert!(status["unreachable"].is_null());
    let outcomes = history(&scene.daemon, "spare", "deployment")?;
    assert!(outcomes.iter().all(|one| one["outcome"] == "converged"));
    assert_eq!(outcomes.len(), 2);
    Ok(())
}

#[test]
fn a_host_that_is_away_for_too_long_is_overdue_and_warned_of_once() -> Result<()> {
    let scene = start_with(&["uConsole"], |config| {
        *config.host("uConsole") += "\navailability = \"intermittent\"\noverdue_after = \"20s\"";
        config.timeouts = "connect = \"1s\"\nobserve = \"2s\"".to_owned();
    })?;
    let away = scene.host();
    let overdue = || -> Result<Option<f64>> {
        let metrics = scene.daemon.metrics()?;
        Ok(metrics.value("reconcile_host_overdue", &[("host", "uConsole")]))
    };
    let warnings = || {
        let log = scene.daemon.log();
        let about_it = log.lines().filter(|line| line.contains("host=uConsole"));
        about_it.filter(|line| line.contains("WARN")).count()
    };
    assert_eq!(overdue()?, Some(0.0));
    away.console("iptables -I INPUT -i eth0 -j DROP")?;
    let status = scene.wait_for_status("uConsole", "the host to be away", |status| {
        !status["unreachable"].is_null()
    })?;
    assert!(status["overdue_since"].is_null(), "{status:#}");
    assert_eq!(warnings(), 0, "{}", scene.daemon.last_words());
    scene.wait_for_status("uConsole", "the host to be overdue", |status| {
        !status["overdue_since"].is_null()
    })?;
    assert_eq!(overdue()?, Some(1.0));
    assert!(says(&scene.daemon, &["status"])?.contains("overdue since"));

    // What is pushed now is seen by a look of its own.
    let revision = scene.deploy("main", "2")?;
    scene.wait_for_status("uConsole", "the push to be seen", |status| {
        status["desired_revision"] == revision.as_str()
    })?;
    away.console("iptables -D INPUT -i eth0 -j DROP")?;
    wait_until_in_sync(&scene, "uConsole", &revision)?;
    assert_eq!(overdue()?, Some(0.0));
    assert!(status_of(&scene.daemon, "uConsole")?["overdue_since"].is_null());
    assert_eq!(warnings(), 1, "{}", scene.daemon.last_words());
    Ok(())
}

#[test]
fn an_intermittent_host_that_is_off_is_no_warning_and_nothing_is_built_for_it() -> Result<()> {
    let scene = start_with(&["spare", "uConsole"], |config| {
        *config.host("uConsole") += "\navailability = \"intermittent\"";
    })?;
    let (always, away) = (&scene.hosts[0], &scene.hosts[1]);
    away.power_cut()?;
    scene.wait_for_status("uConsole", "the host to be away", |status| {
        !status["unreachable"].is_null()
    })?;
    let revision = scene.deploy("main", "2")?;
    scene.wait_for_revision(always, &revision)?;
    scene.wait_for_two_looks("spare")?;
    let status = status_of(&scene.daemon, "uConsole")?;
    assert_eq!(status["desired_revision"], revision.as_str());
    assert!(status["desired_toplevel"].is_null(), "{status:#}");
    let roots = scene.daemon.config.state_directory.join("gcroots");
    assert!(roots.join("spare").join(&revision).exists());
    assert!(!roots.join("uConsole").join(&revision).exists());
    let log = scene.daemon.log();
    let is_loud = |line: &&str| line.contains("WARN") || line.contains("ERROR");
    let about_it = log.lines().filter(|line| line.contains("uConsole"));
    let loud: Vec<&str> = about_it.filter(is_loud).collect();
    assert!(loud.is_empty(), "{loud:#?}");

    away.power_on()?;
    wait_until_in_sync(&scene, "uConsole", &revision)?;
    let (deployments, failures) = counted(&scene.daemon, "uConsole")?;
    assert_eq!((deployments.round(), failures.round()), (2.0, 0.0));
    Ok(())
}
