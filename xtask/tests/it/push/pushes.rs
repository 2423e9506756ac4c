//! A push, and the ways in which pushes differ.

use std::fs;
use std::time::Instant;

use anyhow::Result;
use xtask::daemon::SECRET;
use xtask::flake::System;
use xtask::fleet::count_begun;
use xtask::forge::ContentType;
use xtask::wait::wait_until;

use crate::scene::{
    REPOSITORY, SOON, Scene, cause, history, looks, running, says, wait_for_log, wait_for_looks,
    wait_until_idle,
};

#[test]
fn a_push_is_answered_202_and_three_hosts_run_its_commit_because_of_the_delivery() -> Result<()> {
    let scene = Scene::start(&["lazyworkhorse", "cyt-pi", "uConsole"])?;
    let revision = scene.deploy("main", "2")?;
    let push = scene.last_push()?;
    assert_eq!(push.status, Some(202), "{push:?}");
    for host in &scene.hosts {
        scene.wait_for_revision(host, &revision)?;
        assert_eq!(
            cause(&scene.daemon, &host.name)?,
            format!("delivery {}", push.uuid)
        );
        scene.wait_for_status(&host.name, "the host to be in sync", |status| {
            status["drift"] == "in_sync" && status["desired_revision"] == revision.as_str()
        })?;
        assert_eq!(host.marker()?.as_deref(), Some("2"));
    }
    let metrics = scene.daemon.metrics()?;
    let heard = [("event", "push"), ("result", "accepted")];
    assert_eq!(
        metrics.value("reconcile_webhook_deliveries_total", &heard),
        Some(1.0)
    );
    assert!(metrics.sum("reconcile_missed_deliveries_total", &[]) < 1.0);
    Ok(())
}

#[test]
fn a_push_is_deployed_when_the_hook_sends_forms() -> Result<()> {
    let scene = Scene::start(&["cyt-pi"])?;
    scene
        .repository
        .edit(|settings| settings.hooks[0].content_type = ContentType::Form)?;
    let revision = scene.deploy("main", "form")?;
    let push = scene.last_push()?;
    assert!(push.body.starts_with("payload="), "{}", push.body);
    assert_eq!(push.status, Some(202));
    scene.wait_for_revision(scene.host(), &revision)
}

#[test]
fn a_merge_commit_is_deployed_with_what_both_sides_brought() -> Result<()> {
    let scene = Scene::start(&["uConsole"])?;
    let repository = &scene.repository;
    repository.git(&["switch", "--quiet", "--create", "feature"])?;
    repository.write_systems(&[("uConsole", System::new("merged"))])?;
    repository.commit("Feature")?;
    repository.git(&["switch", "--quiet", "main"])?;
    fs::write(repository.work().join("notes"), "of main alone")?;
    repository.commit("Notes")?;
    repository.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feature"])?;
    let merge = repository.git(&["rev-parse", "HEAD"])?;
    repository.push("main")?;
    assert_eq!(scene.last_push()?.status, Some(202));
    scene.wait_for_revision(scene.host(), &merge)?;
    let has_it = |marker: &Option<String>| marker.as_deref() == Some("merged");
    wait_until(
        "what the feature brought",
        SOON,
        || scene.host().marker(),
        has_it,
    )
    .map(drop)
}

#[test]
fn a_branch_with_a_slash_and_letters_of_all_kinds_is_followed() -> Result<()> {
    let branch = "würze/日本-🚀";
    let scene = Scene::start_on(branch, &["spare"], |_| ())?;
    let revision = scene.deploy(branch, "odd")?;
    scene.wait_for_revision(scene.host(), &revision)?;
    let expected = format!("delivery {}", scene.last_push()?.uuid);
    assert_eq!(cause(&scene.daemon, "spare")?, expected);
    assert!(says(&scene.daemon, &["status"])?.contains(branch));
    Ok(())
}

#[test]
fn git_is_fetched_over_ssh_with_the_deploy_key_and_a_push_while_that_is_down_is_not_forgotten()
-> Result<()> {
    let mut scene = Scene::start(&["spare"])?;
    let lines = scene.daemon.config.repository(REPOSITORY).clone();
    assert!(
        lines.contains("url = \"ssh://") && lines.contains("ssh_key_file"),
        "{lines}"
    );
    let before = running(scene.host())?;
    scene.forge.stop_ssh()?;
    let revision = scene.deploy("main", "late")?;
    let push = scene.last_push()?;
    assert_eq!(push.status, Some(202), "hearing needs no fetch");
    wait_for_log(&scene.daemon, "the connection was refused")?;
    assert_eq!(running(scene.host())?, before);
    scene.forge.start_ssh()?;
    // No delivery tells of this: the daemon comes back to the one that it has.
    scene.wait_for_revision(scene.host(), &revision)?;
    let expected = format!("delivery {}", push.uuid);
    assert_eq!(cause(&scene.daemon, "spare")?, expected);
    Ok(())
}

#[test]
fn a_delivery_that_comes_again_does_nothing_new() -> Result<()> {
    let scene = Scene::start(&["cyt-pi"])?;
    let revision = scene.deploy("main", "once")?;
    scene.wait_for_revision(scene.host(), &revision)?;
    scene.wait_for_status("cyt-pi", "the end of the deployment", |status| {
        status["drift"] == "in_sync"
    })?;
    let past = |kind| history(&scene.daemon, "cyt-pi", kind);
    let (wishes, deployments) = (past("wish")?, past("deployment")?);
    let push = scene.last_push()?;
    for _ in 0..3 {
        wait_until_idle(&scene.daemon)?;
        let before = looks(&scene.daemon)?;
        let again = scene.repository.redeliver(&push)?;
        assert_eq!(again.status, Some(202));
        assert_eq!(again.json, push.json);
        assert_ne!(again.uuid, push.uuid);
        // It is looked at, and there is nothing.
        wait_for_looks(&scene.daemon, before, 1.0)?;
    }
    scene.wait_for_two_looks("cyt-pi")?;
    assert_eq!((past("wish")?, past("deployment")?), (wishes, deployments));
    let toplevel = running(scene.host())?;
    assert_eq!(
        count_begun(&scene.host().activations()?, "test", &toplevel),
        1
    );
    Ok(())
}

#[test]
fn twenty_pushes_in_a_row_end_on_the_last_with_few_deployments_and_never_step_back() -> Result<()> {
    const PUSHES: usize = 20;
    let scene = Scene::start(&["uConsole"])?;
    let host = scene.host();
    let start = Instant::now();
    let mut last = String::new();
    for number in 0..PUSHES {
        last = scene.deploy("main", &format!("{}", 100 + number))?;
        assert_eq!(scene.last_push()?.status, Some(202));
    }
    scene.wait_for_revision(host, &last)?;
    let seconds = start.elapsed().as_secs();
    scene.wait_for_two_looks("uConsole")?;
    // A switch is a test that is made the boot default when it is good.
    let toplevels: Vec<String> = host
        .activations()?
        .into_iter()
        .filter(|one| one.action == "test" && one.event == "begin")
        .map(|one| one.toplevel)
        .collect();
    let versions: Vec<u32> = toplevels
        .iter()
        .map(|toplevel| {
            Ok(host
                .console(&format!("cat {toplevel}/nixos-version"))?
                .trim()
                .parse()?)
        })
        .collect::<Result<_>>()?;
    assert!(versions.is_sorted(), "{versions:?}");
    assert_eq!(versions.last(), Some(&119));
    // The repository is looked at once a second at most; the first commit is one more.
    let most = usize::try_from(seconds)?.min(PUSHES / 2) + 2;
    assert!(versions.len() <= most, "{versions:?} in {seconds} s");
    Ok(())
}

#[test]
fn a_push_to_a_repository_that_no_host_follows_is_accepted_and_looks_at_nothing() -> Result<()> {
    let scene = Scene::start(&["spare"])?;
    let other = scene.forge.create("infra-team/website")?;
    let url = format!("http://{}/hook", scene.daemon.config.webhook);
    other.add_hook(xtask::forge::Hook::new(&url, SECRET))?;
    wait_until_idle(&scene.daemon)?;
    let before = looks(&scene.daemon)?;
    other.commit("A page")?;
    other.push("main")?;
    assert!(
        other
            .deliveries()?
            .iter()
            .all(|one| one.status == Some(202))
    );
    wait_for_log(&scene.daemon, "no host follows this repository")?;
    let revision = scene.deploy("main", "2")?;
    scene.wait_for_revision(scene.host(), &revision)?;
    // The create-free push of an old branch rings once.
    assert!(looks(&scene.daemon)? < before + 2.0);
    Ok(())
}
