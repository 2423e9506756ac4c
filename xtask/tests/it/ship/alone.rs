//! The programs that stand alone.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use xtask::chores::dist::{Machine, dist};
use xtask::daemon::Daemon;
use xtask::emulation::emulator;
use xtask::flake::System;
use xtask::fleet::Fleet;
use xtask::forge::Forge;
use xtask::process::{run, undisturbed};
use xtask::workspace::commit;

/// How long anything may take that takes some seconds on an idle machine.
const SOON: Duration = Duration::from_secs(120);

/// Asserts that a program needs no library of the system.
fn assert_static(program: &Path) -> Result<()> {
    let headers = run(Command::new("readelf")
        .args(["--program-headers", "--dynamic"])
        .arg(program))?;
    assert!(
        !headers.contains("INTERP") && !headers.contains("NEEDED"),
        "{headers}"
    );
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_static_program_for_x86_64_brings_a_push_to_a_host() -> Result<()> {
    let programs = dist(&[Machine::X86_64])?;
    assert_static(&programs[0])?;
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare"])?;
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &[&hosts[0]])?;
    daemon.program = programs[0].clone();
    repository.deploy("main", "First", &[("spare", System::new("static-1"))])?;
    daemon.start()?;
    for version in ["static-2", "static-3"] {
        let revision = repository.deploy("main", version, &[("spare", System::new(version))])?;
        let toplevel = repository.toplevel("spare", &revision)?;
        daemon.wait_until_running(&hosts[0], &toplevel, SOON)?;
    }
    let built = format!("commit=\"{}\"", commit());
    assert!(daemon.get("/metrics")?.body.contains(&built), "{built}");
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_static_program_for_aarch64_checks_a_config_under_emulation() -> Result<()> {
    let programs = dist(&[Machine::Aarch64])?;
    assert_static(&programs[0])?;
    let emulator = emulator()?;
    let emulated =
        |arguments: &[&str]| run(undisturbed(&emulator).arg(&programs[0]).args(arguments));
    let version = emulated(&["--version"])?;
    assert_eq!(
        version.trim(),
        format!("reconcile {}", env!("CARGO_PKG_VERSION"))
    );
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &[])?;
    repository.deploy("main", "First", &[("cyt-pi", System::new("1"))])?;
    *daemon.config.host("cyt-pi") = "build_on = \"target\"".to_owned();
    daemon.rewrite_config()?;
    let file = daemon.config_file().display().to_string();
    // It asks the repository's server, over ssh.
    emulated(&["check", "--config", &file])?;
    Ok(())
}
