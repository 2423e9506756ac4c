//! When a fetch has to end: after a silence, or because nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a fetch may take in all, however much it moves: 6 hours are 2 GB over a line of 1 Mbit/s, and a server that
/// only ever trickles must not keep a mirror for ever.
const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);

/// Shared by the task that waits for a fetch and the thread that does it.
#[derive(Debug)]
pub(super) struct Stop {
    /// How long nothing may move.
    silence: Duration,
    /// The end whatever moves.
    end: Instant,
    moved: Mutex<Instant>,
    called_off: AtomicBool,
}

impl Stop {
    /// Ends once nothing has moved for so long.
    pub(super) fn after_silence_of(silence: Duration) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            silence,
            end: now + LONGEST.max(silence),
            moved: Mutex::new(now),
            called_off: AtomicBool::new(false),
        })
    }

    /// How long nothing may move.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// Something has moved: the wait begins anew.
    pub(super) fn moved(&self) {
        *self.moved.lock() = Instant::now();
    }

    /// How long to wait at most; zero once it has been called off.
    pub(super) fn time_left(&self) -> Duration {
        if self.called_off.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let until = (*self.moved.lock() + self.silence).min(self.end);
        until.saturating_duration_since(Instant::now())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_moves_goes_on_and_what_is_silent_ends() {
        let second = Duration::from_secs(1);
        let stop = Stop::after_silence_of(10 * second);
        for _ in 0..100 {
            tokio::time::advance(9 * second).await;
            assert!(!stop.is_over(), "it moved 9 s ago");
            stop.moved();
        }
        tokio::time::advance(10 * second).await;
        assert!(stop.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_for_ever_ends_too() {
        let stop = Stop::after_silence_of(Duration::from_secs(10));
        tokio::time::advance(LONGEST).await;
        stop.moved();
        assert!(stop.is_over());
    }
}
