//! One process at a time works on one state.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two tries to have the lock: short beside what a start takes.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// Two seconds of them. A lock may be held by nobody: a child that was forked when its parent was killed has the
/// parent's files, and with them the lock (flock(2)), until it executes its program. That takes milliseconds, on a
/// loaded machine more.
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
/// When another process holds it, or the file cannot be used.
pub fn lock(folder: &Path) -> Result<StateLock, LockError> {
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
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(file_error)?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message.
            let _ = file.read_to_string(&mut holder);
            return Err(LockError::Held {
                state: folder.to_owned(),
                holder: match holder.trim() {
                    "" => "unknown".to_owned(),
                    holder => holder.to_owned(),
                },
            });
        }
        Err(TryLockError::Error(source)) => return Err(file_error(source)),
    }
    file.set_len(0).map_err(file_error)?;
    file.rewind().map_err(file_error)?;
    writeln!(file, "{}", std::process::id()).map_err(file_error)?;
    Ok(StateLock { _file: file })
}

fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            answer => return answer,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_what_a_killed_process_left_has_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(10 * BETWEEN_TRIES);
                drop(held);
            });
            lock(folder.path()).unwrap();
        });
    }

    #[test]
    fn a_second_process_is_told_who_holds_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let held = lock(&state).unwrap();
        let error = lock(&state).unwrap_err();
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(held);
        lock(&state).unwrap();
    }
}
