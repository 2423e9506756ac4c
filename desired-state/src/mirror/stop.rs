//! When a fetch has to end: at its limit, or because nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Shared by the task that waits for a fetch and the thread that does it.
#[derive(Debug)]
pub(super) struct Stop {
    at: Instant,
    limit: Duration,
    called_off: AtomicBool,
}

impl Stop {
    /// Ends `limit` from now.
    pub(super) fn after(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            at: Instant::now() + limit,
            limit,
            called_off: AtomicBool::new(false),
        })
    }

    /// How long the fetch may take in all.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// When the limit is over.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// How long the fetch may still take; zero once it has been called off.
    pub(super) fn time_left(&self) -> Duration {
        if self.called_off.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            self.at.saturating_duration_since(Instant::now())
        }
    }

    /// Whether the fetch has to end now.
    pub(super) fn is_over(&self) -> bool {
        self.time_left().is_zero()
    }
}

/// Calls a fetch off when it is dropped: with the future of a fetch, its work ends too.
pub(super) struct CallOff(pub(super) Arc<Stop>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.called_off.store(true, Ordering::Relaxed);
    }
}
