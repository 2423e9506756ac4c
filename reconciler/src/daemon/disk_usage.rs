//! How much room the state takes, and how much is left where it is.

use crate::context::Context;
use crate::telemetry::metrics::Metrics;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use crate::error_chain::error_chain;
use crate::telemetry::disk::free;

/// Between two looks at what is free: a disk that fills faster than that is not saved by looking more often.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

/// Between two walks over all that the state holds: Nix's caches of inputs are of it, and may be very many files.
const BETWEEN_WALKS: Duration = Duration::from_secs(15 * 60);

/// The unit of `st_blocks`, whatever the file system's own block is (stat(2)).
const BLOCK: u64 = 512;

/// What a folder and all that is in it takes of its own disk, in bytes; `None` if `stop` came before the end.
pub fn size(folder: &Path, stop: &CancellationToken) -> Option<u64> {
    let mut size: u64 = 0;
    // Files come and go while we walk, and links lead to a store that is not ours.
    for file in WalkDir::new(folder).same_file_system(true) {
        if stop.is_cancelled() {
            return None;
        }
        if let Some(metadata) = file.ok().and_then(|file| file.metadata().ok()) {
            size = size.saturating_add(metadata.blocks().saturating_mul(BLOCK));
        }
    }
    Some(size)
}

/// Keeps the metrics of the state's room true, until `stop`.
pub async fn watch(context: Arc<Context>, stop: CancellationToken) {
    let folder = || context.clients().config.state_directory.clone();
    keep_true(&context.metrics, folder, &stop).await;
}

/// Nobody waits for a walk: it ends by itself at its next file.
async fn keep_true(metrics: &Metrics, folder: impl Fn() -> PathBuf, stop: &CancellationToken) {
    let looks = async {
        loop {
            let folder = folder();
            match tokio::task::spawn_blocking(move || free(&folder)).await {
                Ok(Ok(bytes)) => metrics.state_has_free(bytes),
                Ok(Err(error)) => {
                    tracing::warn!(error = error_chain(&error), "the state's room is unknown");
                }
                Err(error) => {
                    tracing::error!(%error, "a look at the state's room ended by a fault");
                }
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    let walks = async {
        loop {
            let (folder, stop) = (folder(), stop.clone());
            match tokio::task::spawn_blocking(move || size(&folder, &stop)).await {
                Ok(Some(bytes)) => metrics.state_takes(bytes),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "a walk over the state ended by a fault");
                }
            }
            tokio::time::sleep(BETWEEN_WALKS).await;
        }
    };
    let both = async { tokio::join!(looks, walks) };
    stop.run_until_cancelled(both).await;
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MANY: usize = 1 << 20;

    fn whole(folder: &Path) -> u64 {
        size(folder, &CancellationToken::new()).unwrap()
    }

    #[test]
    fn what_lies_in_folders_counts_and_what_links_lead_to_does_not() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let empty = whole(folder.path());
        fs::write(elsewhere.path().join("big"), vec![1; 4 * MANY]).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("gcroot")).unwrap();
        fs::create_dir(folder.path().join("mirror")).unwrap();
        fs::write(folder.path().join("mirror/pack"), vec![1; MANY]).unwrap();
        let grown = whole(folder.path()) - empty;
        assert!((MANY as u64..2 * MANY as u64).contains(&grown), "{grown}");
        assert!(free(folder.path()).unwrap() > 0);
    }

    #[test]
    fn a_walk_is_given_up_when_we_end() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        stop.cancel();
        assert_eq!(size(folder.path(), &stop), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_state_takes_is_looked_at_less_often_than_what_is_free() {
        let (metrics, folder) = (Metrics::new().unwrap(), tempfile::tempdir().unwrap());
        let shown = |name: &str| -> u64 {
            let text = String::from_utf8(metrics.text().unwrap()).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse().unwrap()
        };
        let size = || shown("reconcile_state_size_bytes ");
        let stop = CancellationToken::new();
        let story = async {
            tokio::time::sleep(BETWEEN_LOOKS / 2).await;
            let first = size();
            assert!(first > 0);
            fs::write(folder.path().join("pack"), vec![1; MANY]).unwrap();
            metrics.state_has_free(0);
            tokio::time::sleep(BETWEEN_LOOKS).await;
            assert_eq!(size(), first);
            assert!(shown("reconcile_state_free_bytes ") > 0);
            tokio::time::sleep(BETWEEN_WALKS).await;
            assert!(size() > first);
            stop.cancel();
        };
        tokio::join!(
            keep_true(&metrics, || folder.path().to_owned(), &stop),
            story
        );
    }
}
