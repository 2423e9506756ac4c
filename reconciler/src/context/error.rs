//! Why the context could not be set up.

use std::path::PathBuf;

use desired_state::{MirrorError, RepositoryName, StoreError};

/// Why the context could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// A folder of the state could not be made.
    #[error("cannot make the folder {}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store could not be opened.
    #[error("cannot open the state")]
    Store(#[from] StoreError),
    /// A mirror could not be opened.
    #[error("cannot use the mirror of {repository}")]
    Mirror {
        /// Of which repository.
        repository: RepositoryName,
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// The metrics contradict one another.
    #[error("cannot set up metrics")]
    Metrics(#[from] prometheus::Error),
}

impl ContextError {
    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Folder { .. } | Self::Metrics(_) => false,
            Self::Store(error) => error.is_worth_retrying(),
            Self::Mirror { source, .. } => source.is_worth_retrying(),
        }
    }
}
