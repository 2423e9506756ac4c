//! Programs that only packaging needs, each installed by its ordinary client into `target/tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;
use crate::workspace::root;

/// Makes Debian packages of crates.
const CARGO_DEB: &str = "3.6.2";

/// Builds crates with Zig's C compiler and linker, which come with it.
const CARGO_ZIGBUILD: &str = "0.24.0";

/// The program cargo-deb.
///
/// # Errors
/// When cargo cannot install it.
pub fn cargo_deb() -> Result<PathBuf> {
    let program = folder().join("bin/cargo-deb");
    if !has(&program, CARGO_DEB)? {
        run(Command::new("cargo")
            .args([
                "install",
                "--quiet",
                "--locked",
                "cargo-deb",
                "--version",
                CARGO_DEB,
                "--root",
            ])
            .arg(folder()))?;
    }
    Ok(program)
}

/// The program cargo-zigbuild, and the compiler that it uses.
///
/// # Errors
/// When pip cannot install them.
pub fn cargo_zigbuild() -> Result<(PathBuf, PathBuf)> {
    let place = folder().join("python");
    let program = place.join("bin/cargo-zigbuild");
    if !has(&program, CARGO_ZIGBUILD)? {
        run(Command::new("pip3")
            .args(["install", "--quiet", "--upgrade", "--target"])
            .arg(&place)
            .arg(format!("cargo-zigbuild=={CARGO_ZIGBUILD}"))
            .arg("ziglang"))?;
    }
    Ok((program, place.join("ziglang/zig")))
}

fn folder() -> PathBuf {
    root().join("target/tools")
}

/// Whether a program of this version is there.
fn has(program: &Path, version: &str) -> Result<bool> {
    if !fs::exists(program)? {
        return Ok(false);
    }
    let said = run(Command::new(program).arg("--version"))
        .with_context(|| format!("cannot ask {}", program.display()))?;
    Ok(said.contains(version))
}
