//! Whether the loop turns, for who asks over HTTP. systemd is told by [`crate::service_manager`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The loop turns at least every [`crate::runner::BETWEEN_TURNS`], 5 s: a machine that is merely slow is never so late.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// When the loop turned last.
#[derive(Debug)]
pub struct Pulse(Mutex<Instant>);

impl Default for Pulse {
    /// One that counts from now: who starts has as long for the first turn as for any other.
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pulse {
    /// The loop turns.
    pub fn turned(&self) {
        *self.last() = Instant::now();
    }

    /// How long the loop has not turned, if that is too long; then only a restart helps.
    pub fn stalled_for(&self) -> Option<Duration> {
        let silence = self.last().elapsed();
        (silence >= STALLED_AFTER).then_some(silence)
    }

    fn last(&self) -> MutexGuard<'_, Instant> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_turn_for_a_minute_has_stalled_until_it_turns_again() {
        let pulse = Pulse::default();
        advance(STALLED_AFTER.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert_eq!(pulse.stalled_for(), None);
        pulse.turned();
        advance(STALLED_AFTER).await;
        assert_eq!(pulse.stalled_for(), Some(STALLED_AFTER));
        pulse.turned();
        assert_eq!(pulse.stalled_for(), None);
    }
}
