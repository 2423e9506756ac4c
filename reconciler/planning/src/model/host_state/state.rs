//! A host's state, in parts, and what changes each of them.

use std::time::Duration;

use deploy::{Action, Observation, Outcome, RebootReason, Retry, SpecialisationOf, Toplevel};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::backoff::{Jitter, backoff};
use crate::model::goal::Target;
use crate::model::reboot::{Reboot, RebootBlocked};
use crate::model::spec::{BackoffConfig, Identity};

/// After an attempt that ended because the host or the wish was not what it had been: nothing failed, so no
/// backoff grows.
const SOON: Duration = Duration::from_secs(15);

/// Who is set back more often within the hour is set back for ever.
const MAX_SET_BACK: usize = 60;
/// Two tools that undo each other do so each some minutes; twice in a day is a person.
const SET_BACK_WITHIN: Duration = Duration::from_secs(60 * 60);

/// Where a host's Nix store is, as it tells what is free.
const NIX_STORE: &str = "/nix";

/// All that is remembered of a host. Its stored form is one flat JSON object, of which each part is read by itself
/// ([`StoredState`](super::StoredState)), so that the program can be updated and put back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostState {
    /// Whether it answers.
    #[serde(flatten)]
    pub presence: Presence,
    /// What it said about itself when last seen.
    #[serde(flatten)]
    pub facts: HostFacts,
    /// What our attempts left there.
    #[serde(flatten)]
    pub traces: Traces,
    /// How far it is towards the goal that it is at.
    #[serde(flatten)]
    pub progress: Progress,
    /// Whether it is where the loop keeps it.
    #[serde(flatten)]
    pub convergence: Convergence,
    /// A system that was tried here and could not stay.
    pub quarantine: Option<Quarantine>,
    /// A reboot that is under way, or that failed.
    pub reboot: Option<Reboot>,
    /// Why a reboot that is due is not made yet.
    #[serde(rename = "reboot_waits")]
    pub reboot_blocked: Option<RebootBlocked>,
}

/// Whether a host answers, and since when it has not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Presence {
    /// When the host last answered.
    pub last_seen: Option<Timestamp>,
    /// Why the host did not answer the last time, if it did not.
    pub unreachable: Option<String>,
    /// Since when it has not answered: when it last did, or when it was first asked in vain.
    pub away_since: Option<Timestamp>,
    /// Since when it has been away for longer than it may be.
    pub overdue_since: Option<Timestamp>,
}

/// What a host said about itself when last seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// `/run/current-system`.
    pub running: Option<Toplevel>,
    /// The systems that it is a specialisation of.
    pub specialisation_of: Vec<SpecialisationOf>,
    /// Units that were failed.
    pub failed_units: Vec<String>,
    /// Why the host needs a reboot.
    pub reboot_reasons: Vec<RebootReason>,
    /// How much was free in its Nix store, in bytes.
    #[serde(rename = "store_free")]
    pub nix_store_free: Option<u64>,
    /// The machine's id when first seen, like a host key.
    pub machine_id: Option<String>,
}

/// What our attempts left on a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traces {
    /// The action and toplevel that `build` or `dry-activate` has been done for.
    pub done_once: Option<(Action, Toplevel)>,
    /// A toplevel whose activation broke off on the boot named beside it: although
    /// `/run/current-system` may point at it, the host is not *there*.
    pub broken_activation: Option<(Toplevel, String)>,
    /// A toplevel that the system profile names, and perhaps no boot entry: making it the boot default
    /// broke off in between.
    pub half_installed: Option<Toplevel>,
    /// The last activation, until what it left on the host is seen to be gone.
    pub leftovers: Option<String>,
}

/// How far a host is towards one target. Another target is another progress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// What the last attempt was for.
    pub target: Option<Target>,
    /// The toplevel of that target, once evaluated.
    pub wanted: Option<Toplevel>,
    /// Attempts that failed in a row for it.
    pub failures: u32,
    /// Not before this time again by itself.
    pub next_attempt: Option<Timestamp>,
    /// How the last attempt for it ended.
    pub outcome: Option<Outcome>,
    /// When that ended.
    pub outcome_at: Option<Timestamp>,
    /// Why the host was left as it is when last reconciled, in words.
    pub waits: Option<String>,
    /// When that ends by itself, where it does.
    pub waits_until: Option<Timestamp>,
}

/// Whether a host is where the loop keeps it, and when it last was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Convergence {
    /// When it was last found on what is wanted.
    pub last_converged: Option<Timestamp>,
    /// The last target that it converged to: the last known good.
    #[serde(rename = "converged_target")]
    pub last_good: Option<Target>,
    /// Since when it has differed from what is wanted; absent while in sync.
    pub drifted_since: Option<Timestamp>,
    /// When something else than us took it away, the newest [`MAX_SET_BACK`] within an hour.
    pub set_back: Vec<Timestamp>,
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

/// Whether a host runs what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It does.
    InSync,
    /// It runs something else.
    Drifted,
}

/// What is known of the goal that the loop keeps a host at, while it is brought to another for once.
#[derive(Debug)]
pub struct SetAside {
    progress: Progress,
    convergence: Convergence,
    quarantine: Option<Quarantine>,
}

impl HostState {
    /// Forgets failures, settled outcomes and the quarantine: a config change or a person with
    /// `--force` asks for a clean slate.
    pub fn forgive(&mut self) {
        self.progress.start_over();
        self.quarantine = None;
    }

    /// Starts over when `target` is not what the last attempt was for. What could not stay here still
    /// cannot, whichever commit asks for it.
    pub fn aim(&mut self, target: &Target) {
        if self.progress.target.as_ref() != Some(target) {
            self.progress.start_over();
            self.progress.target = Some(target.clone());
            self.progress.wanted = None;
        }
    }

    /// Begins what is done once beside the goal that the loop keeps the host at.
    pub fn set_aside(&self) -> SetAside {
        SetAside {
            progress: self.progress.clone(),
            convergence: self.convergence.clone(),
            quarantine: self.quarantine.clone(),
        }
    }

    /// Goes back to the goal that was set aside. What was learned of the host itself stays.
    pub fn take_back(&mut self, aside: SetAside) {
        self.progress = aside.progress;
        let is_still_good = self.convergence.last_good.is_some();
        self.convergence = aside.convergence;
        self.convergence.last_good.take_if(|_| !is_still_good);
        // What could not stay is a fact; that another system stayed lifts only its own quarantine.
        if self.quarantine.is_none() {
            self.quarantine = aside.quarantine;
        }
    }

    /// The quarantine of this system, if it is in one.
    pub fn quarantine_of(&self, toplevel: &Toplevel) -> Option<&Quarantine> {
        let quarantine = self.quarantine.as_ref();
        quarantine.filter(|quarantine| quarantine.toplevel == *toplevel)
    }

    /// The machine id learned at first contact, where another machine answers now.
    pub fn other_machine(&self, by: Identity, observation: &Observation) -> Option<&str> {
        if by == Identity::HostKey {
            return None;
        }
        let expected = self.facts.machine_id.as_deref()?;
        let found = observation.machine_id.as_str();
        (!found.is_empty() && found != expected).then_some(expected)
    }

    /// Takes in what the host said about itself.
    pub fn note_observation(&mut self, observation: &Observation, now: Timestamp) {
        self.presence = Presence {
            last_seen: Some(now),
            ..Presence::default()
        };
        let facts = &mut self.facts;
        facts.running.clone_from(&observation.running);
        facts
            .specialisation_of
            .clone_from(&observation.specialisation_of);
        facts.failed_units.clone_from(&observation.failed_units);
        facts.reboot_reasons.clone_from(&observation.reboot_reasons);
        facts.nix_store_free = observation.free_bytes.get(NIX_STORE).copied();
        if facts.machine_id.is_none() && !observation.machine_id.is_empty() {
            facts.machine_id = Some(observation.machine_id.clone());
        }
        self.reboot
            .take_if(|reboot| reboot.has_been_made_good(observation));
        self.traces.half_installed.take_if(|half| {
            let is = |one: &Option<Toplevel>| one.as_ref() == Some(&*half);
            !is(&observation.profile) || (is(&observation.booted) && is(&observation.running))
        });
    }

    /// Takes in that the host did not answer; it is overdue after `overdue_after`.
    pub fn note_absence(&mut self, detail: &str, overdue_after: Duration, now: Timestamp) {
        let presence = &mut self.presence;
        presence.unreachable = Some(detail.to_owned());
        let last_seen = presence.last_seen.unwrap_or(now);
        let due = later(*presence.away_since.get_or_insert(last_seen), overdue_after);
        presence.overdue_since = due.filter(|due| *due <= now);
    }

    /// Takes in that something else than us took the host away; gives how often that was within the hour.
    pub fn note_set_back(&mut self, now: Timestamp) -> usize {
        let set_back = &mut self.convergence.set_back;
        set_back.push(now);
        let too_many = set_back.len().saturating_sub(MAX_SET_BACK);
        set_back.drain(..too_many);
        set_back.len()
    }

    /// Takes in whether the host differs from what is wanted. One that does not has got over
    /// what failed before, by whosever hands: when it leaves again, it is brought back at once.
    pub fn note_drift(&mut self, drift: Drift, now: Timestamp) {
        let is_recent = |at: &Timestamp| later(*at, SET_BACK_WITHIN).is_some_and(|over| over > now);
        self.convergence.set_back.retain(is_recent);
        match drift {
            Drift::InSync => {
                self.convergence.drifted_since = None;
                self.convergence.last_converged = Some(now);
                // It has proven itself after all, or another has: the host is in good hands.
                self.quarantine = None;
                let progress = &mut self.progress;
                progress.failures = 0;
                progress.next_attempt = None;
                if progress.outcome.as_ref().is_some_and(Outcome::is_failure) {
                    progress.outcome = None;
                    progress.outcome_at = None;
                }
            }
            Drift::Drifted => {
                self.convergence.drifted_since.get_or_insert(now);
            }
        }
    }

    /// Whether only what changes at every observation differs from `other`: when the host was last seen and found where it
    /// should be, and what is free there. That much may be lost by a crash.
    pub fn is_only_seen_later_than(&self, other: &Self) -> bool {
        let mut same = other.clone();
        same.presence.last_seen = self.presence.last_seen;
        same.convergence.last_converged = self.convergence.last_converged;
        same.facts.nix_store_free = self.facts.nix_store_free;
        *self == same && self.presence.last_seen.is_some() == other.presence.last_seen.is_some()
    }
}

impl HostFacts {
    /// Whether this system ran, or a specialisation of it.
    pub fn runs(&self, toplevel: &Toplevel) -> bool {
        let mut specialised = self.specialisation_of.iter();
        self.running.as_ref() == Some(toplevel) || specialised.any(|one| one.toplevel == *toplevel)
    }
}

impl Progress {
    fn start_over(&mut self) {
        self.target = None;
        self.failures = 0;
        self.next_attempt = None;
        self.outcome = None;
        self.waits = None;
        self.waits_until = None;
    }

    /// The outcome that keeps the loop from trying this target again by itself, if there is one.
    pub fn settled(&self) -> Option<&Outcome> {
        self.outcome
            .as_ref()
            .filter(|outcome| outcome.retry() == Retry::Never && outcome.is_failure())
    }

    /// Takes in how an attempt ended, and when the next may follow.
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
}

fn later(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    // What the config allows is bounded (a year at most), so this only fails at the end of time.
    now.checked_add(wait).ok()
}
