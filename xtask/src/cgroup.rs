//! A control group of its own for each host, as cgroups(7) has them.
//!
//! `systemd-nspawn --keep-unit` stays in the group that it was started in and calls the host's half of it `payload`.
//! Hosts that start in one group share that half: one host's systemd removes `system.slice/X.service` while
//! another's is about to start a process in it, and that start fails with "Failed to spawn executor".

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::wait::wait_until;

/// Where systemd looks for the group of a process: cgroup v2 alone, or v1 with v2 beside it.
const HIERARCHIES: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/systemd",
    "/sys/fs/cgroup/unified",
];

/// Makes a host's group in every hierarchy, empty, and returns the files that a process enters it by.
pub(crate) fn make(name: &str) -> Result<Vec<PathBuf>> {
    remove_all(|group| group == name)?;
    let mut entrances = Vec::new();
    for hierarchy in hierarchies() {
        let group = hierarchy.join(name);
        fs::create_dir(&group).with_context(|| format!("cannot make {}", group.display()))?;
        entrances.push(group.join("cgroup.procs"));
    }
    Ok(entrances)
}

/// Removes the groups whose names are meant. Nothing may run in them any more.
pub(crate) fn remove_all(is_meant: impl Fn(&str) -> bool) -> Result<()> {
    for hierarchy in all_hierarchies()? {
        for group in children(&hierarchy)? {
            let name = group.file_name().and_then(|name| name.to_str());
            if name.is_some_and(&is_meant) {
                // The kernel needs a moment to forget a process that was killed.
                wait_until(
                    "an empty group",
                    process::GONE,
                    || remove(&group),
                    |()| true,
                )?;
            }
        }
    }
    Ok(())
}

fn hierarchies() -> impl Iterator<Item = PathBuf> {
    HIERARCHIES
        .iter()
        .map(PathBuf::from)
        .filter(|folder| folder.join("cgroup.procs").exists())
}

/// Also those that systemd does not look at: with cgroup v1, a container engine makes groups in one for each controller.
fn all_hierarchies() -> Result<Vec<PathBuf>> {
    let top = Path::new(HIERARCHIES[0]);
    if top.join("cgroup.procs").exists() {
        return Ok(vec![top.to_path_buf()]);
    }
    let mut mounted = children(top)?;
    mounted.retain(|folder| folder.join("cgroup.procs").exists());
    Ok(mounted)
}

/// Removes a group with those in it, the innermost first: rmdir(2) is the only way.
fn remove(group: &Path) -> Result<()> {
    for child in children(group)? {
        remove(&child)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", group.display()))
        }
        _ => Ok(()),
    }
}

fn children(group: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}
