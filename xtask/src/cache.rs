//! What takes long to make, kept between runs: folders that are named by their recipes, made by one at a time, and there
//! only when they are whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::mounts;

/// Where the test bed keeps such folders; removing it costs the time to make them again.
pub const CACHE: &str = "/var/cache/reconcile-testbed";

/// A folder of [`CACHE`].
///
/// # Errors
/// As [`cached_in`].
pub fn cached(
    kind: &str,
    recipe: &[u8],
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    cached_in(Path::new(CACHE), kind, recipe, make)
}

/// The folder that a recipe makes, below a place. It is made under another name first, so that one that is half made is
/// never taken for it; what else `make` writes beside that name is gone before the next try.
///
/// # Errors
/// When it has to be made and cannot be.
pub fn cached_in(
    place: &Path,
    kind: &str,
    recipe: &[u8],
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let hash = hex::encode(Sha256::digest(recipe));
    let name = format!("{kind}-{}", &hash[..16]);
    let folder = place.join(&name);
    let made = folder.join("root");
    // One for each: some take minutes, which nobody who wants another is to wait for.
    let _lock = lock(&place.join(format!("{name}.lock")))?;
    if made.exists() {
        return Ok(made);
    }
    mounts::unmount_under(&folder)?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let unfinished = folder.join("unfinished");
    make(&unfinished).with_context(|| format!("cannot make {kind} for the cache"))?;
    fs::rename(&unfinished, &made)?;
    Ok(made)
}

/// Waits until nobody else has the lock of a file, and has it until this is dropped, between threads and between processes.
///
/// # Errors
/// When the file cannot be made.
pub fn lock(file: &Path) -> Result<Flock<fs::File>> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let open = fs::File::create(file).with_context(|| format!("cannot make {}", file.display()))?;
    Flock::lock(open, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("cannot lock {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::ensure;

    use super::*;

    #[test]
    fn a_folder_is_made_once_by_whoever_comes_first() -> Result<()> {
        let place = tempfile::tempdir()?;
        let made = AtomicU32::new(0);
        let ask = || {
            cached_in(place.path(), "thing", b"recipe", |folder| {
                made.fetch_add(1, Ordering::Relaxed);
                fs::create_dir(folder)?;
                std::thread::yield_now();
                Ok(fs::write(folder.join("whole"), "")?)
            })
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            for thread in threads {
                ensure!(thread.join().unwrap()?.join("whole").exists());
            }
            Ok(())
        })?;
        assert_eq!(made.into_inner(), 1);
        Ok(())
    }

    #[test]
    fn what_is_half_made_is_made_again_from_the_beginning() -> Result<()> {
        let place = tempfile::tempdir()?;
        let half = cached_in(place.path(), "thing", b"recipe", |folder| {
            fs::create_dir(folder)?;
            fs::write(folder.join("half"), "")?;
            fs::write(folder.with_extension("beside"), "")?;
            anyhow::bail!("killed")
        });
        assert!(half.is_err());
        let whole = cached_in(place.path(), "thing", b"recipe", |folder| {
            assert!(!folder.with_extension("beside").exists());
            Ok(fs::create_dir(folder)?)
        })?;
        assert!(!whole.join("half").exists());
        Ok(())
    }
}
