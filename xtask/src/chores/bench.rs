//! `cargo xtask bench`: what the product costs, as ratios to something run beside it.

mod idle;
mod proof;
mod push;
mod report;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use report::say;

use crate::bootstrap;

/// Which program measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measuring {
    /// This one builds the release of everything first, and hands over to it.
    Release,
    /// This one is that release.
    Here,
}

/// Measures and prints. Fails when a bound is not kept.
///
/// # Errors
/// When something does not work, or a bound is not kept.
pub fn bench(measuring: Measuring) -> Result<()> {
    if measuring == Measuring::Release {
        return hand_over_to_release();
    }
    bootstrap::bootstrap()?;
    let push = push::measure()?;
    let proof = proof::measure()?;
    let idle = idle::measure()?;
    say(&push.text());
    say(&proof.text());
    say(&idle.text());
    ensure!(
        push.is_kept() && proof.is_kept() && idle.is_kept(),
        "a bound is not kept"
    );
    Ok(())
}

fn hand_over_to_release() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new("cargo")
        .current_dir(&workspace)
        .args(["build", "--quiet", "--release", "--workspace", "--bins"])
        .status()?;
    ensure!(status.success(), "the release does not build");
    // Only returns when it cannot be started.
    let error = Command::new(workspace.join("target/release/xtask"))
        .args(["bench", "--here"])
        .exec();
    Err(error.into())
}
