//! libgit2's limits, which hold for the whole process. It only reads: git itself fetches.

use std::sync::Once;

use super::error::MirrorError;
use super::layout::git;

/// How much of its caches libgit2 may keep (its default is 256 MB), and how much of the packs it maps at a time:
/// the daemon is to stay small, and reads each object seldom.
const OBJECT_CACHE: isize = 4 * 1024 * 1024;
const PACKS_MAPPED: usize = 64 * 1024 * 1024;

/// How many pack files libgit2 holds open at a time. Its default is no limit, and a mirror gets a pack a fetch.
const PACKS_OPEN: usize = 64;

/// Sets the limits, once in the life of the process. Every fetch has to pass here first.
pub(super) fn configure() -> Result<(), MirrorError> {
    static CONFIGURED: Once = Once::new();
    let mut outcome = Ok(());
    CONFIGURED.call_once(|| {
        // SAFETY: these set plain numbers inside libgit2, and must not run beside one another; `Once` sees to that.
        // A look-up that runs meanwhile reads a whole number, the old or the new one.
        outcome = unsafe {
            git2::opts::set_cache_max_size(OBJECT_CACHE)
                .and_then(|()| git2::opts::set_mwindow_mapped_limit(PACKS_MAPPED))
                .and_then(|()| git2::opts::set_mwindow_file_limit(PACKS_OPEN))
        };
    });
    outcome.map_err(git("set the limits"))
}
