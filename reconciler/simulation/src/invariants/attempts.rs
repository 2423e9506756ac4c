//! Attempts that fail are made again, and each time later.

use std::time::Duration;

use desired_state::{HostName, Revision};
use planning::model::spec::BackoffConfig;
use tokio::time::Instant;

use crate::ledger::Failures;
use crate::world::World;

/// An attempt for the same commit on the same host begins no sooner after the last one failed than the documented
/// backoff says, unless a person or the config asks for it.
pub fn are_spaced(world: &World, host: &HostName, revision: &Revision) {
    let mut known = world.ledger.of(host);
    if known.is_forced() {
        known.failures = None;
    }
    let Some(failures) = known
        .failures
        .clone()
        .filter(|one| one.revision == *revision)
    else {
        known.failures = None;
        return;
    };
    let is_excused = known.is_ordered()
        || known.excused.is_some_and(|at| at >= failures.last)
        || !world.clock.is_right_since(failures.last);
    drop(known);
    let least = least_wait(world, failures.count);
    let waited = failures.last.elapsed();
    if waited < least && !is_excused {
        let what = format!(
            "tried again after {waited:?}, and {} failures ask for {least:?}",
            failures.count
        );
        world.ledger.breaks("are_spaced", Some(host), what);
    }
}

/// An attempt has failed, so long ago, in a way that is tried again.
pub fn failed(world: &World, host: &HostName, revision: &Revision, ago: Duration) {
    let now = Instant::now();
    let mut known = world.ledger.of(host);
    let before = known
        .failures
        .take()
        .filter(|one| one.revision == *revision);
    known.failures = Some(Failures {
        revision: revision.clone(),
        count: before.map_or(0, |one| one.count) + 1,
        last: now.checked_sub(ago).unwrap_or(now),
    });
}

/// The backoff as the example config documents it, with as little jitter as chance allows.
fn least_wait(world: &World, failures: u32) -> Duration {
    let BackoffConfig { factor, jitter, .. } = BackoffConfig::built_in();
    let (first, max) = (world.plan.backoff_first, world.plan.backoff_max);
    let exponent = f64::from(failures.saturating_sub(1));
    let grown = (first.as_secs_f64() * factor.powf(exponent)).min(max.as_secs_f64());
    // To the millisecond, as timers are.
    Duration::from_secs_f64(grown * (1.0 - jitter)).saturating_sub(Duration::from_millis(2))
}
