//! How long to wait after a failure.

use std::time::Duration;

use crate::model::spec::BackoffConfig;

/// What a random number decides about a backoff, from -1.0 (shortest) to 1.0 (longest).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// In the middle: the backoff exactly as configured.
    pub const NONE: Self = Self(0.0);

    /// Clamps to the range -1.0 ..= 1.0.
    pub fn new(value: f64) -> Self {
        Self(value.clamp(-1.0, 1.0))
    }
}

/// How long to wait after `failures` attempts in a row have failed (1 is the first).
///
/// Never above the configured maximum, jitter included.
pub fn backoff(config: &BackoffConfig, failures: u32, jitter: Jitter) -> Duration {
    let max = config.max.as_secs_f64();
    let exponent = f64::from(failures.saturating_sub(1));
    let grown = (config.first.as_secs_f64() * config.factor.powf(exponent)).min(max);
    let spread = grown * (1.0 + config.jitter * jitter.0);
    Duration::from_secs_f64(spread.clamp(0.0, max))
}
