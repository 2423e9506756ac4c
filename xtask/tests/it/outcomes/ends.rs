//! Ends that are neither success nor failure: degraded, reboot required, locked.

use std::fs;

use anyhow::Result;
use xtask::flake::{App, Marker, System};
use xtask::fleet::count_begun;

use super::{assert_told, attempts, counted, ends_with, gauge};
use crate::scene::{says, status_of};
use crate::settled::{start, start_with, wait_until_in_sync};

#[test]
fn a_system_with_failed_units_is_degraded_in_sync_and_not_tried_again() -> Result<()> {
    let scene = start_with(&["spare", "uConsole"], |config| {
        config.proof = "on_degraded = \"keep\"".to_owned();
    })?;
    let with_failed_unit = System {
        marker: Marker::Fails,
        ..System::new("2")
    };
    let with_a_crash_loop = System {
        app: Some(App::Crashes),
        ..System::new("2")
    };
    let systems = [("spare", with_failed_unit), ("uConsole", with_a_crash_loop)];
    let revision = scene.repository.deploy("main", "Degraded", &systems)?;
    for host in &scene.hosts {
        let name = host.name.as_str();
        scene.wait_for_outcome(name, &revision, "degraded")?;
        wait_until_in_sync(&scene, name, &revision)?;
        scene.wait_for_two_looks(name)?;
        let toplevel = scene.repository.toplevel(name, &revision)?;
        assert_eq!(host.profile_toplevel()?, toplevel);
        assert_eq!(host.boot_default()?, toplevel);
        assert_eq!(count_begun(&host.activations()?, "test", &toplevel), 1);
        assert_told(&scene, name, &revision, "degraded")?;
        assert_eq!(
            gauge(&scene.daemon, "consecutive_failures", name)? as u64,
            0
        );
        assert_eq!(gauge(&scene.daemon, "drifted", name)? as u64, 0);
    }
    let status = status_of(&scene.daemon, "uConsole")?;
    assert_eq!(status["outcome"]["units"][0], "testbed-app.service");
    let unit = "testbed-marker.service";
    let status = status_of(&scene.daemon, "spare")?;
    assert_eq!(status["outcome"]["units"][0], unit);
    assert_eq!(status["failed_units"][0], unit);
    assert_eq!(gauge(&scene.daemon, "failed_units", "spare")? as u64, 1);
    assert!(says(&scene.daemon, &["status"])?.contains(unit));
    Ok(())
}

#[test]
fn a_system_that_only_a_reboot_reaches_changes_nothing_and_is_not_tried_again() -> Result<()> {
    let scene = start(&["cyt-pi", "spare"])?;
    let (host, first) = (&scene.hosts[0], scene.hosts[0].running_toplevel()?);
    let needs_reboot = System {
        init_interface: "systemd 258".into(),
        ..System::new("2")
    };
    let systems = [("cyt-pi", needs_reboot), ("spare", System::new("2"))];
    let revision = scene.repository.deploy("main", "Reboot", &systems)?;
    let toplevel = scene.repository.toplevel("cyt-pi", &revision)?;
    wait_until_in_sync(&scene, "spare", &revision)?;
    let status = scene.wait_for_outcome("cyt-pi", &revision, "reboot_required")?;
    assert_eq!(status["drift"], "drifted");
    assert!(status["next_attempt"].is_null());
    scene.wait_for_two_looks("cyt-pi")?;
    assert_eq!(count_begun(&host.activations()?, "test", &toplevel), 1);
    assert_told(&scene, "cyt-pi", &revision, "reboot_required")?;
    assert!(says(&scene.daemon, &["status"])?.contains("reboot required"));
    for now in [
        host.running_toplevel()?,
        host.profile_toplevel()?,
        host.boot_default()?,
    ] {
        assert_eq!(now, first);
    }
    // A person makes it the boot default and reboots: then it is there, and nothing is due any more.
    ends_with(
        &scene.daemon,
        0,
        &["--host", "cyt-pi", "--action", "boot", "--force"],
    )?;
    assert_eq!(host.boot_default()?, toplevel);
    host.power_cut()?;
    host.power_on()?;
    wait_until_in_sync(&scene, "cyt-pi", &revision)?;
    let status = status_of(&scene.daemon, "cyt-pi")?;
    assert_eq!(status["consecutive_failures"], 0);
    assert!(
        status["outcome"]["outcome"] != "reboot_required",
        "{status:#}"
    );
    Ok(())
}

#[test]
fn a_host_that_another_switch_holds_is_locked_by_name_and_tried_again() -> Result<()> {
    let scene = start(&["spare"])?;
    let (host, first) = (&scene.hosts[0], scene.hosts[0].running_toplevel()?);
    host.console(
        "mkdir -p /run/nixos; systemd-run --quiet --collect --unit=nixos-rebuild-by-hand \
         /usr/bin/flock /run/nixos/switch-to-configuration.lock /usr/bin/sleep infinity",
    )?;
    let revision = scene.deploy("main", "2")?;
    let status = scene.wait_for_outcome("spare", &revision, "locked")?;
    let by = status["outcome"]["by"].to_string();
    assert!(by.contains("nixos-rebuild-by-hand"), "{by}");
    scene.wait_for_status("spare", "a second try", |_| {
        attempts(&scene.daemon, "spare", &revision).is_ok_and(|tried| tried.len() >= 2)
    })?;
    assert_eq!(host.running_toplevel()?, first);
    assert_told(&scene, "spare", &revision, "locked")?;
    assert_eq!(
        gauge(&scene.daemon, "consecutive_failures", "spare")? as u64,
        0
    );
    host.console("systemctl stop nixos-rebuild-by-hand.service")?;
    wait_until_in_sync(&scene, "spare", &revision)
}

#[test]
fn a_switch_that_began_between_our_look_and_our_start_is_locked_too() -> Result<()> {
    let scene = start(&["uConsole"])?;
    let repository = &scene.repository;
    repository.write_systems(&[("uConsole", System::new("2"))])?;
    // Newer releases of switch-to-configuration exit with 11 when they do not get the lock.
    let script = repository.work().join("switch-to-configuration");
    let text = fs::read_to_string(&script)?;
    let once = "note begin\n[ -e /run/lost-the-race ] || { touch /run/lost-the-race; end 11; }\n";
    fs::write(&script, text.replacen("note begin\n", once, 1))?;
    scene.hosts[0].console("rm -f /run/lost-the-race")?;
    let revision = repository.commit("Loses a race")?;
    repository.push("main")?;
    wait_until_in_sync(&scene, "uConsole", &revision)?;
    let tried = attempts(&scene.daemon, "uConsole", &revision)?;
    let outcomes: Vec<_> = tried.iter().map(|one| one["outcome"].as_str()).collect();
    assert_eq!(outcomes, [Some("locked"), Some("converged")]);
    assert_eq!(counted(&scene.daemon, "uConsole", "locked")?, 1);
    Ok(())
}
