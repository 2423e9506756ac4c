//! What persons do meanwhile and afterwards.

use anyhow::Result;
use xtask::flake::{Marker, System};
use xtask::fleet::Host;
use xtask::wait::wait_until;

use super::{assert_back, outcomes, patient, quick, wait_for_awaiting};
use crate::scene::{SOON, Scene, history, never_built, places, wait_for_activation};
use crate::settled::{start_with, wait_until_in_sync};

/// A system that fails a unit.
fn bad() -> Result<System> {
    Ok(System {
        marker: Marker::Fails,
        ..never_built("bad")?
    })
}

#[test]
fn a_quarantined_system_stays_away_until_a_person_forces_it_or_the_config_changes() -> Result<()> {
    let mut scene = start_with(&["spare"], quick)?;
    let first = scene.host().running_toplevel()?;
    let revision = scene
        .repository
        .deploy("main", "Bad", &[("spare", bad()?)])?;
    assert_back(&scene, scene.host(), &first, &revision, "degraded")?;
    let asked = scene.daemon.cli(&["--host", "spare"])?;
    assert_eq!(asked.status.code(), Some(6), "{asked:?}");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(
        said.contains("quarantined since") && said.contains("--force"),
        "{said}"
    );
    // The same system under another commit is no better.
    std::fs::write(
        scene.repository.work().join("README.md"),
        "another commit, the same systems\n",
    )?;
    let same = scene.repository.commit("The same")?;
    scene.repository.push("main")?;
    scene.wait_for_status("spare", "the commit", |status| {
        status["desired_revision"] == same
    })?;
    scene.wait_for_two_looks("spare")?;
    assert!(outcomes(&scene, "spare", &same)?.is_empty());
    let forced = scene.daemon.cli(&["--host", "spare", "--force"])?;
    assert_eq!(forced.status.code(), Some(3), "{forced:?}");
    assert_eq!(outcomes(&scene, "spare", &same)?, ["rolled_back"]);
    // A restart forgets nothing.
    scene.daemon.kill()?;
    scene.daemon.start()?;
    scene.wait_for_two_looks("spare")?;
    assert_eq!(outcomes(&scene, "spare", &same)?, ["rolled_back"]);
    scene
        .daemon
        .config
        .proof
        .push_str("\non_degraded = \"keep\"");
    scene.daemon.rewrite_config()?;
    scene.wait_for_outcome("spare", &same, "degraded")?;
    wait_until_in_sync(&scene, "spare", &same)
}

/// Brings a host away from its good system, as an administrator would.
fn drift_by_hand(host: &Host) -> Result<()> {
    host.console(&format!(
        "{0}/bin/switch-to-configuration switch </dev/null >/dev/null 2>&1; nix-env -p /nix/var/nix/profiles/system --set {0}",
        host.base_toplevel
    ))?;
    Ok(())
}

#[test]
fn drift_from_the_good_system_is_undone_while_the_wanted_one_is_in_quarantine() -> Result<()> {
    let scene = start_with(&["uConsole"], quick)?;
    let host = scene.host();
    let first = host.running_toplevel()?;
    let revision = scene
        .repository
        .deploy("main", "Bad", &[("uConsole", bad()?)])?;
    assert_back(&scene, host, &first, &revision, "degraded")?;
    drift_by_hand(host)?;
    let back = || places(host);
    let all = [first.as_str(); 3].map(str::to_owned);
    wait_until("the good system", SOON, back, |now| *now == all)?;
    assert_eq!(outcomes(&scene, "uConsole", &revision)?, ["rolled_back"]);
    // And it stays there.
    scene.wait_for_two_looks("uConsole")?;
    assert_eq!(places(host)?, all);
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_way_back_to_the_good_system_waits_for_the_hosts_window_and_says_so() -> Result<()> {
    let mut scene = start_with(&["uConsole"], quick)?;
    let first = scene.host().running_toplevel()?;
    let revision = scene
        .repository
        .deploy("main", "Bad", &[("uConsole", bad()?)])?;
    assert_back(&scene, scene.host(), &first, &revision, "degraded")?;
    // While no daemon runs: a change that a running one takes up would lift the quarantine.
    scene.daemon.kill()?;
    scene.daemon.config.host("uConsole").push_str(
        "\nfreezes = [{ from = \"2000-01-01\", to = \"2100-01-01\", time_zone = \"UTC\", why = \"a fair\" }]",
    );
    drift_by_hand(scene.host())?;
    scene.daemon.start()?;
    let status = scene.wait_for_status("uConsole", "the host to wait", |status| {
        status["waits_until"] == "2100-01-01T00:00:00Z"
    })?;
    let waits = status["waits"].as_str().unwrap_or_default();
    assert!(waits.contains("a fair"), "{status:#}");
    scene.wait_for_two_looks("uConsole")?;
    let base = scene.host().base_toplevel.clone();
    assert_eq!(places(scene.host())?, [base.clone(), base.clone(), base]);
    assert_eq!(outcomes(&scene, "uConsole", &revision)?, ["rolled_back"]);
    Ok(())
}

/// Brings a host to where it waits for its acknowledgement, with nobody there to give it.
fn until_awaiting(scene: &mut Scene, host: &str) -> Result<String> {
    let system = System {
        seconds: 2,
        ..never_built("meanwhile")?
    };
    let revision = scene
        .repository
        .deploy("main", "Second", &[(host, system)])?;
    wait_for_activation(scene.host(), &scene.repository.toplevel(host, &revision)?)?;
    scene.daemon.kill()?;
    wait_for_awaiting(scene.host())?;
    Ok(revision)
}

#[test]
fn a_profile_that_a_person_sets_while_the_host_waits_is_kept() -> Result<()> {
    let mut scene = start_with(&["cyt-pi"], patient)?;
    let revision = until_awaiting(&mut scene, "cyt-pi")?;
    let theirs = scene.host().base_toplevel.clone();
    scene.host().console(&format!(
        "nix-env -p /nix/var/nix/profiles/system --set {theirs}"
    ))?;
    scene.daemon.start()?;
    let changed = |_: &serde_json::Value| {
        outcomes(&scene, "cyt-pi", &revision).is_ok_and(|outcomes| {
            outcomes
                .first()
                .is_some_and(|one| one == "changed_meanwhile")
        })
    };
    scene.wait_for_status("cyt-pi", "the change to be named", changed)?;
    let entries = history(&scene.daemon, "cyt-pi", "deployment")?;
    let detail = entries
        .iter()
        .find(|entry| entry["outcome"] == "changed_meanwhile");
    let detail = detail
        .map(|entry| entry["detail"].to_string())
        .unwrap_or_default();
    assert!(
        detail.contains("the system profile") && detail.contains(&theirs),
        "{detail}"
    );
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_system_that_a_person_switches_to_while_the_host_waits_is_not_rolled_back() -> Result<()> {
    let mut scene = start_with(&["cyt-pi"], quick)?;
    until_awaiting(&mut scene, "cyt-pi")?;
    let theirs = scene.host().base_toplevel.clone();
    scene.host().console(&format!(
        "nix-env -p /nix/var/nix/profiles/system --set {theirs}; \
         {theirs}/bin/switch-to-configuration switch </dev/null >/dev/null 2>&1"
    ))?;
    let verdict = || scene.hosts[0].console("cat /run/reconcile/*/verdict 2>/dev/null || true");
    let seen = wait_until("an end", SOON, verdict, |verdict| !verdict.is_empty())?;
    assert!(
        seen.starts_with("changed-meanwhile the running system"),
        "{seen}"
    );
    assert_eq!(
        places(scene.host())?,
        [theirs.as_str(); 3].map(str::to_owned)
    );
    Ok(())
}
