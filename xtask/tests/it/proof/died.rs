//! Whatever dies on the way - the supervisor, the daemon, the connection - the host ends on a system that was proven.

use anyhow::Result;
use xtask::flake::System;
use xtask::wait::wait_until;

use super::{WAIT, assert_back, outcomes, patient, quick, wait_for_awaiting};
use crate::scene::{SOON, never_built, places, wait_for_activation, wait_until_clean};
use crate::settled::{start_with, wait_until_in_sync};

/// Long enough to be seen in the middle of.
fn slow(version: &str) -> Result<System> {
    Ok(System {
        seconds: 3,
        ..never_built(version)?
    })
}

#[test]
fn a_supervisor_that_is_killed_while_it_activates_takes_the_system_back() -> Result<()> {
    let scene = start_with(&["spare", "uConsole", "cyt-pi"], quick)?;
    let first = scene.running_toplevels()?;
    let systems = ["spare", "uConsole", "cyt-pi"].map(|name| (name, slow("killed")));
    let systems: Vec<_> = systems
        .into_iter()
        .map(|(name, system)| Ok((name, system?)))
        .collect::<Result<_>>()?;
    let revision = scene.repository.deploy("main", "Second", &systems)?;
    let deaths = [
        "systemctl kill --kill-whom=main --signal=KILL \"$unit\"",
        "systemctl stop --no-block \"$unit\"",
        // What the kernel does to a unit that is out of memory.
        "systemctl kill --kill-whom=all --signal=KILL \"$unit\"",
    ];
    for (host, death) in scene.hosts.iter().zip(deaths) {
        wait_for_activation(host, &scene.repository.toplevel(&host.name, &revision)?)?;
        host.console(&format!(
            "unit=$(systemctl list-units --plain --no-legend 'reconcile-*' | cut -d ' ' -f 1); {death}"
        ))?;
    }
    for (host, first) in scene.hosts.iter().zip(&first) {
        assert_back(&scene, host, first, &revision, "interrupted")?;
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_supervisor_and_its_end_that_are_killed_while_they_wait_are_ended_by_who_comes_back()
-> Result<()> {
    let mut scene = start_with(&["spare"], quick)?;
    let first = scene.host().running_toplevel()?;
    let revision = scene
        .repository
        .deploy("main", "Second", &[("spare", slow("killed")?)])?;
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    wait_for_activation(scene.host(), &toplevel)?;
    scene.daemon.kill()?;
    wait_for_awaiting(scene.host())?;
    // With its unit's file gone, systemd has no ending to run.
    scene.host().console(
        "unit=$(systemctl list-units --plain --no-legend 'reconcile-*' | cut -d ' ' -f 1)\n\
         mv /run/reconcile/$(echo $unit | sed 's/^reconcile-//; s/.service$//')/supervisor /run/hidden\n\
         systemctl kill --kill-whom=all --signal=KILL $unit\n\
         while systemctl is-active --quiet $unit; do sleep 0.1; done\n\
         mv /run/hidden /run/reconcile/$(echo $unit | sed 's/^reconcile-//; s/.service$//')/supervisor",
    )?;
    assert_eq!(scene.host().running_toplevel()?, toplevel);
    scene.daemon.start()?;
    assert_back(&scene, scene.host(), &first, &revision, "interrupted")
}

#[test]
fn a_daemon_that_was_down_when_the_host_waited_tries_again() -> Result<()> {
    let mut scene = start_with(&["uConsole"], quick)?;
    let first = scene.host().running_toplevel()?;
    let revision =
        scene
            .repository
            .deploy("main", "Second", &[("uConsole", slow("unattended")?)])?;
    let toplevel = scene.repository.toplevel("uConsole", &revision)?;
    wait_for_activation(scene.host(), &toplevel)?;
    scene.daemon.kill()?;
    let verdict = || scene.hosts[0].console("cat /run/reconcile/*/verdict 2>/dev/null || true");
    let deadline = SOON + WAIT;
    let seen = wait_until("an end", deadline, verdict, |verdict| !verdict.is_empty())?;
    assert_eq!(seen.trim(), "rolled-back not-acknowledged");
    assert_eq!(
        places(scene.host())?,
        [first.as_str(); 3].map(str::to_owned)
    );
    scene.daemon.start()?;
    wait_until_in_sync(&scene, "uConsole", &revision)?;
    assert_eq!(
        outcomes(&scene, "uConsole", &revision)?,
        ["rolled_back", "converged"]
    );
    wait_until_clean(scene.host())
}

#[test]
fn a_daemon_that_comes_back_in_time_acknowledges_what_it_began() -> Result<()> {
    let mut scene = start_with(&["cyt-pi"], patient)?;
    let revision = scene
        .repository
        .deploy("main", "Second", &[("cyt-pi", slow("attended")?)])?;
    let toplevel = scene.repository.toplevel("cyt-pi", &revision)?;
    wait_for_activation(scene.host(), &toplevel)?;
    scene.daemon.kill()?;
    wait_for_awaiting(scene.host())?;
    scene.daemon.start()?;
    wait_until_in_sync(&scene, "cyt-pi", &revision)?;
    assert_eq!(outcomes(&scene, "cyt-pi", &revision)?, ["converged"]);
    assert_eq!(
        places(scene.host())?,
        [toplevel.as_str(); 3].map(str::to_owned)
    );
    wait_until_clean(scene.host())
}

#[test]
#[ignore = "long"]
fn a_connection_that_is_cut_for_longer_than_the_host_waits_rolls_back_and_quarantines() -> Result<()>
{
    let scene = start_with(&["spare", "uConsole"], quick)?;
    let (long, short) = (&scene.hosts[0], &scene.hosts[1]);
    let first = long.running_toplevel()?;
    let systems = [
        ("spare", slow("cut-long")?),
        ("uConsole", slow("cut-short")?),
    ];
    let revision = scene.repository.deploy("main", "Second", &systems)?;
    for host in [long, short] {
        wait_for_activation(host, &scene.repository.toplevel(&host.name, &revision)?)?;
        host.cut_network()?;
    }
    wait_for_awaiting(short)?;
    short.restore_network()?;
    let verdict = || long.console("cat /run/reconcile/*/verdict 2>/dev/null || true");
    wait_until("an end", SOON, verdict, |verdict| !verdict.is_empty())?;
    long.restore_network()?;
    assert_back(&scene, long, &first, &revision, "not_acknowledged")?;
    wait_until_in_sync(&scene, "uConsole", &revision)?;
    assert_eq!(outcomes(&scene, "uConsole", &revision)?, ["converged"]);
    wait_until_clean(short)
}
