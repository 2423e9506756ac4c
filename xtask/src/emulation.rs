//! Programs of another architecture on this machine: QEMU's user emulation, for as long as a claim needs it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::binfmt;
use crate::cache::cached;
use crate::claim::CLAIMS;
use crate::fleet::layers::{SUITE, debootstrap};

/// QEMU's emulator of aarch64: that of the hosts' release, for systemd needs more than older ones can (pidfds of new
/// processes, since QEMU 8).
///
/// # Errors
/// When it cannot be fetched.
pub fn emulator() -> Result<PathBuf> {
    const EMULATOR: &str = "qemu-aarch64";
    let folder = cached("emulator", SUITE.as_bytes(), |folder| {
        let tree = folder.with_extension("tree");
        debootstrap(&["--variant=extract", "--include=qemu-user"], &tree)?;
        // It is one static file, of a package that has one for each architecture.
        fs::create_dir(folder)?;
        fs::copy(tree.join("usr/bin").join(EMULATOR), folder.join(EMULATOR))?;
        Ok(fs::remove_dir_all(tree)?)
    })?;
    Ok(folder.join(EMULATOR))
}

/// Lets this machine run programs for aarch64 until the claim whose folder this is is swept.
///
/// # Errors
/// When QEMU cannot be had or the kernel refuses.
pub fn provide(claim: &Path) -> Result<()> {
    binfmt::register(Path::new(CLAIMS), claim, &emulator()?)
}
