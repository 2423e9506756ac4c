//! The file systems of hosts: a Debian root made once, our settings over it, each in a cache that its recipe names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::architecture::Architecture;
use crate::cache::cached;
use crate::flake::{self, System};
use crate::{mounts, process};

/// The Debian release of the hosts: systemd 257 and Nix 2.26, what NixOS 25.05 has.
pub(crate) const SUITE: &str = "trixie";

/// What the hosts need: sshd, Nix with its daemon, systemd, sudo, and what tests break and look at them with.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    "dbus",
    "git",
    "iproute2",
    "iptables",
    "nix-bin",
    "nix-setup-systemd",
    "openssh-server",
    "procps",
    "psmisc",
    "sudo",
    "systemd",
    "systemd-sysv",
    "util-linux",
];

/// Our files in a host: where, which mode, and what.
const FILES: &[(&str, u32, &str)] = &[
    (
        "etc/nix/nix.conf",
        0o644,
        include_str!("../../testbed/host/nix.conf"),
    ),
    (
        "etc/systemd/system/testbed-boot.service",
        0o644,
        include_str!("../../testbed/host/testbed-boot.service"),
    ),
    (
        "usr/lib/testbed/boot",
        0o755,
        include_str!("../../testbed/host/boot"),
    ),
    (
        "usr/lib/testbed/reset",
        0o755,
        include_str!("../../testbed/host/reset"),
    ),
    (
        "usr/lib/testbed/prepare",
        0o755,
        include_str!("../../testbed/host/prepare.sh"),
    ),
];

/// The layers under every host of an architecture, the topmost first, as overlayfs's `lowerdir` wants them. What is
/// foreign here needs [`crate::emulation`].
///
/// # Errors
/// When a layer has to be made and cannot be.
pub fn layers(architecture: Architecture) -> Result<Vec<PathBuf>> {
    let debian = debian(architecture)?;
    let settings = settings(architecture, &debian)?;
    Ok(vec![settings, debian])
}

/// The toplevel that every host has at first, as the settings layer recorded it.
///
/// # Errors
/// When the layer lacks it.
pub fn base_toplevel(layers: &[PathBuf]) -> Result<String> {
    let layer = layers.first().context("a host without layers")?;
    Ok(fs::read_to_string(layer.join("etc/testbed/base"))?
        .trim()
        .to_owned())
}

/// Mounts layers with a writable folder over them.
///
/// # Errors
/// When the kernel refuses.
pub fn mount(layers: &[PathBuf], upper: &Path, work: &Path, root: &Path) -> Result<()> {
    for folder in [upper, work, root] {
        fs::create_dir_all(folder)?;
    }
    let lower: Vec<_> = layers
        .iter()
        .map(|layer| layer.display().to_string())
        .collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        upper.display(),
        work.display()
    );
    process::run(
        Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(root),
    )?;
    Ok(())
}

/// A plain Debian with [`PACKAGES`].
fn debian(architecture: Architecture) -> Result<PathBuf> {
    let packages = [PACKAGES, architecture.packages()].concat().join(",");
    let mut recipe = format!("{SUITE} {packages}");
    let mut options = vec![
        "--variant=essential".to_owned(),
        format!("--include={packages}"),
    ];
    if let Some(name) = architecture.debian() {
        recipe.push_str(&format!(" {name}"));
        options.push(format!("--architectures={name}"));
    }
    cached("debian", recipe.as_bytes(), |root| {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        debootstrap(&options, root)
    })
}

/// A Debian of the hosts' release for something else, made once as options of mmdebstrap say.
pub(crate) fn debian_with(kind: &str, options: &[&str]) -> Result<PathBuf> {
    let recipe = format!("{SUITE} {}", options.join(" "));
    cached(kind, recipe.as_bytes(), |root| debootstrap(options, root))
}

/// Makes a Debian of the hosts' release as options of mmdebstrap say.
pub(crate) fn debootstrap(options: &[&str], root: &Path) -> Result<()> {
    process::run(
        Command::new("mmdebstrap")
            .args(options)
            .arg(SUITE)
            .arg(root)
            .arg(mirror()?),
    )
    .map(drop)
}

/// Users, units and the first toplevel.
fn settings(architecture: Architecture, debian: &Path) -> Result<PathBuf> {
    let flake = tempfile::tempdir()?;
    flake::write_template(flake.path())?;
    let base = System {
        built_for: architecture.platform(),
        platform: architecture.platform(),
        ..System::new("base")
    };
    flake::write_host(flake.path(), "base", &base)?;
    let mut recipe = debian.display().to_string().into_bytes();
    for (path, mode, text) in FILES {
        recipe.extend_from_slice(format!("{path} {mode} {text}").as_bytes());
    }
    recipe.extend_from_slice(architecture.nix_conf().as_bytes());
    for (path, text) in architecture.files() {
        recipe.extend_from_slice(format!("{path} {text}").as_bytes());
    }
    for text in flake::texts(flake.path())? {
        recipe.extend_from_slice(text.as_bytes());
    }
    cached("settings", &recipe, |upper| {
        let (root, work) = (upper.with_extension("root"), upper.with_extension("work"));
        mount(&[debian.to_path_buf()], upper, &work, &root)?;
        let made = prepare(architecture, &root, flake.path());
        mounts::unmount_under(&root)?;
        fs::remove_dir_all(&work)?;
        fs::remove_dir(&root)?;
        made
    })
}

fn prepare(architecture: Architecture, root: &Path, flake: &Path) -> Result<()> {
    fs::create_dir_all(root.join("etc/testbed"))?;
    for (path, mode, text) in FILES {
        write(&root.join(path), *mode, text)?;
    }
    for (path, text) in architecture.files() {
        write(&root.join(path), 0o644, text)?;
    }
    let nix_conf = root.join("etc/nix/nix.conf");
    let text = fs::read_to_string(&nix_conf)? + architecture.nix_conf();
    write(&nix_conf, 0o644, &text)?;
    process::run(
        Command::new("cp")
            .args(["-rT"])
            .arg(flake)
            .arg(root.join("usr/lib/testbed/flake")),
    )?;
    process::run(
        Command::new("systemd-nspawn")
            .args([
                "--quiet",
                "--register=no",
                "--keep-unit",
                "--pipe",
                "--directory",
            ])
            .arg(root)
            .arg("/usr/lib/testbed/prepare"),
    )?;
    Ok(())
}

/// Writes a file with its folders and mode.
pub(crate) fn write(path: &Path, mode: u32, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// The Debian mirror that this machine itself uses.
fn mirror() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or_default();
    let listed = process::run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(RELEASE) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    for line in listed.lines() {
        if let Some((release, uri)) = line.split_once(' ')
            && release == codename
        {
            return Ok(uri.trim_end_matches('/').to_owned());
        }
    }
    bail!("this machine's apt sources name no mirror for Debian {codename}")
}
