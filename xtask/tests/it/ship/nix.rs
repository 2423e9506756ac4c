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
