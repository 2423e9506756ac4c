//! Programs for tests that Debian does not have: installed by their own clients, once, into the test bed's cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use crate::fleet::layers::{CACHE, cached};
use crate::process::run;

/// A program that `go install` builds. Neither its sources nor what else was compiled stays.
///
/// # Errors
/// When Go is missing or too old, or the build fails: the error holds what Go said.
pub fn go_program(package: &str, version: &str) -> Result<PathBuf> {
    let name = package.rsplit('/').next().unwrap_or(package);
    let wanted = format!("{package}@{version}");
    let folder = kept(name, &wanted, |folder| {
        let build = folder.with_extension("build");
        let built = run(Command::new("go")
            .env("GOPATH", &build)
            .env("GOCACHE", build.join("cache"))
            .env("GOBIN", folder)
            // Sources are read-only by default, and then cannot be removed.
            .env("GOFLAGS", "-modcacherw -buildvcs=false")
            // A Go that is too old is to say so, and not to fetch another Go.
            .env("GOTOOLCHAIN", "local")
            .args(["install", &wanted]));
        if build.exists() {
            fs::remove_dir_all(&build)?;
        }
        built.map(drop)
    })?;
    Ok(folder.join(name))
}

/// Go's minor version: 19 of `go1.19.8`.
///
/// # Errors
/// When there is no Go.
pub fn go_minor() -> Result<u32> {
    let version = run(Command::new("go").args(["env", "GOVERSION"]))?;
    version
        .trim()
        .strip_prefix("go1.")
        .and_then(|rest| rest.split(['.', 'r', 'b']).next())
        .and_then(|minor| minor.parse().ok())
        .with_context(|| format!("`go env GOVERSION` says {version:?}"))
}

/// A program of a Python package, ready to be given arguments.
///
/// # Errors
/// When pip is missing, or the package cannot be had: the error holds what pip said.
pub fn python_program(name: &str, version: &str) -> Result<Command> {
    let wanted = format!("{name}=={version}");
    let folder = kept(name, &wanted, |folder| {
        // Into a folder of its own, which Debian's Python allows without a virtual environment.
        run(Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-cache-dir"])
            .args(["--disable-pip-version-check", "--root-user-action=ignore"])
            .arg("--target")
            .arg(folder)
            .arg(&wanted))
        .map(drop)
    })?;
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", &folder)
        .arg(folder.join("bin").join(name));
    Ok(command)
}

/// A folder of the cache; one at a time makes it.
fn kept(name: &str, wanted: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    fs::create_dir_all(CACHE).with_context(|| format!("cannot make {CACHE}"))?;
    let lock = fs::File::create(Path::new(CACHE).join(format!("{name}.lock")))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    cached(name, wanted.as_bytes(), make)
}
