//! How much room the state takes, and how much is left where it is.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use crate::repository::words;
use crate::world::World;

/// Between two looks at the disk: one walks over the mirrors' files, and a disk that fills faster than that is
/// not saved by looking more often.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

/// The unit of `st_blocks`, whatever the file system's own block is (stat(2)).
const BLOCK: u64 = 512;

/// Room on the disk where the state is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What is free there, for a process that is not root.
    pub free: u64,
    /// What the state takes.
    pub size: u64,
}

/// Why that cannot be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The file system does not say what is free.
    #[error("cannot see what is free at {path}")]
    Free {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: nix::Error,
    },
}

impl MeasureError {
    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Free { .. } => true,
        }
    }
}

/// Looks at a folder and all that is in it, on its own disk.
///
/// # Errors
/// When the folder is not there.
pub fn measure(folder: &Path) -> Result<Room, MeasureError> {
    let disk = nix::sys::statvfs::statvfs(folder).map_err(|source| MeasureError::Free {
        path: folder.to_owned(),
        source,
    })?;
    // Files come and go while we walk, and links lead to a store that is not ours.
    let files = WalkDir::new(folder).same_file_system(true).into_iter();
    let sizes = files
        .filter_map(|file| file.ok()?.metadata().ok())
        .map(|metadata| metadata.blocks().saturating_mul(BLOCK));
    Ok(Room {
        free: disk.blocks_available().saturating_mul(disk.fragment_size()),
        size: sizes.fold(0, u64::saturating_add),
    })
}

/// Keeps the metrics of the state's room true, until `stop`.
pub async fn watch(world: Arc<World>, stop: CancellationToken) {
    loop {
        let folder = world.setup().config.state_directory.clone();
        match tokio::task::spawn_blocking(move || measure(&folder)).await {
            Ok(Ok(room)) => world.metrics.state_takes(room),
            Ok(Err(error)) => tracing::warn!(error = words(&error), "the state's room is unknown"),
            Err(error) => tracing::error!(%error, "a look at the state's room ended by a fault"),
        }
        let pause = tokio::time::sleep(BETWEEN_LOOKS);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_lies_in_folders_counts_and_what_links_lead_to_does_not() {
        const MANY: usize = 1 << 20;
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let empty = measure(folder.path()).unwrap();
        fs::write(elsewhere.path().join("big"), vec![1; 4 * MANY]).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("gcroot")).unwrap();
        fs::create_dir(folder.path().join("mirror")).unwrap();
        fs::write(folder.path().join("mirror/pack"), vec![1; MANY]).unwrap();
        let full = measure(folder.path()).unwrap();
        let grown = full.size - empty.size;
        assert!((MANY as u64..2 * MANY as u64).contains(&grown), "{grown}");
        assert!(full.free > 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_said_by_its_name() {
        let error = measure(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
        assert!(error.is_worth_retrying());
    }
}
