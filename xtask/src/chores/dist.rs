//! `cargo xtask dist`: programs that stand alone, for any Linux of a machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use super::tools;
use crate::process::run;
use crate::workspace::{commit, root};

/// A machine that a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// PCs and servers.
    #[value(name = "x86_64")]
    X86_64,
    /// Raspberry Pis and the like.
    Aarch64,
}

impl Machine {
    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As rustup and cargo call it.
    fn target(self) -> String {
        format!("{}-unknown-linux-musl", self.name())
    }
}

/// Builds one for each machine; gives their files.
///
/// # Errors
/// When a tool cannot be had, or it does not build.
pub fn dist(machines: &[Machine]) -> Result<Vec<PathBuf>> {
    let (cargo_zigbuild, zig) = tools::cargo_zigbuild()?;
    let folder = root().join("target/dist");
    fs::create_dir_all(&folder)?;
    machines
        .iter()
        .map(|machine| {
            let target = machine.target();
            run(Command::new("rustup").args(["target", "add", &target]))?;
            run(Command::new(&cargo_zigbuild)
                .current_dir(root())
                .env("CARGO_ZIGBUILD_ZIG_PATH", &zig)
                .env("RECONCILE_COMMIT", commit())
                .args([
                    "zigbuild",
                    "--release",
                    "--package=reconciler",
                    "--bin=reconcile",
                ])
                .args(["--features=vendored", "--target", &target]))?;
            let program = folder.join(format!("reconcile-{}-linux", machine.name()));
            fs::copy(
                root()
                    .join("target")
                    .join(&target)
                    .join("release/reconcile"),
                &program,
            )?;
            Ok(program)
        })
        .collect()
}
