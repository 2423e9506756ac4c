//! Where the project is, and what it has built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folder of the workspace's `Cargo.toml`.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
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
