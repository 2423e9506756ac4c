//! The clock of the simulated machine: paused time, and steps that somebody makes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use planning::model::backoff::Jitter;
use reconciler::context::ports::Clock;
use tokio::time::Instant;

use crate::generator::Generator;

/// Monday, 2027-01-04T00:00:00Z.
const EPOCH: i64 = 1_799_020_800;

/// The clock of the machine that the controller runs on.
#[derive(Debug)]
pub struct SimulatedClock {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    step: SignedDuration,
    stepped_at: Option<Instant>,
    generator: Generator,
}

impl SimulatedClock {
    /// One that is right.
    pub fn new(seed: u64) -> Self {
        Self {
            began: Instant::now(),
            state: Mutex::new(State {
                step: SignedDuration::ZERO,
                stepped_at: None,
                generator: Generator::new(seed, "clock"),
            }),
        }
    }

    /// The time as it really is.
    pub fn truth(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        Timestamp::from_second(EPOCH)
            .and_then(|epoch| epoch.checked_add(elapsed))
            .unwrap_or(Timestamp::MAX)
    }

    /// Makes it wrong by so much.
    pub fn step(&self, by: SignedDuration) {
        let mut state = self.state.lock();
        state.step = by;
        state.stepped_at = Some(Instant::now());
    }

    /// Whether it has been right, and not corrected, since then.
    pub fn is_right_since(&self, since: Instant) -> bool {
        let state = self.state.lock();
        state.stepped_at.is_none_or(|at| at < since)
    }

    /// Whether it has not been corrected for so long.
    pub fn is_steady_for(&self, long: Duration) -> bool {
        let state = self.state.lock();
        state.stepped_at.is_none_or(|at| at.elapsed() >= long)
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let step = self.state.lock().step;
        self.truth().checked_add(step).unwrap_or(Timestamp::MAX)
    }

    fn jitter(&self) -> Jitter {
        Jitter::new(self.state.lock().generator.unit() * 2.0 - 1.0)
    }

    fn number(&self) -> u32 {
        self.state.lock().generator.number() as u32
    }
}
