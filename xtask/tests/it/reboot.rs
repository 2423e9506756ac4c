//! Reboots: made where they are needed and allowed, one host at a time; who does not come back is said, and left alone.

mod failed;
mod made;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::daemon::Config;
use xtask::flake::System;
use xtask::fleet::{Host, read_offline};

use crate::scene::{Scene, history};

/// Hosts are rebooted when they need it, and have more than enough time for it.
fn when_required(config: &mut Config) {
    rule(config, "when-required", "120s");
}

/// What `[defaults.reboot]` says.
fn rule(config: &mut Config, policy: &str, deadline: &str) {
    config.tail = format!("[defaults.reboot]\npolicy = \"{policy}\"\ndeadline = \"{deadline}\"\n");
}

/// A good system with another kernel than the hosts have booted.
fn another_kernel(version: &str) -> System {
    System {
        kernel: "6.12.99".into(),
        ..System::new(version)
    }
}

/// The host's reboots in the history, the oldest first.
fn reboots(scene: &Scene, host: &str) -> Result<Vec<Value>> {
    let mut entries = history(&scene.daemon, host, "reboot")?;
    entries.reverse();
    Ok(entries)
}

/// How the host's reboots ended, the oldest first.
fn ends(scene: &Scene, host: &str) -> Result<Vec<String>> {
    let text = |entry: &Value| entry["outcome"].as_str().unwrap_or_default().to_owned();
    Ok(reboots(scene, host)?.iter().map(text).collect())
}

/// How often the host has booted since it was made.
fn boots(host: &Host) -> Result<usize> {
    let log = std::fs::read(host.directory.join("console.log")).context("no console")?;
    Ok(String::from_utf8_lossy(&log).matches("Welcome to").count())
}

/// Has a host boot this system the next time, whatever its profile says; also while it is off.
fn choose_at_boot(host: &Host, toplevel: &str) -> Result<()> {
    read_offline(host, "boot/testbed-default")?;
    let file = host.directory.join("root/boot/testbed-default");
    Ok(std::fs::write(file, format!("{toplevel}\n"))?)
}

/// Asserts that the host is left on this boot.
fn assert_not_rebooted(scene: &Scene, host: &Host, boot_id: &str) -> Result<()> {
    scene.wait_for_two_looks(&host.name)?;
    assert_eq!(host.boot_id()?, boot_id);
    Ok(())
}
