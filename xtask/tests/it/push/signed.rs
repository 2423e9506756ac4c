//! A repository whose commits have to be signed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::scene::{REPOSITORY, Scene, history, running, status_of, wait_for_log};

/// Makes an SSH key; gives the private one's file.
fn make_key(scene: &Scene, name: &str) -> Result<PathBuf> {
    let key = scene.daemon.directory().join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()?;
    ensure!(made.success(), "ssh-keygen ended with {made}");
    Ok(key)
}

/// A line of an allowed_signers file.
fn allowed(key: &Path) -> Result<String> {
    let public = fs::read_to_string(key.with_extension("pub"))?;
    Ok(format!("ada@example.org {public}"))
}

/// Has git sign commits with a key from now on.
fn sign_with(scene: &Scene, key: &Path) -> Result<()> {
    let name = key.display().to_string();
    for (setting, value) in [
        ("gpg.format", "ssh"),
        ("user.signingkey", name.as_str()),
        ("commit.gpgsign", "true"),
    ] {
        scene.repository.git(&["config", setting, value])?;
    }
    Ok(())
}

/// A commit that is not signed is named in the log and in the history.
fn assert_distrust_is_told(scene: &Scene, unsigned: &str) -> Result<()> {
    let short = &unsigned[..12];
    let log = scene.daemon.log();
    let said = log
        .lines()
        .any(|line| line.contains("WARN") && line.contains(short) && line.contains("not signed"));
    assert!(said, "the log does not name {short}:\n{log}");
    let told = history(&scene.daemon, "spare", "branch")?;
    let detail = told[0]["detail"].to_string();
    assert!(
        detail.contains(short) && detail.contains("not signed"),
        "{told:#?}"
    );
    Ok(())
}

/// Neither a pin nor force brings a commit that is not signed onto the host.
fn assert_nothing_lifts_the_rule(scene: &Scene, first: &str, unsigned: &str) -> Result<()> {
    for arguments in [
        &["--host", "spare", "--revision", unsigned][..],
        &["--host", "spare", "--revision", unsigned, "--force"],
        &[
            "--host",
            "spare",
            "--branch",
            "main",
            "--action",
            "dry-activate",
        ],
        &["--host", "spare", "--revision", first],
    ] {
        let asked = scene.daemon.cli(arguments)?;
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert_eq!(asked.status.code(), Some(6), "{arguments:?}: {said}");
        assert!(said.contains("not signed"), "{arguments:?}: {said}");
    }
    scene.daemon.cli(&["--host", "spare", "--force"])?;
    assert!(status_of(&scene.daemon, "spare")?["pinned_by"].is_null());
    assert_eq!(
        scene
            .daemon
            .metrics()?
            .value("reconcile_host_drifted", &[("host", "spare")]),
        Some(0.0)
    );
    Ok(())
}

#[test]
fn a_commit_that_is_not_signed_is_never_deployed_and_said_and_a_signed_one_is() -> Result<()> {
    let mut scene = Scene::start(&["spare"])?;
    let first = scene.repository.tip("main")?;
    let (key, other) = (make_key(&scene, "key")?, make_key(&scene, "other")?);
    sign_with(&scene, &key)?;
    let signers = scene.daemon.directory().join("allowed_signers");
    fs::write(&signers, allowed(&key)?)?;
    let rule = format!("\nallowed_signers_file = \"{}\"", signers.display());
    scene.daemon.config.repository(REPOSITORY).push_str(&rule);
    scene.daemon.rewrite_config()?;
    // What runs is left, and said not to be trusted.
    scene.wait_for_status("spare", "the rule", |status| {
        status["branch_state"]["state"] == "untrusted" && status["branch_state"]["to"] == first
    })?;

    let signed = scene.deploy("main", "2")?;
    scene.wait_for_revision(scene.host(), &signed)?;
    let good = running(scene.host())?;

    scene
        .repository
        .git(&["config", "commit.gpgsign", "false"])?;
    let unsigned = scene.deploy("main", "3")?;
    let status = scene.wait_for_status("spare", "the unsigned commit", |status| {
        status["branch_state"]["state"] == "untrusted" && status["branch_state"]["to"] == unsigned
    })?;
    assert_eq!(status["desired_revision"], signed, "{status:#}");
    let why = status["branch_state"]["why"].to_string();
    assert!(
        why.contains("not signed") && why.contains("git commit -S"),
        "{why}"
    );
    scene.wait_for_two_looks("spare")?;
    assert_eq!(running(scene.host())?, good);

    assert_distrust_is_told(&scene, &unsigned)?;
    assert_nothing_lifts_the_rule(&scene, &first, &unsigned)?;
    assert_eq!(running(scene.host())?, good);

    // One who may signs on top of it: that vouches for the whole.
    scene
        .repository
        .git(&["config", "commit.gpgsign", "true"])?;
    let next = scene.deploy("main", "4")?;
    scene.wait_for_revision(scene.host(), &next)?;
    let status = status_of(&scene.daemon, "spare")?;
    assert_eq!(status["branch_state"]["state"], "present", "{status:#}");

    // Another may sign from now on; the file is taken up without a restart.
    fs::write(&signers, allowed(&other)?)?;
    wait_for_log(&scene.daemon, "files that the config names have changed")?;
    let stranger = scene.deploy("main", "5")?;
    scene.wait_for_status("spare", "the commit by one who may not", |status| {
        let state = &status["branch_state"];
        state["to"] == stranger && state["why"].to_string().contains("may not sign")
    })?;
    fs::write(&signers, allowed(&key)?)?;
    scene.wait_for_revision(scene.host(), &stranger)
}
