//! Programs that Debian does not have: installed by their own clients, once, each into a folder of a cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{CACHE, cached, cached_in};
use crate::process::run;

/// A program that `go install` builds, for tests. Neither its sources nor what else was compiled stays.
///
/// # Errors
/// When Go is missing or too old, or the build fails: the error holds what Go said.
pub fn go_program(package: &str, version: &str) -> Result<PathBuf> {
    let name = package.rsplit('/').next().unwrap_or(package);
    let wanted = format!("{package}@{version}");
    let folder = cached(name, wanted.as_bytes(), |folder| {
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

/// A program of a Python package, for tests, ready to be given arguments.
///
/// # Errors
/// As [`python_packages`].
pub fn python_program(name: &str, version: &str) -> Result<Command> {
    let wanted = format!("{name}=={version}");
    let folder = python_packages(Path::new(CACHE), name, &[&wanted])?;
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", &folder)
        .arg(folder.join("bin").join(name));
    Ok(command)
}

/// A folder with Python packages, each given as `name==version`.
///
/// # Errors
/// When pip is missing, or a package cannot be had: the error holds what pip said.
pub fn python_packages(place: &Path, name: &str, wanted: &[&str]) -> Result<PathBuf> {
    cached_in(place, name, wanted.join(" ").as_bytes(), |folder| {
        // Into a folder of its own, which Debian's Python allows without a virtual environment.
        run(Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-cache-dir"])
            .args(["--disable-pip-version-check", "--root-user-action=ignore"])
            .arg("--target")
            .arg(folder)
            .args(wanted))
        .map(drop)
    })
}

/// A program that `cargo install` builds.
///
/// # Errors
/// When it does not build: the error holds what cargo said.
pub fn cargo_program(place: &Path, name: &str, version: &str) -> Result<PathBuf> {
    let folder = cached_in(place, name, version.as_bytes(), |folder| {
        run(Command::new("cargo")
            .args(["install", "--quiet", "--locked", name])
            .args(["--version", version, "--root"])
            .arg(folder))
        .map(drop)
    })?;
    Ok(folder.join("bin").join(name))
}
