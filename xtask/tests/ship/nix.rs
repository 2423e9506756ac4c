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
        .arg(root().join("xtask/tests/ship/nix/modules.nix")))?;
    serde_json::from_str(&said).with_context(|| said)
}

#[test]
fn a_host_refuses_to_be_reached_from_a_name_that_sshd_would_never_look_up() -> Result<()> {
    let refused = made("from_localhost")?;
    let refused = refused.as_array().context("no list")?;
    assert!(
        refused.len() == 1
            && refused[0]
                .as_str()
                .unwrap()
                .contains("\"127.0.0.1\" \"::1\""),
        "{refused:?}"
    );
    for good in ["from_addresses", "from_names_looked_up"] {
        assert_eq!(made(good)?, serde_json::json!([]), "{good}");
    }
    Ok(())
}
