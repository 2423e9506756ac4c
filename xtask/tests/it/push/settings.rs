//! Secrets and settings that change while the daemon runs.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use xtask::daemon::{Daemon, SECRET};
use xtask::flake::System;
use xtask::forge::Repository;
use xtask::wait::wait_until;

use crate::scene::{Scene, running, wait_for_log, wait_until_idle};

/// A change of a file counts at once: as soon as it has been quiet for a moment.
const AT_ONCE: Duration = Duration::from_secs(20);

fn sign_with(repository: &Repository, secret: &str) -> Result<()> {
    repository.edit(|settings| settings.hooks[0].secret = secret.to_owned())
}

/// Waits until the newest push, delivered again with this secret, is answered so.
fn wait_for_answer(scene: &Scene, secret: &str, status: u16) -> Result<()> {
    sign_with(&scene.repository, secret)?;
    let push = scene.last_push()?;
    let answer = || Ok(scene.repository.redeliver(&push)?.status);
    let what = format!("{status} for {secret}");
    wait_until(&what, AT_ONCE, answer, |seen| *seen == Some(status)).map(drop)
}

fn reloads(daemon: &Daemon, result: &str) -> Result<f64> {
    let metrics = daemon.metrics()?;
    Ok(metrics.sum("reconcile_config_reloads_total", &[("result", result)]))
}

fn wait_for_reloads(daemon: &Daemon, result: &str, count: f64) -> Result<()> {
    let look = || reloads(daemon, result);
    wait_until(
        &format!("{count} reloads {result}"),
        AT_ONCE,
        look,
        |seen| *seen >= count,
    )
    .map(drop)
}

#[test]
fn a_new_webhook_secret_counts_at_once_and_the_old_one_while_it_is_listed() -> Result<()> {
    let mut scene = Scene::start(&["spare"])?;
    let revision = scene.deploy("main", "old-secret")?;
    scene.wait_for_revision(scene.host(), &revision)?;

    // A second file: both secrets are good.
    let new_file = scene.daemon.directory().join("new-secret");
    fs::write(&new_file, "the-second-secret\n")?;
    scene.daemon.config.secret_files.insert(0, new_file.clone());
    scene.daemon.rewrite_config()?;
    wait_for_answer(&scene, "the-second-secret", 202)?;
    wait_for_answer(&scene, SECRET, 202)?;
    sign_with(&scene.repository, "the-second-secret")?;
    let revision = scene.deploy("main", "new-secret")?;
    scene.wait_for_revision(scene.host(), &revision)?;

    // A file with other contents, and nothing else touched.
    fs::write(&new_file, "the-third-secret\n")?;
    wait_for_answer(&scene, "the-third-secret", 202)?;
    wait_for_answer(&scene, "the-second-secret", 403)?;
    wait_for_answer(&scene, SECRET, 202)?;

    // The old one is listed no more.
    scene.daemon.config.secret_files.truncate(1);
    scene.daemon.rewrite_config()?;
    wait_for_answer(&scene, SECRET, 403)?;
    wait_for_answer(&scene, "the-third-secret", 202)?;
    let log = scene.daemon.log();
    assert!(!log.contains("the-third-secret") && !log.contains(SECRET));
    Ok(())
}

#[test]
fn a_host_that_is_added_and_a_branch_that_is_changed_count_without_a_restart() -> Result<()> {
    let mut scene = Scene::start(&["cyt-pi", "uConsole"])?;
    let process = scene.daemon.pid()?;
    // One host is left out first, and taken in again below.
    let hosts = scene.daemon.config.hosts.clone();
    scene
        .daemon
        .config
        .hosts
        .retain(|(name, _)| name == "cyt-pi");
    scene.daemon.rewrite_config()?;
    wait_for_reloads(&scene.daemon, "reloaded", 1.0)?;
    let second = scene.deploy("main", "2")?;
    scene.wait_for_revision(&scene.hosts[0], &second)?;
    let first = scene.repository.git(&["rev-parse", "HEAD^"])?;
    assert_eq!(
        running(&scene.hosts[1])?,
        scene.repository.toplevel("uConsole", &first)?,
        "a host that is not listed is left alone"
    );
    let gauges = scene.daemon.metrics()?;
    assert_eq!(
        gauges
            .find("reconcile_host_drifted", &[("host", "uConsole")])
            .count(),
        0
    );

    scene.daemon.config.hosts = hosts;
    scene.daemon.rewrite_config()?;
    scene.wait_for_revision(&scene.hosts[1], &second)?;

    let staging = scene.deploy("staging", "staged")?;
    *scene.daemon.config.host("uConsole") += "\nbranch = \"staging\"";
    scene.daemon.rewrite_config()?;
    scene.wait_for_revision(&scene.hosts[1], &staging)?;
    // Each follows its own by now, also when both are told of.
    let systems = [("cyt-pi", System::new("3")), ("uConsole", System::new("3"))];
    let third = scene.repository.deploy("staging", "3", &systems)?;
    scene.wait_for_revision(&scene.hosts[1], &third)?;
    scene.wait_for_two_looks("cyt-pi")?;
    scene.wait_for_revision(&scene.hosts[0], &second)?;
    assert_eq!(scene.daemon.pid()?, process);
    assert!(scene.daemon.ended()?.is_none());
    Ok(())
}

#[test]
fn a_bad_edit_changes_nothing_and_is_told_with_its_line_until_it_is_mended() -> Result<()> {
    let mut scene = Scene::start(&["cyt-pi"])?;
    let good = scene.daemon.config.clone();
    for (count, bad) in [
        (1.0, "[hosts.\"cyt-pi\"\n"),
        (2.0, "[hosts.new]\nbrnch = \"main\"\n"),
    ] {
        scene.daemon.config.tail = bad.to_owned();
        // A good part beside the bad one must not count either.
        scene.daemon.config.defaults = "branch = \"elsewhere\"\ninterval = \"2s\"".to_owned();
        scene.daemon.rewrite_config()?;
        wait_for_reloads(&scene.daemon, "refused", count)?;
    }
    wait_for_log(
        &scene.daemon,
        "the changed config is refused and the old one stays in force",
    )?;
    wait_for_log(&scene.daemon, "brnch")?;
    let revision = scene.deploy("main", "despite")?;
    scene.wait_for_revision(scene.host(), &revision)?;
    assert!(reloads(&scene.daemon, "reloaded")? < 1.0);
    assert!(!scene.daemon.cli(&["check"])?.status.success());

    scene.daemon.config = good;
    scene.daemon.rewrite_config()?;
    wait_for_reloads(&scene.daemon, "reloaded", 1.0)?;
    assert!(scene.daemon.cli(&["check"])?.status.success());
    let revision = scene.deploy("main", "mended")?;
    scene.wait_for_revision(scene.host(), &revision)
}

#[test]
fn deliveries_are_heard_as_before_when_the_known_hosts_have_changed() -> Result<()> {
    let scene = Scene::start(&["spare"])?;
    let file = scene.forge.known_hosts();
    let contents = fs::read_to_string(file)?;
    fs::write(file, format!("{contents}# looked at by hand\n"))?;
    wait_for_log(&scene.daemon, "files that the config names have changed")?;
    // What the change itself makes the daemon look at must not be what finds the push.
    wait_until_idle(&scene.daemon)?;
    let revision = scene.deploy("main", "2")?;
    scene.wait_for_revision(scene.host(), &revision)
}
