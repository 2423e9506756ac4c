//! Deliveries that never arrive, and one that is of no use.

use std::path::Path;

use anyhow::Result;
use xtask::daemon::Daemon;
use xtask::forge::{Delivering, Forge};
use xtask::git::Git;

use super::recorded::{Recording, trust_recordings};
use crate::scene::{SOON, Scene, cause, looks, wait_for_log, wait_for_looks};

const MISSED: &str = "reconcile_missed_deliveries_total";

#[test]
fn a_push_whose_delivery_never_arrives_is_deployed_by_the_poll_and_counted() -> Result<()> {
    let scene = Scene::start_on("main", &["cyt-pi"], |config| {
        config.poll_interval = Some("1s".to_owned());
        config.webhook_lines = "delivery_grace = \"5s\"".to_owned();
    })?;
    let host = scene.host();
    // Delivered ones first: however often the poll is quicker than the delivery, none of them is missed.
    for number in 0..3 {
        let revision = scene.deploy("main", &format!("told-{number}"))?;
        scene.wait_for_revision(host, &revision)?;
    }
    let enough_for_the_grace = 7.0;
    wait_for_looks(&scene.daemon, looks(&scene.daemon)?, enough_for_the_grace)?;
    assert!(scene.daemon.metrics()?.sum(MISSED, &[]) < 1.0);

    scene.repository.set_delivering(Delivering::Lost)?;
    let revision = scene.deploy("main", "lost")?;
    scene.wait_for_revision(host, &revision)?;
    assert_eq!(cause(&scene.daemon, "cyt-pi")?, "poll");
    scene
        .daemon
        .wait_for_metric(MISSED, &[], SOON, |value| value >= 1.0)?;
    wait_for_log(&scene.daemon, "no delivery announced")?;

    scene.repository.set_delivering(Delivering::Sent)?;
    let revision = scene.deploy("main", "told-again")?;
    scene.wait_for_revision(host, &revision)?;
    wait_for_looks(&scene.daemon, looks(&scene.daemon)?, enough_for_the_grace)?;
    assert_eq!(scene.daemon.metrics()?.value(MISSED, &[]), Some(1.0));
    Ok(())
}

#[test]
fn a_sha256_repository_is_refused_in_plain_words_and_its_deliveries_are_answered() -> Result<()> {
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra256")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &[])?;
    trust_recordings(&daemon.config);
    *daemon.config.host("nobody") = "destinations = [\"ssh://nobody@127.0.0.1:1\"]".to_owned();
    replace_by_sha256(repository.bare())?;
    daemon.start()?;
    wait_for_log(
        &daemon,
        "this is a SHA-256 repository, which neither libgit2 nor Nix can fetch yet",
    )?;
    let checked = daemon.cli(&["check"])?;
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("this is a SHA-256 repository"), "{said}");
    let answer = Recording::read("gitea-1.26/51-push-sha256")?.send(&daemon)?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("sha256"), "{answer:?}");
    Ok(())
}

/// Puts a repository with SHA-256 ids where another one is.
fn replace_by_sha256(bare: &Path) -> Result<()> {
    let work = bare.with_file_name("sha256");
    std::fs::create_dir(&work)?;
    let git = Git::new(&work);
    git.run(&[
        "init",
        "--quiet",
        "--object-format=sha256",
        "--initial-branch=main",
    ])?;
    git.run(&["commit", "--quiet", "--allow-empty", "--message", "First"])?;
    std::fs::remove_dir_all(bare)?;
    std::fs::rename(work.join(".git"), bare)?;
    Ok(())
}
