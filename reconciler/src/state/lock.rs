//! One process at a time works on one state.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{name_of, owner_instead_of_root};

/// Between two tries to have the lock: short beside what a start takes.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// Two seconds of them, for a lock whose holder is no more: a child that was forked when it was killed has its files,
/// and with them the lock (flock(2)), until it executes its program. That takes milliseconds, on a loaded machine more.
const TRIES: u32 = 100;

/// Held while it lives; the kernel releases it with the process, `kill -9` included.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Why the state could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process works on it.
    #[error(
        "another reconcile (process {holder}) works on {}: end it, or wait until it has ended; a command \
         that a daemon was to carry out needs that daemon's config",
        .state.display()
    )]
    Held {
        /// The state's folder.
        state: PathBuf,
        /// Its process id.
        holder: String,
    },
    /// We are root, and the state is somebody else's, who could not use what we would write.
    #[error(
        "{} belongs to {owner}, and what root writes there {owner} cannot use: work on it as {owner}, \
         `runuser -u {owner} -- reconcile …`",
        .state.display()
    )]
    NotRoots {
        /// The state's folder.
        state: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// The lock's file could not be used.
    #[error("cannot use {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl LockError {
    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

/// Locks the state in `folder`, which is made if it is not there.
///
/// # Errors
/// When another process holds it, when we are root and it is somebody else's, or the file cannot be used.
pub fn lock(folder: &Path) -> Result<StateLock, LockError> {
    lock_with(folder, || std::thread::sleep(BETWEEN_TRIES))
}

/// As [`lock`]; `pause` is called between two tries.
fn lock_with(folder: &Path, mut pause: impl FnMut()) -> Result<StateLock, LockError> {
    let path = folder.join("lock");
    let file_error = |source| LockError::File {
        path: path.clone(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(file_error)?;
    if let Some(owner) = owner_instead_of_root(folder) {
        return Err(LockError::NotRoots {
            state: folder.to_owned(),
            owner: name_of(owner),
        });
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(file_error)?;
    let mut tries = 1;
    while let Err(error) = file.try_lock() {
        if let TryLockError::Error(source) = error {
            return Err(file_error(source));
        }
        let holder = holder(&mut file).map_err(file_error)?;
        if tries == TRIES || lives(&holder) {
            return Err(LockError::Held {
                state: folder.to_owned(),
                holder,
            });
        }
        tries += 1;
        pause();
    }
    file.set_len(0).map_err(file_error)?;
    file.rewind().map_err(file_error)?;
    writeln!(file, "{}", std::process::id()).map_err(file_error)?;
    Ok(StateLock { _file: file })
}

/// The process id that the last holder has written down.
fn holder(file: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(match text.trim() {
        "" => "unknown".to_owned(),
        holder => holder.to_owned(),
    })
}

/// Whether a holder is another process that lives. In a container that is started anew it may have had our own number.
fn lives(holder: &str) -> bool {
    holder != std::process::id().to_string() && Path::new("/proc").join(holder).exists()
}

#[cfg(test)]
mod tests {
    use nix::unistd::User;

    use super::*;

    #[test]
    fn a_lock_that_what_a_killed_process_left_has_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        // By our own number, as after a restart in a container: no other process that lives.
        let mut held = Some(lock(folder.path()).unwrap());
        let mut pauses = 0;
        let pause = || {
            pauses += 1;
            if pauses == 3 {
                held = None;
            }
        };
        lock_with(folder.path(), pause).unwrap();
        assert_eq!(pauses, 3);
    }

    #[test]
    fn a_lock_that_stays_with_nobody_who_lives_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let _held = lock(folder.path()).unwrap();
        let mut pauses = 0;
        let error = lock_with(folder.path(), || pauses += 1).unwrap_err();
        let ours = format!("process {})", std::process::id());
        assert!(error.to_string().contains(&ours), "{error}");
        assert_eq!(pauses, TRIES - 1);
    }

    #[test]
    fn who_comes_second_is_told_at_once_the_process_that_lives() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        // Another process that lives as long as this one.
        std::fs::write(folder.path().join("lock"), "1\n").unwrap();
        let error = lock_with(folder.path(), || panic!("it waits")).unwrap_err();
        assert!(error.to_string().contains("process 1)"), "{error}");
        assert!(error.is_worth_retrying());
        drop(held);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn root_leaves_no_file_in_the_state_of_somebody_else() {
        let nobody = User::from_name("nobody").unwrap().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Only root can give a folder away, and only root is refused.
        if std::os::unix::fs::chown(folder.path(), Some(nobody.uid.as_raw()), None).is_err() {
            return;
        }
        let error = lock(folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("runuser -u nobody -- reconcile"),
            "{error}"
        );
        assert!(!error.is_worth_retrying());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
