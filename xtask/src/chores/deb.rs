//! `cargo xtask deb`: the Debian package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::run;
use crate::tools::cargo_program;
use crate::workspace::{self, commit, root};
use crate::{bootstrap, cache};

/// The version of cargo-deb, which makes Debian packages of crates.
const CARGO_DEB: &str = "3.6.2";

/// The shells whose completions are in the package, and the file of each.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "reconcile.bash"),
    ("fish", "reconcile.fish"),
    ("zsh", "_reconcile"),
];

/// Builds the release and packs it, as `[package.metadata.deb]` of the crate `reconciler` says; gives the package's file.
///
/// # Errors
/// When it does not build, or what packs it cannot be had.
pub fn deb() -> Result<PathBuf> {
    // What lies in `target` is everybody's.
    let _lock = cache::lock(&root().join("target/deb.lock"))?;
    bootstrap::bootstrap_packaging()?;
    let cargo_deb = cargo_program(&workspace::tools(), "cargo-deb", CARGO_DEB)?;
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
    let pages = root().join("target/man");
    fs::create_dir_all(&pages)?;
    run(Command::new(&program).arg("man-pages").arg(&pages))?;
    // Under another name first: whoever reads the package of the last time reads all of it. And not into
    // `target/debian`, where cargo-deb removes every package of the same name before it makes one.
    let folder = root().join("target/deb");
    let unfinished = folder.join("unfinished");
    fs::create_dir_all(&unfinished)?;
    let said = run(Command::new(cargo_deb)
        .current_dir(root())
        .args(["--package=reconciler", "--no-build", "--quiet", "--output"])
        .arg(&unfinished))?;
    // Its first line of output is the package's path.
    let path = said.lines().find(|line| line.ends_with(".deb"));
    let path = PathBuf::from(path.context("cargo-deb names no package")?);
    ensure_libraries(&path)?;
    let package = folder.join(path.file_name().context("a package without a name")?);
    fs::rename(path, &package)?;
    Ok(package)
}

/// Fails where the package does not say which libraries it needs: where dpkg-shlibdeps does not find out, cargo-deb only
/// warns.
fn ensure_libraries(package: &Path) -> Result<()> {
    let needs = run(Command::new("dpkg-deb")
        .arg("--field")
        .arg(package)
        .arg("Depends"))?;
    for library in ["libc6", "libssl3"] {
        ensure!(
            needs.contains(library),
            "dpkg-shlibdeps does not find that the program needs {library}: the package says `{}`",
            needs.trim()
        );
    }
    Ok(())
}

fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root());
    command
}
