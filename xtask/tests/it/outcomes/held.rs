//! What persons hold back: suspensions and pins.

use anyhow::Result;
use xtask::flake::{Hang, System};
use xtask::fleet::count_begun;
use xtask::wait::wait_until;

use super::{ends_with, gauge, has};
use crate::scene::{SOON, Scene, history, never_built, places, says, status_of, wait_for_log};
use crate::settled::{start, start_with, wait_until_in_sync};

#[test]
fn a_suspended_host_is_watched_and_left_alone_until_it_is_resumed() -> Result<()> {
    let mut scene = start(&["spare"])?;
    let host = scene.hosts[0].name.clone();
    ends_with(&scene.daemon, 2, &["suspend", "--host", &host])?;
    let why = [
        "suspend",
        "--host",
        &host,
        "--why",
        "disk is being replaced",
    ];
    ends_with(&scene.daemon, 0, &why)?;
    let revision = scene.deploy("main", "2")?;
    let wanted = scene.repository.toplevel(&host, &revision)?;
    let is_seen = |status: &serde_json::Value| {
        status["drift"] == "drifted" && status["desired_toplevel"] == wanted.as_str()
    };
    scene.wait_for_status(&host, "the push to be seen", is_seen)?;
    scene.daemon.kill()?;
    scene.daemon.start()?;
    let first = scene.hosts[0].running_toplevel()?;
    assert_ne!(first, wanted);
    scene.wait_for_two_looks(&host)?;
    // Without --force not even a person deploys to it.
    let said = ends_with(&scene.daemon, 6, &["--host", &host])?;
    assert!(said.contains("suspended: disk is being replaced"), "{said}");
    assert_eq!(scene.hosts[0].running_toplevel()?, first);
    assert_eq!(gauge(&scene.daemon, "suspended", &host)? as u64, 1);
    assert!(says(&scene.daemon, &["status"])?.contains("suspended: disk is being"));

    ends_with(
        &scene.daemon,
        0,
        &["resume", "--host", &host, "--why", "disk is new"],
    )?;
    wait_until_in_sync(&scene, &host, &revision)?;
    assert_eq!(gauge(&scene.daemon, "suspended", &host)? as u64, 0);
    for (kind, reason) in [
        ("suspend", "disk is being replaced"),
        ("resume", "disk is new"),
    ] {
        let told = history(&scene.daemon, &host, kind)?;
        assert_eq!(told.len(), 1);
        assert!(told[0]["detail"].to_string().contains(reason), "{told:?}");
    }
    Ok(())
}

#[test]
fn a_host_that_is_suspended_or_frozen_while_it_waits_for_its_turn_is_left_alone() -> Result<()> {
    let waiting = ["spare", "uConsole"];
    let mut scene = start_with(&["cyt-pi", "spare", "uConsole"], |config| {
        config.tail.push_str("\n[limits]\nactivations = 1\n");
    })?;
    let slow = System {
        hang: Some(Hang::Stop),
        ..never_built("slow")?
    };
    let first = scene
        .repository
        .deploy("main", "Slow", &[("cyt-pi", slow)])?;
    let slow = scene.repository.toplevel("cyt-pi", &first)?;
    let log = || scene.hosts[0].activations();
    wait_until("the turn of the first", SOON, log, |log| {
        count_begun(log, "test", &slow) == 1
    })?;
    let system = never_built("2")?;
    let second = waiting.map(|name| (name, system.clone()));
    let second = scene.repository.deploy("main", "Second", &second)?;
    for host in &scene.hosts[1..] {
        let toplevel = scene.repository.toplevel(&host.name, &second)?;
        let copied = || has(host, &toplevel);
        wait_until("the others to be ready", SOON, copied, |copied| *copied)?;
    }

    let why = ["suspend", "--host", "spare", "--why", "the commit is bad"];
    ends_with(&scene.daemon, 0, &why)?;
    *scene.daemon.config.host("uConsole") += "\nfreezes = [{ from = \"2000-01-01\", to = \"2100-01-01\", time_zone = \"UTC\", why = \"nobody is there\" }]";
    scene.daemon.rewrite_config()?;
    wait_for_log(&scene.daemon, "the changed config is taken up")?;
    // It hangs no longer, and the next has its turn.
    scene.hosts[0].console("kill -KILL $(pgrep --exact --full 'sleep infinity')")?;
    wait_until_in_sync(&scene, "cyt-pi", &second)?;
    for host in &scene.hosts[1..] {
        scene.wait_for_two_looks(&host.name)?;
        let toplevel = scene.repository.toplevel(&host.name, &second)?;
        let log = host.activations()?;
        assert!(log.iter().all(|one| one.toplevel != toplevel), "{log:#?}");
    }
    let status = status_of(&scene.daemon, "uConsole")?;
    assert!(status["waits"].to_string().contains("frozen"), "{status:#}");

    let why = ["resume", "--host", "spare", "--why", "it is not"];
    ends_with(&scene.daemon, 0, &why)?;
    wait_until_in_sync(&scene, "spare", &second)
}

/// Pushes a commit to `main`, which a pinned host must not follow, and restarts the daemon.
fn push_past_pin(scene: &mut Scene, version: &str) -> Result<String> {
    let kept = status_of(&scene.daemon, "spare")?["desired_revision"].clone();
    scene.repository.git(&["switch", "--quiet", "main"])?;
    let revision = scene.deploy("main", version)?;
    wait_until_in_sync(scene, "uConsole", &revision)?;
    scene.daemon.kill()?;
    scene.daemon.start()?;
    scene.wait_for_two_looks("spare")?;
    let status = status_of(&scene.daemon, "spare")?;
    assert_eq!(status["desired_revision"], kept);
    assert!(!status["pinned_by"].is_null());
    Ok(revision)
}

fn unpin(scene: &Scene, tip: &str) -> Result<()> {
    ends_with(&scene.daemon, 0, &["unpin", "--host", "spare"])?;
    wait_until_in_sync(scene, "spare", tip)?;
    assert!(status_of(&scene.daemon, "spare")?["pinned_by"].is_null());
    let toplevel = scene.repository.toplevel("spare", tip)?;
    assert_eq!(
        places(&scene.hosts[0])?,
        [toplevel.clone(), toplevel.clone(), toplevel]
    );
    Ok(())
}

#[test]
fn a_commit_that_a_person_switches_to_becomes_a_pin_that_pushes_and_restarts_leave() -> Result<()> {
    let mut scene = start(&["spare", "uConsole"])?;
    let first = scene.repository.tip("main")?;
    let old = scene.hosts[0].running_toplevel()?;
    let second = scene.deploy("main", "2")?;
    wait_until_in_sync(&scene, "spare", &second)?;
    ends_with(
        &scene.daemon,
        0,
        &["--host", "spare", "--revision", &first[..10]],
    )?;
    assert_eq!(
        places(&scene.hosts[0])?,
        [old.clone(), old.clone(), old.clone()]
    );
    assert!(says(&scene.daemon, &["status"])?.contains("pinned by"));
    let third = push_past_pin(&mut scene, "3")?;
    assert_eq!(places(&scene.hosts[0])?, [old.clone(), old.clone(), old]);
    unpin(&scene, &third)?;
    let pins = history(&scene.daemon, "spare", "pin")?;
    assert_eq!((pins.len(), &pins[0]["revision"]), (1, &first.into()));
    assert_eq!(history(&scene.daemon, "spare", "unpin")?.len(), 1);
    ends_with(
        &scene.daemon,
        2,
        &["--host", "spare", "--revision", "0123456789"],
    )?;
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_branch_that_a_person_tests_becomes_a_pin_that_a_reboot_would_leave() -> Result<()> {
    let mut scene = start(&["spare", "uConsole"])?;
    let old = scene.hosts[0].running_toplevel()?;
    scene
        .repository
        .git(&["switch", "--quiet", "--create", "trial"])?;
    let trial = scene
        .repository
        .deploy("trial", "Trial", &[("spare", System::new("trial"))])?;
    let new = scene.repository.toplevel("spare", &trial)?;
    ends_with(
        &scene.daemon,
        0,
        &["--host", "spare", "--branch", "trial", "--action", "test"],
    )?;
    assert_eq!(
        places(&scene.hosts[0])?,
        [new.clone(), old.clone(), old.clone()]
    );
    assert_eq!(status_of(&scene.daemon, "spare")?["action"], "test");
    let second = push_past_pin(&mut scene, "2")?;
    assert_eq!(places(&scene.hosts[0])?, [new, old.clone(), old]);
    unpin(&scene, &second)
}

#[test]
#[ignore = "long"]
fn a_commit_that_a_person_boots_becomes_a_pin_that_runs_after_the_next_boot() -> Result<()> {
    let mut scene = start(&["spare", "uConsole"])?;
    let first = scene.repository.tip("main")?;
    let old = scene.hosts[0].running_toplevel()?;
    let second = scene.deploy("main", "2")?;
    wait_until_in_sync(&scene, "spare", &second)?;
    let new = scene.hosts[0].running_toplevel()?;
    ends_with(
        &scene.daemon,
        0,
        &["--host", "spare", "--revision", &first, "--action", "boot"],
    )?;
    assert_eq!(
        places(&scene.hosts[0])?,
        [new.clone(), old.clone(), old.clone()]
    );
    let third = push_past_pin(&mut scene, "3")?;
    assert_eq!(places(&scene.hosts[0])?, [new, old.clone(), old.clone()]);
    scene.hosts[0].power_cut()?;
    scene.hosts[0].power_on()?;
    assert_eq!(scene.hosts[0].running_toplevel()?, old);
    scene.wait_for_two_looks("spare")?;
    assert_eq!(scene.hosts[0].running_toplevel()?, old);
    unpin(&scene, &third)
}
