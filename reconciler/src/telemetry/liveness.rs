//! Whether the loop turns, for who asks over HTTP. systemd is told by the daemon itself.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The loop turns at least every 5 s: a machine that is merely slow is never so late.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// When the loop turned last.
#[derive(Debug)]
pub struct Liveness(Mutex<Instant>);

impl Default for Liveness {
    /// One that counts from now: who starts has as long for the first turn as for any other.
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Liveness {
    /// The loop turns.
    pub fn turned(&self) {
        *self.0.lock() = Instant::now();
    }

    /// How long the loop has not turned, if that is too long; then only a restart helps.
    pub fn stalled_for(&self) -> Option<Duration> {
        let silence = self.0.lock().elapsed();
        (silence >= STALLED_AFTER).then_some(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_turn_for_a_minute_has_stalled_until_it_turns_again() {
        let liveness = Liveness::default();
        advance(STALLED_AFTER.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert_eq!(liveness.stalled_for(), None);
        liveness.turned();
        advance(STALLED_AFTER).await;
        assert_eq!(liveness.stalled_for(), Some(STALLED_AFTER));
        liveness.turned();
        assert_eq!(liveness.stalled_for(), None);
    }
}
