//! What a claim has left on this machine, and its removal.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::names::{CLAIMS, LOCK, directory, network_name};
use crate::wait::wait_until;
use crate::{binfmt, cgroup, mounts, namespace, process};

/// The folder in a claim's folder that names processes, each with its start time.
const PROCESSES: &str = "processes";

/// Writes a process down, so that it is ended with the claim whose folder this is.
///
/// # Errors
/// When the record cannot be written.
pub fn record_process(claim: &Path, pid: u32) -> Result<()> {
    let pid = i32::try_from(pid)?;
    let Some(started) = process::started(pid) else {
        return Ok(());
    };
    let folder = claim.join(PROCESSES);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(pid.to_string()), started.to_string())?;
    Ok(())
}

/// Ends and removes everything that belongs to a claim.
pub(super) fn sweep(number: u8) -> Result<()> {
    let folder = directory(number);
    for entry in fs::read_dir(folder.join(PROCESSES)).into_iter().flatten() {
        let entry = entry?;
        let recorded = fs::read_to_string(entry.path())?;
        if let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
            && process::started(pid).map(|ticks| ticks.to_string()) == Some(recorded)
        {
            process::end(pid)?;
        }
    }
    let prefix = network_name(number, "");
    for name in names_of("netns", &prefix)? {
        namespace::empty(&name)?;
        process::run(Command::new("ip").args(["netns", "delete", &name]))?;
    }
    cgroup::remove_all(|name| name.starts_with(&prefix))?;
    for link in names_of("link", &prefix)? {
        // The other end of a pair goes with the first, so this one may be gone by now.
        let _ = process::finish(Command::new("ip").args(["link", "delete", &link]))?;
    }
    mounts::unmount_under(&folder)?;
    binfmt::release(Path::new(CLAIMS), &folder)?;
    remove(&folder)
}

/// Removes a claim's folder, whose lock the caller holds. The lock goes last: from then on the number is anybody's,
/// and what lies in the folder may be theirs.
fn remove(folder: &Path) -> Result<()> {
    let emptied = || {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(&path)
            } else if entry.file_name() == LOCK {
                Ok(())
            } else {
                fs::remove_file(&path)
            }
            .with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    };
    // What a killed daemon had started may write there for a moment yet.
    wait_until("an emptied claim", process::GONE, emptied, |()| true)?;
    for removed in [fs::remove_file(folder.join(LOCK)), fs::remove_dir(folder)] {
        match removed {
            Err(error) if !is_anothers(&error) => {
                return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a folder could not be removed because somebody has taken it, or removed it, meanwhile.
fn is_anothers(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
    )
}

/// The names of namespaces or links that begin with a claim's prefix.
fn names_of(kind: &str, prefix: &str) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Named {
        #[serde(alias = "ifname")]
        name: String,
    }
    if kind == "netns" && !Path::new("/run/netns").exists() {
        return Ok(Vec::new());
    }
    let text = process::run(Command::new("ip").args(["-json", kind, "list"]))?;
    let all: Vec<Named> = if text.trim().is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(&text)?
    };
    Ok(all
        .into_iter()
        .map(|named| named.name)
        .filter(|name| name.starts_with(prefix))
        .collect())
}
