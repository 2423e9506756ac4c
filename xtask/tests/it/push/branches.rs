//! Branches that are rewound, deleted, and come back.

use anyhow::Result;
use xtask::forge::Repository;

use crate::scene::{REPOSITORY, Scene, cause, running, says, wait_for_log};

/// Throws the newest commit of the working tree away.
fn go_back(repository: &Repository) -> Result<()> {
    repository
        .git(&["reset", "--quiet", "--hard", "HEAD^"])
        .map(drop)
}

#[test]
fn a_forced_push_is_refused_and_said_and_followed_once_when_a_person_insists() -> Result<()> {
    let scene = Scene::start(&["cyt-pi"])?;
    let host = scene.host();
    let kept = scene.deploy("main", "kept")?;
    scene.wait_for_revision(host, &kept)?;
    let toplevel = running(host)?;

    let force = |version: &str| -> Result<String> {
        go_back(&scene.repository)?;
        scene
            .repository
            .write_systems(&[("cyt-pi", xtask::flake::System::new(version))])?;
        let revision = scene.repository.commit(version)?;
        scene.repository.push_forced("main")?;
        assert_eq!(scene.last_push()?.status, Some(202));
        Ok(revision)
    };
    let is_refused = |to: &str, keeps: &str| {
        scene.wait_for_status("cyt-pi", "the forced push to be refused", |status| {
            status["branch_state"] == serde_json::json!({ "state": "rewound", "to": to })
                && status["desired_revision"] == keeps
        })
    };

    let rewritten = force("rewritten")?;
    is_refused(&rewritten, &kept)?;
    wait_for_log(&scene.daemon, "reconcile --host cyt-pi --force")?;
    let note = format!("forced push to {} refused", &rewritten[..12]);
    assert!(says(&scene.daemon, &["status"])?.contains(&note));
    scene.wait_for_two_looks("cyt-pi")?;
    assert_eq!(running(host)?, toplevel);
    // Asking without insisting changes nothing about it.
    says(&scene.daemon, &["--host", "cyt-pi"])?;
    assert_eq!(running(host)?, toplevel);

    says(&scene.daemon, &["--host", "cyt-pi", "--force"])?;
    assert_eq!(
        running(host)?,
        scene.repository.toplevel("cyt-pi", &rewritten)?
    );
    assert!(cause(&scene.daemon, "cyt-pi")?.starts_with("person "));
    let again = force("again")?;
    is_refused(&again, &rewritten)?;
    scene.wait_for_two_looks("cyt-pi")?;
    assert_eq!(
        running(host)?,
        scene.repository.toplevel("cyt-pi", &rewritten)?
    );
    Ok(())
}

#[test]
fn a_forced_push_is_deployed_where_the_config_says_follow() -> Result<()> {
    let scene = Scene::start_on("main", &["spare"], |config| {
        *config.repository(REPOSITORY) += "\nforced_push = \"follow\"";
    })?;
    let revision = scene.deploy("main", "thrown-away")?;
    scene.wait_for_revision(scene.host(), &revision)?;
    go_back(&scene.repository)?;
    let first = scene.repository.git(&["rev-parse", "HEAD"])?;
    scene.repository.push_forced("main")?;
    scene.wait_for_revision(scene.host(), &first)?;
    let status = scene.wait_for_status("spare", "the branch to be followed", |status| {
        status["drift"] == "in_sync"
    })?;
    assert_eq!(status["branch_state"]["state"], "present");
    Ok(())
}

#[test]
fn a_deleted_branch_leaves_its_hosts_as_they_are_until_it_is_back() -> Result<()> {
    // git does not delete the branch that HEAD names, so `main` is there as well.
    let scene = Scene::start_on("fleet", &["uConsole"], |_| ())?;
    let host = scene.host();
    let (toplevel, revision) = (running(host)?, scene.repository.tip("fleet")?);
    let state_is = |state: &str, revision: &str| {
        scene.wait_for_status("uConsole", state, |status| {
            status["branch_state"]["state"] == state && status["desired_revision"] == revision
        })
    };
    scene.repository.delete_branch("fleet")?;
    assert!(
        scene
            .repository
            .deliveries()?
            .iter()
            .all(|one| one.status == Some(202))
    );
    state_is("gone", &revision)?;
    wait_for_log(&scene.daemon, "the branch does not exist")?;
    assert!(says(&scene.daemon, &["status"])?.contains("branch does not exist"));
    scene.wait_for_two_looks("uConsole")?;
    assert_eq!(running(host)?, toplevel);

    let back = scene.deploy("fleet", "back")?;
    scene.wait_for_revision(host, &back)?;
    state_is("present", &back)?;
    assert!(!says(&scene.daemon, &["status"])?.contains("does not exist"));
    Ok(())
}
