//! `cargo xtask dist`: programs that stand alone, for any Linux of a machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::process::run;
use crate::tools::python_packages;
use crate::workspace::{self, commit, root};
use crate::{bootstrap, cache};

/// What builds crates with another compiler for C and linker, and the one that it uses: Zig's, which has what musl needs.
const TOOLS: [&str; 2] = ["cargo-zigbuild==0.24.0", "ziglang==0.17.1"];

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
    // What lies in `target` is everybody's.
    let _lock = cache::lock(&root().join("target/dist.lock"))?;
    bootstrap::bootstrap_packaging()?;
    let tools = python_packages(&workspace::tools(), "cargo-zigbuild", &TOOLS)?;
    let folder = root().join("target/dist");
    fs::create_dir_all(&folder)?;
    machines
        .iter()
        .map(|machine| {
            let target = machine.target();
            run(Command::new("rustup").args(["target", "add", &target]))?;
            run(Command::new(tools.join("bin/cargo-zigbuild"))
                .current_dir(root())
                .env("CARGO_ZIGBUILD_ZIG_PATH", tools.join("ziglang/zig"))
                .env("RECONCILE_COMMIT", commit())
                .args([
                    "zigbuild",
                    "--release",
                    "--package=reconciler",
                    "--bin=reconcile",
                ])
                .args(["--features=vendored", "--target", &target]))?;
            let program = folder.join(format!("reconcile-{}-linux", machine.name()));
            // Under another name first: the one of the last time may be running.
            let unfinished = program.with_extension("unfinished");
            fs::copy(
                root()
                    .join("target")
                    .join(&target)
                    .join("release/reconcile"),
                &unfinished,
            )?;
            fs::rename(unfinished, &program)?;
            Ok(program)
        })
        .collect()
}
