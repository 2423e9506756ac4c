//! A host is known by its machine id, as sshd is by its host key.

use anyhow::Result;
use xtask::flake::{Source, System};

use super::{outcomes, quick};
use crate::scene::never_built;
use crate::settled::{start_with, wait_until_in_sync};

/// Longer than what was seen of a host is acted on, in seconds.
const LONG_BUILD: u32 = 25;

#[test]
fn another_machine_that_answers_under_a_hosts_name_is_left_alone_until_a_person_accepts_it()
-> Result<()> {
    let scene = start_with(&["spare"], quick)?;
    let before = scene.host().running_toplevel()?;
    // The reset of the host puts it back.
    let own = scene
        .host()
        .console("cp /etc/machine-id /etc/testbed/machine-id; cat /etc/machine-id")?;
    scene
        .host()
        .console("echo 0123456789abcdef0123456789abcdef > /etc/machine-id")?;
    scene.wait_for_status("spare", "the other machine to be seen", |status| {
        status["unreachable"]
            .to_string()
            .contains("another machine answers")
    })?;
    let revision = scene.deploy("main", "2")?;
    scene.wait_for_status("spare", "the commit", |status| {
        status["desired_revision"] == revision
    })?;
    let asked = scene.daemon.cli(&["--host", "spare"])?;
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert_eq!(asked.status.code(), Some(6), "{said}");
    assert!(
        said.contains(own.trim()) && said.contains("--force"),
        "{said}"
    );
    assert_eq!(scene.host().running_toplevel()?, before);
    assert!(outcomes(&scene, "spare", &revision)?.is_empty());
    let forced = scene.daemon.cli(&["--host", "spare", "--force"])?;
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    wait_until_in_sync(&scene, "spare", &revision)
}

#[test]
#[ignore = "long"]
fn another_machine_that_takes_a_hosts_address_during_its_build_is_left_alone() -> Result<()> {
    let scene = start_with(&["spare"], quick)?;
    let host = scene.host();
    let before = host.running_toplevel()?;
    host.console("cp /etc/machine-id /etc/testbed/machine-id")?;
    let slow = System {
        source: Source::BuildsSlowly(LONG_BUILD),
        ..never_built("slow")?
    };
    let revision = scene
        .repository
        .deploy("main", "Slow", &[("spare", slow)])?;
    scene.wait_for_status("spare", "the build to begin", |status| {
        status["desired_revision"] == revision && status["desired_toplevel"].is_string()
    })?;
    host.console("echo 0123456789abcdef0123456789abcdef > /etc/machine-id")?;
    scene.wait_for_status("spare", "the other machine to be seen", |status| {
        status["unreachable"]
            .to_string()
            .contains("another machine answers")
    })?;
    assert_eq!(host.running_toplevel()?, before);
    assert!(outcomes(&scene, "spare", &revision)?.is_empty());
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    let log = host.activations()?;
    assert!(log.iter().all(|one| one.toplevel != toplevel), "{log:#?}");

    host.console("cp /etc/testbed/machine-id /etc/machine-id")?;
    wait_until_in_sync(&scene, "spare", &revision)
}
