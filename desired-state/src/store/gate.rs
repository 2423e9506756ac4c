//! What stands before every turn of a simulator's store.

use std::fmt::Debug;
use std::io;

use futures::future::BoxFuture;

/// What stands before every turn of a simulator's store. There another task may run first, as it may while the real
/// store works; the turn may fail, as on a full disk; or it never comes, as in a process that was killed just then.
pub trait Gate: Debug + Send + Sync {
    /// Lets a turn begin.
    ///
    /// # Errors
    /// When the turn fails; nothing was changed then.
    fn pass(&self) -> BoxFuture<'static, io::Result<()>>;
}
