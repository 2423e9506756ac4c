//! Collects the garbage of this machine's store.

use std::time::Duration;

use crate::nix::output::Freed;
use crate::nix::trouble::NixTrouble;
use crate::nix::{Nix, arguments, diagnosis, output};

/// Why the garbage of this machine's store could not be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// Nix, or the machine that it runs on.
    #[error("collecting garbage: {0}")]
    Nix(#[source] NixTrouble),
    /// Nix failed, and the cause is none of the usual ones.
    #[error("Nix could not collect garbage: {detail}")]
    Failed {
        /// What Nix said.
        detail: String,
    },
}

impl CollectError {
    /// Whether the cause can pass by itself. What was deleted until then is deleted, so another try is
    /// never in vain.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Nix(trouble) => trouble.is_worth_retrying(),
            Self::Failed { .. } => true,
        }
    }
}

impl Nix {
    /// Deletes every store path of this machine that no GC root needs, whoever made it. What runs beside
    /// it is safe by Nix's own locks, but what is evaluated and not yet built may go.
    ///
    /// Dropping the future, or the end of `timeout`, ends it between two paths.
    ///
    /// # Errors
    /// What it deleted before is deleted.
    pub async fn collect_garbage(&self, timeout: Duration) -> Result<Freed, CollectError> {
        let arguments = arguments::COLLECT.map(str::to_owned).to_vec();
        let finished = self
            .run("nix-store", arguments, Vec::new(), timeout)
            .await
            .map_err(CollectError::Nix)?;
        if finished.status.success() {
            let text = String::from_utf8_lossy(&finished.stdout);
            return Ok(output::freed(&text).unwrap_or_default());
        }
        Err(match NixTrouble::of(&finished) {
            Some(trouble) => CollectError::Nix(trouble),
            None => CollectError::Failed {
                detail: diagnosis::summary(&finished.stderr),
            },
        })
    }
}
