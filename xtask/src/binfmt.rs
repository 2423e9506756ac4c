//! The kernel's registration of an emulator (binfmt_misc).
//!
//! It is the whole machine's. Ours has a name of its own, wins over one that was there before, and goes with the last
//! claim that needs it, however that ends (a claim is swept of it as it is of its mounts).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::Flock;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::cache;

/// Where the kernel takes registrations (Documentation/admin-guide/binfmt-misc.rst).
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// What ours is called there.
const NAME: &str = "reconcile-testbed-aarch64";

/// How a program for aarch64 begins, and which bits of that count (elf(5): 64 bits, little-endian, executable or shared,
/// machine 183).
const BEGINS: &str = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
const COUNTS: &str =
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";

/// The file in a claim's folder that says that its hosts are emulated.
const NEEDED: &str = "emulated";

/// Says, beside the claims, that we have mounted [`BINFMT`].
const MOUNTED: &str = "binfmt-is-ours";

/// Has the kernel run programs for aarch64 by an emulator for as long as a claim, whose folder among all `claims` this
/// is, needs it.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn register(claims: &Path, claim: &Path, emulator: &Path) -> Result<()> {
    let _lock = lock(claims)?;
    let register = Path::new(BINFMT).join("register");
    if !register.exists() {
        mount(
            Some("binfmt_misc"),
            BINFMT,
            Some("binfmt_misc"),
            MsFlags::empty(),
            None::<&str>,
        )
        .with_context(|| format!("cannot mount {BINFMT}"))?;
        fs::write(mounted(claims), "")?;
    }
    if !Path::new(BINFMT).join(NAME).exists() {
        // F: the emulator is opened now, and need not lie in a container. O: it is handed the program open, which may
        // have no path (systemd runs its executor so). P: programs see the name that they were called by.
        let line = format!(":{NAME}:M::{BEGINS}:{COUNTS}:{}:OPF", emulator.display());
        fs::write(register, line).context("the kernel does not take QEMU's registration")?;
    }
    Ok(fs::write(claim.join(NEEDED), "")?)
}

/// Ends a claim's need, and with the last one the registration.
pub(crate) fn release(claims: &Path, claim: &Path) -> Result<()> {
    let needed = claim.join(NEEDED);
    if !needed.exists() {
        return Ok(());
    }
    let _lock = lock(claims)?;
    fs::remove_file(needed)?;
    let is_needed = fs::read_dir(claims)?
        .filter_map(Result::ok)
        .any(|entry| entry.path().join(NEEDED).exists());
    if is_needed {
        return Ok(());
    }
    let registration = Path::new(BINFMT).join(NAME);
    if registration.exists() {
        fs::write(registration, "-1")?;
    }
    if mounted(claims).exists() {
        umount2(BINFMT, MntFlags::MNT_DETACH)?;
        fs::remove_file(mounted(claims))?;
    }
    Ok(())
}

fn mounted(claims: &Path) -> PathBuf {
    claims.join(MOUNTED)
}

/// One at a time looks and changes.
fn lock(claims: &Path) -> Result<Flock<fs::File>> {
    cache::lock(&claims.join("emulation.lock"))
}
