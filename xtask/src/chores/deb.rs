//! `cargo xtask deb`: the Debian package.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::tools;
use crate::process::run;
use crate::workspace::{commit, root};

/// The shells whose completions are in the package, and the file of each.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "reconcile.bash"),
    ("fish", "reconcile.fish"),
    ("zsh", "_reconcile"),
];

/// Builds the release and packs it, as `[package.metadata.deb]` of the crate `reconciler` says; gives the package's file.
///
/// # Errors
/// When it does not build, or cargo-deb cannot be had.
pub fn deb() -> Result<PathBuf> {
    let cargo_deb = tools::cargo_deb()?;
    run(cargo().env("RECONCILE_COMMIT", commit()).args([
        "build",
        "--quiet",
        "--release",
        "--package=reconciler",
        "--bin=reconcile",
    ]))?;
    let program = root().join("target/release/reconcile");
    let completions = root().join("target/completions");
    fs::create_dir_all(&completions)?;
    for (shell, file) in COMPLETIONS {
        let script = run(Command::new(&program).args(["completions", shell]))?;
        fs::write(completions.join(file), script)?;
    }
    // Its first line of output is the package's path.
    let said = run(Command::new(cargo_deb).current_dir(root()).args([
        "--package=reconciler",
        "--no-build",
        "--quiet",
    ]))?;
    let path = said.lines().find(|line| line.ends_with(".deb"));
    Ok(path.context("cargo-deb names no package")?.into())
}

fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root());
    command
}
