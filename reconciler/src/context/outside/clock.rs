//! The machine's clock and its chance, read in one place.

use jiff::Timestamp;
use planning::model::backoff::Jitter;

use crate::context::ports::Clock;

/// The machine's own.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the wall clock"
        )]
        Timestamp::now()
    }

    fn jitter(&self) -> Jitter {
        Jitter::new(rand::random::<f64>() * 2.0 - 1.0)
    }

    fn number(&self) -> u32 {
        rand::random()
    }
}
