//! Programs of another architecture on this machine: QEMU's user emulation, registered with the kernel (binfmt_misc)
//! for as long as a claim needs it.
//!
//! The registration is the whole machine's. Ours has a name of its own, wins over one that was there before, and goes
//! with the last claim that needs it, however that ends ([`crate::claim`] sweeps it as it sweeps mounts).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::Flock;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::cache::{self, cached};
use crate::claim::CLAIMS;
use crate::fleet::layers::{SUITE, debootstrap};

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
    let emulator = emulator()?;
    let _lock = lock()?;
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
        fs::write(mounted(), "")?;
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
pub(crate) fn release(claim: &Path) -> Result<()> {
    let needed = claim.join(NEEDED);
    if !needed.exists() {
        return Ok(());
    }
    let _lock = lock()?;
    fs::remove_file(needed)?;
    let is_needed = fs::read_dir(CLAIMS)?
        .filter_map(Result::ok)
        .any(|entry| entry.path().join(NEEDED).exists());
    if is_needed {
        return Ok(());
    }
    let registration = Path::new(BINFMT).join(NAME);
    if registration.exists() {
        fs::write(registration, "-1")?;
    }
    if mounted().exists() {
        umount2(BINFMT, MntFlags::MNT_DETACH)?;
        fs::remove_file(mounted())?;
    }
    Ok(())
}

fn mounted() -> PathBuf {
    Path::new(CLAIMS).join(MOUNTED)
}

/// One at a time looks and changes.
fn lock() -> Result<Flock<fs::File>> {
    cache::lock(&Path::new(CLAIMS).join("emulation.lock"))
}
