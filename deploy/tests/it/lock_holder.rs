//! Who holds a lock that the scripts want.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use crate::fakehost::until;

/// A process group that holds a lock until this is dropped.
pub struct Holder(Child);

impl Holder {
    /// flock(1), with a command.
    pub fn flock(lock: &Path, words: &[&str]) -> Self {
        Self::start(Command::new("flock").arg(lock).args(words), lock)
    }

    /// A command that takes the lock.
    pub fn start(command: &mut Command, lock: &Path) -> Self {
        let holder = Self(command.process_group(0).spawn().unwrap());
        until("the lock is held", || !is_free(lock));
        holder
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Whether nobody holds a lock.
pub fn is_free(lock: &Path) -> bool {
    let status = Command::new("flock")
        .arg("-n")
        .arg(lock)
        .arg("true")
        .status();
    status.unwrap().success()
}
