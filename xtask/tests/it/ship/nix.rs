//! The files for NixOS, as far as they can be looked at without nixpkgs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::process::run;
use xtask::workspace::root;

#[test]
fn every_file_for_nixos_parses() -> Result<()> {
    let folder = root().join("packaging/nixos");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.push(root().join("flake.nix"));
    ensure!(files.len() >= 5, "files are missing: {files:?}");
    run(Command::new("nix-instantiate").arg("--parse").args(files))?;
    Ok(())
}

/// What the modules make of one set of options.
fn made(of: &str) -> Result<serde_json::Value> {
    let said = run(Command::new("nix-instantiate")
        .args([
            "--eval", "--strict", "--json", "--attr", of, "--arg", "folder",
        ])
        .arg(root().join("packaging/nixos"))
        .arg(root().join("xtask/tests/it/ship/nix/modules.nix")))?;
    serde_json::from_str(&said).with_context(|| said)
}

#[test]
fn a_host_refuses_to_be_reached_from_a_name_that_sshd_would_never_look_up() -> Result<()> {
    assert_refused("from_localhost", "\"127.0.0.1\" \"::1\"")?;
    for good in ["from_addresses", "from_names_looked_up"] {
        assert_eq!(made(good)?, serde_json::json!([]), "{good}");
    }
    Ok(())
}

#[test]
fn a_machine_may_be_controller_and_host_and_its_daemon_gets_no_sudo() -> Result<()> {
    assert_eq!(
        made("users_of_controller")?,
        serde_json::json!(["reconcile"])
    );
    assert_eq!(
        made("users_of_host")?,
        serde_json::json!(["reconcile-deploy"])
    );
    assert_refused("daemon_deploys", "would be given sudo")
}

#[test]
fn a_host_on_which_the_controller_could_not_log_in_or_become_root_is_refused_with_the_mend()
-> Result<()> {
    for (set, why) in [
        ("no_sudo", "enable one of"),
        ("only_wheel", "extraGroups = [ \"wheel\" ]"),
        ("other_users", "AllowUsers does not name reconcile-deploy"),
        (
            "other_groups",
            "AllowGroups names no group of reconcile-deploy",
        ),
        ("no_root", "prohibit-password"),
    ] {
        assert_refused(set, why)?;
    }
    for good in [
        "no_sudo_for_root",
        "only_wheel_of_the_other",
        "its_user",
        "its_group",
        "root_by_key",
        "no_root_for_the_other",
    ] {
        assert_eq!(made(good)?, serde_json::json!([]), "{good}");
    }
    Ok(())
}

#[test]
fn a_mistake_in_the_settings_of_the_controller_is_found_by_the_build() -> Result<()> {
    let script = made("checked_config")?;
    let script = script.as_str().context("no script")?;
    assert!(
        script.contains("--config reconcile.toml check --config-only"),
        "{script}"
    );
    Ok(())
}

#[test]
fn what_a_host_lets_the_controller_run_by_sudo_is_named_without_patterns() -> Result<()> {
    // sudo-rs took a `*` for itself alone before 0.2.13.
    let runs = made("sudo_runs")?;
    let program = "/run/current-system/sw/bin/nix-daemon --stdio";
    assert_eq!(runs, serde_json::json!(["/bin/sh", program]));
    Ok(())
}

/// Asserts that a set of options is refused, for one reason.
fn assert_refused(set: &str, why: &str) -> Result<()> {
    let refused = made(set)?;
    let reasons = refused.as_array().context("no list")?;
    let said = reasons.iter().filter_map(|reason| reason.as_str());
    assert!(
        reasons.len() == 1 && said.clone().all(|reason| reason.contains(why)),
        "{set}: {refused}"
    );
    Ok(())
}
