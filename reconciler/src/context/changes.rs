//! Tells whoever works that what is wanted may have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// How often what is wanted may have changed. Who waits is woken in the order in which they began to, unlike by
/// `tokio::sync::watch`, which draws lots: the same events lead to the same run.
#[derive(Debug, Default)]
pub struct Changes {
    count: AtomicU64,
    told: Notify,
}

/// The changes since an instant.
#[derive(Debug)]
pub struct ChangesSince {
    of: Arc<Changes>,
    seen: u64,
}

impl Changes {
    /// Something may have changed.
    pub fn tell(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// The changes from now on.
    pub fn from_now_on(self: &Arc<Self>) -> ChangesSince {
        ChangesSince {
            of: Arc::clone(self),
            seen: self.count.load(Ordering::SeqCst),
        }
    }
}

impl ChangesSince {
    /// Returns once something may have changed since the last time, or since the beginning.
    pub async fn changed(&mut self) {
        loop {
            // Made before the look, so that it is woken by what comes in between.
            let told = self.of.told.notified();
            let count = self.of.count.load(Ordering::SeqCst);
            if count != self.seen {
                self.seen = count;
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_changes_before_one_waits_or_meanwhile_is_noticed_once() {
        let changes = Arc::new(Changes::default());
        changes.tell();
        let mut since = changes.from_now_on();
        assert_eq!(since.changed().now_or_never(), None);
        changes.tell();
        changes.tell();
        assert_eq!(since.changed().now_or_never(), Some(()));
        let waits = tokio::spawn(async move {
            since.changed().await;
            since
        });
        tokio::task::yield_now().await;
        changes.tell();
        let mut since = waits.await.unwrap();
        assert_eq!(since.changed().now_or_never(), None);
    }
}
