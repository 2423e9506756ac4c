//! The files for NixOS, as far as they can be looked at without nixpkgs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
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
