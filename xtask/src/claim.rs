//! A numbered place on this machine for one run, and the certainty that what it leaves behind is cleaned.
//!
//! A claim is a folder whose `lock` file the owner holds by flock(2). The kernel lets go of it however the owner
//! ends, so a free lock means that the owner is gone and its leftovers may be swept. What belongs to a claim is found
//! without trusting the owner to have lived long enough to write it down: mounts lie under its folder, network
//! namespaces, links and control groups carry its number in their names, and what runs in them runs in those namespaces. Other processes are recorded with their start times.

mod names;
mod sweep;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

pub use names::{CLAIMS, network_name};
use names::{LOCK, directory};
pub use sweep::record_process;
use sweep::sweep;

/// How many claims can exist at once: the number is the third part of the hosts' addresses.
const NUMBERS: std::ops::RangeInclusive<u8> = 1..=200;

/// Claims of this process that a signal has to clean.
static HELD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A place of one's own until it is dropped.
#[derive(Debug)]
pub struct Claim {
    number: u8,
    // Held, never read: letting go of it is what tells others that this owner is gone.
    _lock: Flock<fs::File>,
}

impl Claim {
    /// Sweeps what dead owners left behind, then takes the first free number. From then on Ctrl-C and SIGTERM clean up before they end the process.
    ///
    /// # Errors
    /// When the folder cannot be made, leftovers cannot be removed, or every number is taken.
    pub fn new() -> Result<Self> {
        sweep_leftovers()?;
        for number in NUMBERS {
            if let Some(lock) = lock(number)? {
                held().push(number);
                clean_when_interrupted();
                return Ok(Self {
                    number,
                    _lock: lock,
                });
            }
        }
        bail!("every claim in {CLAIMS} is taken: end other test beds first")
    }

    /// This claim's number, 1 to 200.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// This claim's own folder.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        directory(self.number)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = sweep(self.number) {
            complain(&error);
        }
        held().retain(|number| *number != self.number);
    }
}

/// Cleans what killed runs left behind. Claims whose owners live are not touched.
///
/// # Errors
/// When something cannot be removed; the error names it.
pub fn sweep_leftovers() -> Result<()> {
    let Ok(entries) = fs::read_dir(CLAIMS) else {
        return Ok(());
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u8>().ok()) else {
            continue;
        };
        if let Some(_lock) = lock(number)? {
            sweep(number)?;
        }
    }
    Ok(())
}

fn held() -> std::sync::MutexGuard<'static, Vec<u8>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a claim's lock if nobody has it.
fn lock(number: u8) -> Result<Option<Flock<fs::File>>> {
    let folder = directory(number);
    // Not `create_dir_all` for the number itself: it fails on a folder that is removed while it looks.
    fs::create_dir_all(CLAIMS).with_context(|| format!("cannot make {CLAIMS}"))?;
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", folder.display()));
        }
        _ => {}
    }
    let path = folder.join(LOCK);
    let Ok(file) = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
    else {
        // Its owner is just removing the folder; there are other numbers.
        return Ok(None);
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        // A sweep that went on meanwhile may have removed the file that is locked now: such a lock protects nothing.
        Ok(lock) if same_file(&lock, &path) => Ok(Some(lock)),
        Ok(_) | Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Whether an open file is still the one that a path names.
fn same_file(file: &fs::File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Makes Ctrl-C and SIGTERM clean this process's claims, then end it.
fn clean_when_interrupted() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let installed = ctrlc::set_handler(|| {
            let numbers = held().clone();
            for number in numbers {
                if let Err(error) = sweep(number) {
                    complain(&error);
                }
            }
            // 128 + SIGINT, as a shell says it.
            std::process::exit(130);
        });
        if let Err(error) = installed {
            complain(&error.into());
        }
    });
}

#[expect(
    clippy::print_stderr,
    reason = "a destructor and a signal handler have nobody to return an error to"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("the test bed could not clean up: {error:#}");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process;

    #[test]
    fn a_dead_owners_processes_are_ended_and_its_folder_removed() -> Result<()> {
        // Not the folder itself is looked at afterwards: the number may be another test's by then.
        let (mark, pid) = {
            let claim = Claim::new()?;
            let mark = claim.directory().join("of-a-dead-owner");
            fs::write(&mark, "mine")?;
            let mut child = Command::new("sleep").arg("600").spawn()?;
            record_process(&claim.directory(), child.id())?;
            let pid = i32::try_from(child.id())?;
            std::thread::spawn(move || child.wait());
            (mark, pid)
        };
        assert_eq!(process::started(pid), None);
        assert!(!mark.exists());
        Ok(())
    }

    #[test]
    fn a_process_that_only_has_the_number_of_a_recorded_one_is_left_alone() -> Result<()> {
        let mut child = Command::new("sleep").arg("600").spawn()?;
        let pid = i32::try_from(child.id())?;
        {
            let claim = Claim::new()?;
            let folder = claim.directory().join("processes");
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(pid.to_string()), "1")?;
        }
        assert!(process::started(pid).is_some());
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    #[test]
    fn a_living_owners_claim_is_not_swept() -> Result<()> {
        let first = Claim::new()?;
        let second = Claim::new()?;
        sweep_leftovers()?;
        assert_ne!(first.number(), second.number());
        assert!(first.directory().exists() && second.directory().exists());
        Ok(())
    }

    #[test]
    fn claims_that_come_and_go_at_once_leave_one_another_alone() -> Result<()> {
        let comes_and_goes = || -> Result<()> {
            for _ in 0..8 {
                let claim = Claim::new()?;
                let mark = claim.directory().join("mark");
                fs::write(&mark, "mine")?;
                std::thread::yield_now();
                assert_eq!(fs::read_to_string(&mark)?, "mine");
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(comes_and_goes)).collect();
            for thread in threads {
                thread.join().unwrap()?;
            }
            Ok(())
        })
    }
}
