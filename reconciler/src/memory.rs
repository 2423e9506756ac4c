//! What the loop remembers of a host between passes, and over restarts.

use std::time::Duration;

use deploy::{Action, Observation, Outcome, RebootReason, Retry, Toplevel};
use desired_state::Revision;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::BackoffConfig;
use crate::reboot::{Reboot, RebootHold};

/// After an attempt that ended because the host or the wish was not what it had been: nothing failed, so no
/// backoff grows.
const SOON: Duration = Duration::from_secs(15);

/// Where a host's store is, as it tells what is free.
const STORE: &str = "/nix";

/// What an attempt was for: a new target starts with a clean slate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The commit that is wanted.
    pub revision: Revision,
    /// How it is to be brought to the host.
    pub action: Action,
}

/// A system that is kept from a host, because it was tried there and could not stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The system.
    pub toplevel: Toplevel,
    /// How that ended.
    pub outcome: Outcome,
    /// When.
    pub since: Timestamp,
}

/// The document that the store keeps for each host.
///
/// Unknown fields of a later version are ignored, missing ones take their default, so that the
/// daemon can be updated and put back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// What the last attempt was for.
    pub target: Option<Target>,
    /// Attempts that failed in a row for `target`.
    pub failures: u32,
    /// Not before this time again by itself.
    pub next_attempt: Option<Timestamp>,
    /// How the last attempt for `target` ended.
    pub outcome: Option<Outcome>,
    /// When it ended.
    pub outcome_at: Option<Timestamp>,
    /// The action and toplevel that `build` or `dry-activate` has been done for.
    pub done_once: Option<(Action, Toplevel)>,
    /// A toplevel whose activation broke off on the boot named beside it: although
    /// `/run/current-system` may point at it, the host is not *there*.
    pub broken_activation: Option<(Toplevel, String)>,
    /// A toplevel that the system profile names, and perhaps no boot entry: making it the boot default
    /// broke off in between.
    pub half_installed: Option<Toplevel>,

    /// A system that was tried here and could not stay.
    pub quarantine: Option<Quarantine>,
    /// Why the host was left as it is when last looked at, in words.
    pub waits: Option<String>,
    /// When that ends by itself, where it does.
    pub waits_until: Option<Timestamp>,

    /// A reboot that is under way, or that failed.
    pub reboot: Option<Reboot>,
    /// Why a reboot that is due is not made yet.
    pub reboot_waits: Option<RebootHold>,

    /// When the host last answered.
    pub last_seen: Option<Timestamp>,
    /// When it was last found on what is wanted.
    pub last_converged: Option<Timestamp>,
    /// The target it last converged to.
    pub converged_target: Option<Target>,
    /// Since when it has differed from what is wanted; absent while in sync.
    pub drifted_since: Option<Timestamp>,
    /// Why the host did not answer the last time, if it did not.
    pub unreachable: Option<String>,
    /// Since when it has not answered: when it last did, or when it was first asked in vain.
    pub away_since: Option<Timestamp>,
    /// Since when it has been away for longer than it may be.
    pub overdue_since: Option<Timestamp>,
    /// `/run/current-system` when last seen.
    pub running: Option<Toplevel>,
    /// The toplevel of the wanted revision, once evaluated.
    pub wanted: Option<Toplevel>,
    /// Units that were failed when last seen.
    pub failed_units: Vec<String>,
    /// Why the host needs a reboot, when last seen.
    pub reboot_reasons: Vec<RebootReason>,
    /// How much was free in its store when last seen, in bytes.
    pub store_free: Option<u64>,
    /// The machine's id when first seen, like a host key.
    pub machine_id: Option<String>,
    /// The last activation, until what it left on the host is seen to be gone.
    pub leftovers: Option<String>,
}

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

impl Memory {
    /// Forgets failures, settled outcomes and the quarantine: a config change or a person with
    /// `--force` asks for a clean slate.
    pub fn forgive(&mut self) {
        self.start_over();
        self.quarantine = None;
    }

    /// Forgets what came of the last target: a new one begins. What could not stay here still
    /// cannot, whichever commit asks for it.
    fn start_over(&mut self) {
        self.target = None;
        self.failures = 0;
        self.next_attempt = None;
        self.outcome = None;
        self.waits = None;
        self.waits_until = None;
    }

    /// Starts over when `target` is not what the last attempt was for.
    pub fn aim(&mut self, target: &Target) {
        if self.target.as_ref() != Some(target) {
            self.start_over();
            self.target = Some(target.clone());
            self.wanted = None;
        }
    }

    /// The outcome that keeps the loop from trying this target again by itself, if there is one.
    pub fn settled(&self) -> Option<&Outcome> {
        self.outcome
            .as_ref()
            .filter(|outcome| outcome.retry() == Retry::Never && outcome.is_failure())
    }

    /// The quarantine of this system, if it is in one.
    pub fn quarantine_of(&self, toplevel: &Toplevel) -> Option<&Quarantine> {
        let quarantine = self.quarantine.as_ref();
        quarantine.filter(|quarantine| quarantine.toplevel == *toplevel)
    }

    /// Writes down how an attempt ended and when the next may follow.
    pub fn conclude(
        &mut self,
        outcome: &Outcome,
        config: &BackoffConfig,
        jitter: Jitter,
        now: Timestamp,
    ) {
        self.outcome = Some(outcome.clone());
        self.outcome_at = Some(now);
        match outcome.retry() {
            Retry::Backoff => {
                if outcome.is_failure() {
                    self.failures = self.failures.saturating_add(1);
                }
                self.next_attempt = later(now, backoff(config, self.failures.max(1), jitter));
            }
            Retry::Soon => self.next_attempt = later(now, SOON),
            Retry::Never => {
                self.next_attempt = None;
                if outcome.is_failure() {
                    self.failures = self.failures.saturating_add(1);
                } else {
                    self.failures = 0;
                }
            }
        }
    }

    /// The machine id learned at first contact, where another machine answers now.
    pub fn other_machine(&self, observation: &Observation) -> Option<&str> {
        let expected = self.machine_id.as_deref()?;
        let found = observation.machine_id.as_str();
        (!found.is_empty() && found != expected).then_some(expected)
    }

    /// Writes down what the host said about itself.
    pub fn note_observation(&mut self, observation: &Observation, now: Timestamp) {
        self.last_seen = Some(now);
        self.unreachable = None;
        self.away_since = None;
        self.overdue_since = None;
        self.running.clone_from(&observation.running);
        self.failed_units.clone_from(&observation.failed_units);
        self.reboot_reasons.clone_from(&observation.reboot_reasons);
        self.store_free = observation.free_bytes.get(STORE).copied();
        self.reboot
            .take_if(|reboot| reboot.has_been_made_good(observation));
        self.half_installed.take_if(|half| {
            let is = |one: &Option<Toplevel>| one.as_ref() == Some(&*half);
            !is(&observation.profile) || (is(&observation.booted) && is(&observation.running))
        });
        if self.machine_id.is_none() && !observation.machine_id.is_empty() {
            self.machine_id = Some(observation.machine_id.clone());
        }
    }

    /// Writes down that the host did not answer; it is overdue after `overdue_after`.
    pub fn note_absence(&mut self, detail: &str, overdue_after: Duration, now: Timestamp) {
        self.unreachable = Some(detail.to_owned());
        let last_seen = self.last_seen.unwrap_or(now);
        let due = later(*self.away_since.get_or_insert(last_seen), overdue_after);
        self.overdue_since = due.filter(|due| *due <= now);
    }

    /// Takes over what another memory of the same host knows about the host itself, and leaves
    /// what it knows about its own target.
    pub fn take_facts(&mut self, other: Self) {
        self.last_seen = other.last_seen;
        self.unreachable = other.unreachable;
        self.away_since = other.away_since;
        self.overdue_since = other.overdue_since;
        self.running = other.running;
        self.failed_units = other.failed_units;
        self.reboot_reasons = other.reboot_reasons;
        self.store_free = other.store_free;
        self.machine_id = other.machine_id;
        self.broken_activation = other.broken_activation;
        self.half_installed = other.half_installed;
        self.done_once = other.done_once;
        self.leftovers = other.leftovers;
        self.reboot = other.reboot;
        // What could not stay is a fact; that another system stayed lifts only its own quarantine.
        if other.quarantine.is_some() {
            self.quarantine = other.quarantine;
        }
    }

    /// Writes down whether the host differs from what is wanted. One that does not has got over
    /// what failed before, by whosever hands: when it leaves again, it is brought back at once.
    pub fn note_drift(&mut self, drift: Drift, now: Timestamp) {
        match drift {
            Drift::InSync => {
                self.drifted_since = None;
                self.last_converged = Some(now);
                self.failures = 0;
                self.next_attempt = None;
                // It has proven itself after all, or another has: the host is in good hands.
                self.quarantine = None;
                if self.outcome.as_ref().is_some_and(Outcome::is_failure) {
                    self.outcome = None;
                    self.outcome_at = None;
                }
            }
            Drift::Drifted => {
                self.drifted_since.get_or_insert(now);
            }
        }
    }
}

/// Whether a host runs what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It does.
    InSync,
    /// It runs something else.
    Drifted,
}

fn later(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    // What the config allows is bounded (a year at most), so this only fails at the end of time.
    now.checked_add(wait).ok()
}

#[cfg(test)]
mod tests;
