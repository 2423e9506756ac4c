//! What of the machine's own git configuration counts: how servers are reached, and nothing of what is fetched.
//!
//! The environment is the whole process's, so each fetch is one of a child: this test binary again.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use desired_state::Access;

use crate::support::{AMPLE, World};

/// Tells a child process what to fetch, into the mirror of the world in its folder.
const CHILD: &str = "RECONCILE_TEST_GIT_CONFIG";

#[tokio::test]
async fn a_child_process_fetches_without_access() {
    let Ok(told) = std::env::var(CHILD) else {
        return; // Nobody's child.
    };
    let (url, folder) = told.split_once('\n').unwrap();
    let mirror = desired_state::Mirror::open(desired_state::MirrorSettings {
        directory: folder.into(),
        url: url.to_owned(),
        access: Access::None,
        timeout: AMPLE,
    });
    mirror.unwrap().fetch().await.unwrap();
}

/// Fetches in a process with that git configuration and those variables.
fn fetch(url: &str, mirror: &Path, config: &str, variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let gitconfig = folder.path().join("gitconfig");
    fs::write(&gitconfig, config).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "git_config::a_child_process_fetches_without_access",
        ])
        .arg("--nocapture")
        .env(CHILD, format!("{url}\n{}", mirror.display()))
        .env("GIT_CONFIG_GLOBAL", &gitconfig)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn nothing_of_the_machines_git_configuration_changes_what_is_fetched() {
    let (world, other) = (World::new(), World::new());
    let stranger = other.commit("of another repository");
    world.git(&["tag", "v1"]);
    let hooks = world.path("hooks");
    fs::create_dir(&hooks).unwrap();
    let hook = hooks.join("reference-transaction");
    let ran = world.path("hook-ran");
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&hook, mode).unwrap();
    let config = format!(
        "[url \"{}\"]\n insteadOf = {}\n insteadOf = file://\n[core]\n hooksPath = {}\n[fetch]\n unpackLimit = 1000\n\
         [remote \"origin\"]\n url = {}\n fetch = +refs/*:refs/*\n[protocol]\n allow = never\n[gc]\n auto = 1\n",
        other.file_url(),
        world.file_url(),
        hooks.display(),
        other.file_url(),
    );
    let elsewhere = world.path("elsewhere");
    let git_dir = elsewhere.display().to_string();
    let variables = [("GIT_DIR", git_dir.as_str()), ("GIT_NAMESPACE", "odd")];
    let output = fetch(
        &world.file_url(),
        &world.path("mirror"),
        &config,
        &variables,
    );
    assert!(output.status.success(), "{}", text(&output));
    let mirror = world.mirror();
    assert!(mirror.contains(&world.revision("main")).await.unwrap());
    assert!(!mirror.contains(&stranger).await.unwrap());
    assert!(!ran.exists(), "no hook runs");
    assert!(!elsewhere.exists());
    let tags = crate::support::git(&world.path("mirror/.git"), &["tag"]);
    assert_eq!(tags, "");
}

#[test]
fn a_proxy_of_the_git_configuration_counts() {
    let world = World::new();
    let url = "http://git.invalid/a.git";
    let config = "[http]\n proxy = http://proxy.invalid:3128\n";
    let output = fetch(url, &world.path("mirror"), config, &[]);
    let said = text(&output);
    assert!(said.contains("failure: Proxy"), "{said}");
}
