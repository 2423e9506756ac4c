//! Asks for hosts to be reconciled.

use std::sync::Arc;

use desired_state::HostName;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::context::queue::Queue;

/// Asks for reconciliations of hosts; clones share one queue.
#[derive(Debug, Clone, Default)]
pub struct Waker {
    queue: Arc<Mutex<Queue>>,
    knocked: Arc<Notify>,
}

impl Waker {
    /// Asks for a reconciliation of `host` now.
    pub fn wake(&self, host: &HostName) {
        self.wake_at(host, Instant::now());
    }

    /// Asks for one at `at`.
    pub fn wake_at(&self, host: &HostName, at: Instant) {
        self.queue().request(host.clone(), at);
        self.knocked.notify_one();
    }

    /// Asks for no more of a host that left the fleet.
    pub fn forget(&self, host: &HostName) {
        self.queue().forget(host);
    }

    /// The queue, for the loop that empties it.
    pub fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Returns once somebody has asked since the last time.
    pub async fn knocked(&self) {
        self.knocked.notified().await;
    }
}
