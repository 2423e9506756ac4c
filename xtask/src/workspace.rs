//! Where the project is, and what it has built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::run;

/// The folder of the workspace's `Cargo.toml`.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// The commit that is checked out, with `-dirty` where files differ from it; `unknown` where git cannot say.
#[must_use]
pub fn commit() -> String {
    let said = run(Command::new("git")
        .current_dir(root())
        // With no tag to start from it names the commit itself.
        .args([
            "describe",
            "--always",
            "--abbrev=40",
            "--dirty",
            "--exclude=*",
        ]));
    said.map_or_else(|_| "unknown".to_owned(), |said| said.trim().to_owned())
}

/// Where what packaging needs besides is installed; no root is needed for that.
#[must_use]
pub fn tools() -> PathBuf {
    root().join("target/tools")
}

/// A binary of this workspace: beside this program, or where cargo puts it for a test.
///
/// # Errors
/// When it is not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program without a folder")?;
    let target = root().join("target");
    let places = [
        folder.join(name),
        folder.join("..").join(name),
        target.join("debug").join(name),
        target.join("release").join(name),
    ];
    match places.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.canonicalize()?),
        None => bail!(
            "there is no {name} beside {}: run `cargo build --workspace` first",
            own.display()
        ),
    }
}
