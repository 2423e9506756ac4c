//! Reboots that go well.

use anyhow::{Context, Result};
use jiff::Timestamp;
use xtask::flake::System;

use super::{another_kernel, assert_not_rebooted, boots, ends, reboots, when_required};
use crate::scene::{Scene, says, status_of};
use crate::settled::{start, start_with, wait_until_in_sync};

#[test]
fn a_host_that_needs_a_reboot_is_rebooted_once_and_says_so() -> Result<()> {
    let scene = start_with(&["spare"], when_required)?;
    let (host, before) = (scene.host(), scene.host().boot_id()?);
    let booted_so_often = boots(host)?;
    let systems = [("spare", another_kernel("2"))];
    let revision = scene.repository.deploy("main", "Kernel", &systems)?;
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    let status = scene.wait_for_outcome("spare", &revision, "rebooted")?;
    assert_eq!(status["drift"], "in_sync", "{status:#}");
    assert!(status["reboot"].is_null(), "{status:#}");
    assert_eq!(status["reboot_required"].as_array().map(Vec::len), Some(0));
    assert_eq!(host.booted_toplevel()?, toplevel);
    assert_ne!(host.boot_id()?, before);
    let told = &reboots(&scene, "spare")?[0];
    assert_eq!(told["outcome"], "rebooted", "{told:#}");
    assert_eq!(told["toplevel"], *toplevel);
    assert_eq!(told["cause"], "required: kernel initrd kernel-modules");
    let labels = [("host", "spare"), ("outcome", "rebooted")];
    let metrics = scene.daemon.metrics()?;
    assert_eq!(metrics.value("reconcile_reboots_total", &labels), Some(1.0));
    let after = host.boot_id()?;
    assert_not_rebooted(&scene, host, &after)?;
    assert_eq!(boots(host)?, booted_so_often + 1);
    Ok(())
}

#[test]
fn a_host_is_never_rebooted_by_default_until_a_person_asks() -> Result<()> {
    let scene = start(&["spare"])?;
    let (host, before) = (scene.host(), scene.host().boot_id()?);
    let systems = [("spare", another_kernel("2"))];
    let revision = scene.repository.deploy("main", "Kernel", &systems)?;
    wait_until_in_sync(&scene, "spare", &revision)?;
    assert_not_rebooted(&scene, host, &before)?;
    assert!(says(&scene.daemon, &["status"])?.contains("reboot required: kernel"));
    let said = says(&scene.daemon, &["reboot", "--host", "spare"])?;
    assert!(said.contains("rebooted"), "{said}");
    assert_ne!(host.boot_id()?, before);
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    assert_eq!(host.booted_toplevel()?, toplevel);
    // Needed or not, a person's word is enough.
    let again = host.boot_id()?;
    says(&scene.daemon, &["reboot", "--host", "spare"])?;
    assert_ne!(host.boot_id()?, again);
    Ok(())
}

#[test]
fn a_host_waits_for_its_window_and_says_when_it_opens() -> Result<()> {
    let day_after_tomorrow = Timestamp::now()
        .checked_add(jiff::SignedDuration::from_hours(48))?
        .strftime("%a")
        .to_string()
        .to_lowercase();
    let mut scene = start_with(&["spare"], |config| {
        when_required(config);
        config.tail.push_str(&format!(
            "windows = [{{ days = [\"{day_after_tomorrow}\"], from = \"00:00\", to = \"24:00\", time_zone = \"UTC\" }}]\n"
        ));
    })?;
    let before = scene.host().boot_id()?;
    let systems = [("spare", another_kernel("2"))];
    let revision = scene.repository.deploy("main", "Kernel", &systems)?;
    wait_until_in_sync(&scene, "spare", &revision)?;
    let status = scene.wait_for_status("spare", "the window", |status| {
        status["reboot_waits"]["held"] == "window_closed"
    })?;
    let opens: Timestamp = status["reboot_waits"]["opens"]
        .as_str()
        .context("no opening time")?
        .parse()?;
    let said = says(&scene.daemon, &["status"])?;
    assert!(
        said.contains(&format!("the reboot waits until {opens:.0}")),
        "{said}"
    );
    // A person's word does not open it.
    let asked = scene.daemon.cli(&["reboot", "--host", "spare"])?;
    assert_eq!(asked.status.code(), Some(6), "{asked:?}");
    assert_not_rebooted(&scene, scene.host(), &before)?;
    when_required(&mut scene.daemon.config);
    scene.daemon.rewrite_config()?;
    scene.wait_for_outcome("spare", &revision, "rebooted")?;
    Ok(())
}

/// Pushes a system that cannot be activated live, and waits until the host has booted it; gives its toplevel.
fn boot_another_interface(scene: &Scene) -> Result<String> {
    let system = System {
        init_interface: "systemd 258".into(),
        ..System::new("2")
    };
    let revision = scene
        .repository
        .deploy("main", "Interface", &[("cyt-pi", system)])?;
    let status = scene.wait_for_outcome("cyt-pi", &revision, "rebooted")?;
    assert_eq!(status["drift"], "in_sync", "{status:#}");
    scene.repository.toplevel("cyt-pi", &revision)
}

#[test]
fn a_system_that_only_a_reboot_reaches_is_made_the_boot_default_and_booted() -> Result<()> {
    let scene = start_with(&["cyt-pi"], when_required)?;
    let toplevel = boot_another_interface(&scene)?;
    for now in [
        scene.host().booted_toplevel()?,
        scene.host().running_toplevel()?,
        scene.host().profile_toplevel()?,
    ] {
        assert_eq!(now, toplevel);
    }
    let after = scene.host().boot_id()?;
    assert_not_rebooted(&scene, scene.host(), &after)
}

#[test]
fn a_system_that_its_host_builds_and_only_a_reboot_reaches_is_booted_too() -> Result<()> {
    let scene = start_with(&["cyt-pi"], |config| {
        when_required(config);
        *config.host("cyt-pi") += "\nbuild_on = \"target\"";
    })?;
    let toplevel = boot_another_interface(&scene)?;
    assert_eq!(scene.host().booted_toplevel()?, toplevel);
    Ok(())
}

#[test]
fn two_hosts_that_need_a_reboot_are_rebooted_one_after_the_other() -> Result<()> {
    let names = ["spare", "uConsole"];
    let scene = start_with(&names, when_required)?;
    let systems = names.map(|name| (name, another_kernel("2")));
    let revision = scene.repository.deploy("main", "Kernel", &systems)?;
    let mut spans = Vec::new();
    for name in names {
        scene.wait_for_outcome(name, &revision, "rebooted")?;
        assert_eq!(ends(&scene, name)?, ["rebooted"]);
        let told = &reboots(&scene, name)?[0];
        let time = |key: &str| -> Result<Timestamp> {
            Ok(told[key].as_str().context("no time")?.parse()?)
        };
        spans.push((time("started_at")?, time("at")?));
    }
    spans.sort();
    assert!(spans[0].1 <= spans[1].0, "{spans:?}");
    Ok(())
}

#[test]
fn a_reboot_under_way_when_the_daemon_is_killed_is_seen_through_after_its_start() -> Result<()> {
    let mut scene = start_with(&["spare"], when_required)?;
    let booted_so_often = boots(scene.host())?;
    let systems = [("spare", another_kernel("2"))];
    let revision = scene.repository.deploy("main", "Kernel", &systems)?;
    scene.wait_for_status("spare", "a reboot", |status| status["reboot"].is_object())?;
    scene.daemon.kill()?;
    scene.daemon.start()?;
    scene.wait_for_status("spare", "a reboot that is known", |status| {
        status["reboot"].is_object() || status["outcome"]["outcome"] == "rebooted"
    })?;
    scene.daemon.kill()?;
    scene.daemon.start()?;
    scene.wait_for_outcome("spare", &revision, "rebooted")?;
    assert_eq!(ends(&scene, "spare")?, ["rebooted"]);
    let after = scene.host().boot_id()?;
    assert_not_rebooted(&scene, scene.host(), &after)?;
    assert_eq!(boots(scene.host())?, booted_so_often + 1);
    assert!(status_of(&scene.daemon, "spare")?["reboot"].is_null());
    Ok(())
}
