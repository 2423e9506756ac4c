//! What is free on a disk.

use std::path::{Path, PathBuf};

/// Why it cannot be said what is free.
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

/// What is free on the disk of a folder, for a process that is not root, in bytes.
///
/// # Errors
/// When the folder is not there.
pub fn free(folder: &Path) -> Result<u64, MeasureError> {
    let disk = nix::sys::statvfs::statvfs(folder).map_err(|source| MeasureError::Free {
        path: folder.to_owned(),
        source,
    })?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_said_by_its_name() {
        let error = free(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
        assert!(error.is_worth_retrying());
    }
}
