//! A connection, an sshd or a daemon that goes away at any point of a good deployment: one activation, and the right end.

use anyhow::Result;
use xtask::daemon::Config;
use xtask::flake::{Cut, System};
use xtask::fleet::{Host, count_begun};
use xtask::wait::wait_until;

use super::{outcomes, patient, wait_for_awaiting};
use crate::scene::{SOON, Scene, never_built, places, wait_until_clean};
use crate::settled::{start_with, wait_until_in_sync};

/// Where each host is met: while units stop, while they start, with an sshd that is restarted, and while it waits.
const ALL: [&str; 4] = ["spare", "uConsole", "cyt-pi", "lazyworkhorse"];

/// Long enough to meet all of them there on a machine that does other things too.
const SECONDS: u32 = 15;

/// An activation may take that long.
fn unhurried(config: &mut Config) {
    patient(config);
    config.timeouts = config
        .timeouts
        .replace("activate = \"10s\"", "activate = \"60s\"");
}

/// Deploys to every host of the scene, and returns when each is where it is to be met but for the last.
fn deploy(scene: &Scene) -> Result<String> {
    let stops = System {
        seconds: SECONDS,
        ..never_built("stops")?
    };
    let starts = System {
        start_seconds: SECONDS,
        ..never_built("starts")?
    };
    let restarts = System {
        cut: Some(Cut::Restart),
        start_seconds: SECONDS,
        ..never_built("restarts")?
    };
    let systems = [stops, starts.clone(), restarts, starts];
    let pairs: Vec<_> = ALL.into_iter().zip(systems).collect();
    let revision = scene.repository.deploy("main", "Second", &pairs)?;
    let is = |host: &Host, command: &str, what: &str| {
        let look = || host.console(&format!("{command} || true"));
        wait_until(what, SOON, look, |seen| !seen.trim().is_empty()).map(drop)
    };
    is(
        &scene.hosts[0],
        "cat /run/nixos/start-list",
        "units that stop",
    )?;
    for host in &scene.hosts[1..] {
        is(
            host,
            "systemctl show --property=ActiveState testbed-marker.service | grep activating",
            "units that start",
        )?;
    }
    Ok(revision)
}

/// Asserts that each host was switched once, and that this is what is told.
fn assert_switched_once(scene: &Scene, revision: &str) -> Result<()> {
    for host in &scene.hosts {
        let name = host.name.as_str();
        wait_until_in_sync(scene, name, revision)?;
        let toplevel = scene.repository.toplevel(name, revision)?;
        assert_eq!(
            places(host)?,
            [toplevel.as_str(); 3].map(str::to_owned),
            "{name}"
        );
        let begun = count_begun(&host.activations()?, "test", &toplevel);
        assert_eq!(begun, 1, "{name}");
        assert_eq!(outcomes(scene, name, revision)?, ["converged"], "{name}");
        wait_until_clean(host)?;
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_network_that_is_cut_while_units_stop_start_or_the_host_waits_costs_nothing() -> Result<()> {
    let scene = start_with(&ALL, unhurried)?;
    let revision = deploy(&scene)?;
    for host in &scene.hosts {
        host.cut_network()?;
    }
    for host in &scene.hosts {
        wait_for_awaiting(host)?;
    }
    for host in &scene.hosts {
        host.restore_network()?;
    }
    assert_switched_once(&scene, &revision)
}

#[test]
#[ignore = "long"]
fn a_daemon_that_is_killed_while_units_stop_start_or_the_host_waits_goes_on() -> Result<()> {
    let mut scene = start_with(&ALL, unhurried)?;
    let revision = deploy(&scene)?;
    scene.daemon.kill()?;
    wait_for_awaiting(&scene.hosts[3])?;
    scene.daemon.start()?;
    assert_switched_once(&scene, &revision)
}

#[test]
fn an_activation_that_restarts_sshd_is_acknowledged_all_the_same() -> Result<()> {
    let scene = start_with(&["cyt-pi"], patient)?;
    let system = System {
        cut: Some(Cut::Restart),
        ..never_built("restarts")?
    };
    let revision = scene
        .repository
        .deploy("main", "Second", &[("cyt-pi", system)])?;
    assert_switched_once(&scene, &revision)
}
