//! Whether a host may be rebooted now, and what came of a reboot: pure, with time as an argument.

mod words;

use deploy::{Action, BootEntry, DeploymentTrace, Observation, Outcome, SwitchLock, Toplevel};
use desired_state::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::Then;
use crate::config::{Policy, RebootPolicy};
use crate::decide::Insistence;
use crate::memory::{Memory, Target};
use crate::window::Openness;

/// A reboot that is under way, or that failed: then the host is not rebooted again by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reboot {
    /// What is wanted of the host.
    pub target: Target,
    /// Since when.
    pub wanted_since: Timestamp,
    /// The system that it is to boot.
    pub toplevel: Toplevel,
    /// The boot that it was on: on another, it has rebooted.
    pub boot_id: String,
    /// What it was to boot.
    pub entry: BootEntry,
    /// The units that were failed before.
    pub failed_before: Vec<String>,
    /// When it was written down, just before the host was told.
    pub began: Timestamp,
    /// When it has to be back.
    pub deadline: Timestamp,
    /// What led to it.
    pub cause: String,
    /// How it failed; absent while it is under way.
    pub failure: Option<Outcome>,
}

impl Reboot {
    /// Whether the host is expected back.
    pub fn is_under_way(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether it took the host away from what is wanted: the next one may fare no better.
    pub fn has_cost_the_host(&self) -> bool {
        matches!(
            self.failure,
            Some(Outcome::DidNotComeBack { .. } | Outcome::BootedAnother { .. })
        )
    }

    /// Whether the host has booted what it was to boot after all.
    pub fn has_been_made_good(&self, observation: &Observation) -> bool {
        !self.is_under_way()
            && observation.boot_id != self.boot_id
            && observation.booted.as_ref() == Some(&self.toplevel)
    }
}

/// Why a host that needs a reboot, or is asked for one, is not rebooted now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "held", rename_all = "snake_case")]
pub enum RebootHold {
    /// A person has suspended the host.
    Suspended {
        /// The reason given.
        reason: String,
    },
    /// The last reboot into this system failed.
    Failed {
        /// How.
        outcome: Outcome,
        /// When it began.
        since: Timestamp,
    },
    /// It is not the time for it.
    WindowClosed {
        /// Why not.
        reason: String,
        /// When it is; absent if that is weeks away.
        opens: Option<Timestamp>,
    },
    /// Another host is rebooting.
    AnotherReboots {
        /// Which.
        host: HostName,
    },
    /// Other hosts did not come back from their reboots into the same commit, or elsewhere.
    OthersFailed {
        /// Which.
        hosts: Vec<HostName>,
    },
    /// A switch is running there.
    Locked {
        /// Its holder.
        by: String,
    },
    /// It would boot another system than the wanted one.
    AnotherBootDefault {
        /// What it would boot.
        entry: BootEntry,
    },
}

/// What the rest of the fleet is doing, as far as it matters to a reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// A host that is rebooting.
    pub rebooting: Option<HostName>,
    /// Hosts that did not come back from their reboot into the same commit, or elsewhere.
    pub failed: Vec<HostName>,
}

/// Everything that the decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct RebootSituation<'a> {
    /// How the wanted system is brought to the host.
    pub action: Action,
    /// What the loop remembers, of this very pass.
    pub memory: &'a Memory,
    /// Whether the loop may reboot the host by itself.
    pub rule: RebootPolicy,
    /// Whether the loop may change the host by itself.
    pub policy: Policy,
    /// Why a person has suspended the host, if one has.
    pub suspended: Option<&'a str>,
    /// Whether it is the time for it.
    pub openness: &'a Openness,
    /// The rest of the fleet.
    pub others: &'a Others,
    /// Whether a person asked for a reboot.
    pub then: Then,
    /// How strongly a person asked for this pass, if one did.
    pub insistence: Insistence,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum RebootDecision {
    /// Nothing: none is needed, or it is not ours to make.
    None,
    /// It has to wait.
    Hold(RebootHold),
    /// Reboot into the wanted system.
    Reboot {
        /// That system.
        toplevel: Toplevel,
    },
}

/// Whether the host is to be rebooted now.
pub fn decide_reboot(situation: &RebootSituation<'_>) -> RebootDecision {
    let is_asked = situation.then == Then::Reboot;
    let Some(toplevel) = wanted(situation) else {
        return RebootDecision::None;
    };
    let is_due = situation.rule == RebootPolicy::WhenRequired
        && situation.policy == Policy::Enforce
        && is_required(situation, toplevel);
    if !is_due && !is_asked {
        return RebootDecision::None;
    }
    match hold(situation, toplevel) {
        Some(hold) => RebootDecision::Hold(hold),
        None => RebootDecision::Reboot {
            toplevel: toplevel.clone(),
        },
    }
}

/// The wanted system, if the host could be rebooted into it: it is there already, or only a reboot
/// leads to it.
fn wanted<'a>(situation: &RebootSituation<'a>) -> Option<&'a Toplevel> {
    let memory = situation.memory;
    let answers = memory.last_seen.is_some() && memory.unreachable.is_none();
    let is_there = situation.action.sets_profile() && memory.drifted_since.is_none();
    memory
        .wanted
        .as_ref()
        .filter(|_| answers && (is_there || only_by_reboot(situation)))
}

/// Whether the wanted system cannot be activated while the host runs.
fn only_by_reboot(situation: &RebootSituation<'_>) -> bool {
    situation.action == Action::Switch
        && matches!(
            situation.memory.outcome,
            Some(Outcome::RebootRequired { .. })
        )
}

/// Whether only a reboot brings the host wholly to the wanted system.
fn is_required(situation: &RebootSituation<'_>, toplevel: &Toplevel) -> bool {
    let memory = situation.memory;
    only_by_reboot(situation)
        || !memory.reboot_reasons.is_empty()
        || (situation.action == Action::Boot && memory.running.as_ref() != Some(toplevel))
}

fn hold(situation: &RebootSituation<'_>, toplevel: &Toplevel) -> Option<RebootHold> {
    let RebootSituation {
        memory, insistence, ..
    } = *situation;
    // Who forces a deployment has not said that the host may go down now.
    let is_forced = insistence.is_forced() && situation.then == Then::Reboot;
    if let Some(reason) = situation.suspended
        && !is_forced
    {
        return Some(RebootHold::Suspended {
            reason: reason.into(),
        });
    }
    if let Some(reboot) = &memory.reboot
        && let Some(outcome) = &reboot.failure
        && reboot.toplevel == *toplevel
        && situation.then != Then::Reboot
        && !insistence.is_forced()
    {
        return Some(RebootHold::Failed {
            outcome: outcome.clone(),
            since: reboot.began,
        });
    }
    if let Openness::Closed { reason, opens } = situation.openness
        && !is_forced
    {
        return Some(RebootHold::WindowClosed {
            reason: reason.clone(),
            opens: *opens,
        });
    }
    // One at a time, whoever asks.
    if let Some(host) = &situation.others.rebooting {
        return Some(RebootHold::AnotherReboots { host: host.clone() });
    }
    if !situation.others.failed.is_empty() && !insistence.is_a_persons() {
        return Some(RebootHold::OthersFailed {
            hosts: situation.others.failed.clone(),
        });
    }
    None
}

/// What stands in the way of a reboot on the host itself, seen just now.
pub fn obstacle(toplevel: &Toplevel, observed: &Observation) -> Option<RebootHold> {
    if let SwitchLock::Held { by } = &observed.switch_lock {
        return Some(RebootHold::Locked { by: by.clone() });
    }
    // A system that still has to prove itself would be taken back.
    let is_at_work = |trace: &&DeploymentTrace| {
        !matches!(trace.unit_state.as_str(), "inactive" | "failed") && trace.verdict.is_none()
    };
    if let Some(trace) = observed.deployments.iter().find(is_at_work) {
        return Some(RebootHold::Locked {
            by: format!("reconcile-{}.service", trace.id),
        });
    }
    (observed.profile.as_ref() != Some(toplevel)).then(|| RebootHold::AnotherBootDefault {
        entry: observed.boot_entry(),
    })
}

/// How far a reboot is.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The host is still on the boot that it was on, and not about to leave it: tell it.
    Tell,
    /// It is on its way.
    Wait,
    /// It is over.
    Ended(Outcome),
}

/// How far a reboot is, by what the host says now, or why it does not answer.
///
/// `ignored_units` are those whose failure does not matter.
pub fn progress(
    reboot: &Reboot,
    seen: Result<&Observation, &str>,
    ignored_units: &[String],
    now: Timestamp,
) -> Progress {
    let is_over = now >= reboot.deadline;
    let observed = match seen {
        Ok(observed) => observed,
        Err(_) if !is_over => return Progress::Wait,
        Err(detail) => {
            return Progress::Ended(Outcome::DidNotComeBack {
                entry: reboot.entry.clone(),
                detail: detail.into(),
            });
        }
    };
    let state = observed.system_state.as_str();
    if observed.boot_id == reboot.boot_id {
        return match state {
            _ if is_over => Progress::Ended(Outcome::DidNotReboot {
                detail: "its deadline is over, and it is still on the same boot".into(),
            }),
            "stopping" => Progress::Wait,
            _ => Progress::Tell,
        };
    }
    if observed.booted.as_ref() != Some(&reboot.toplevel) {
        let booted = observed.booted.as_ref();
        return Progress::Ended(Outcome::BootedAnother {
            booted: booted.map_or_else(|| "nothing of NixOS".into(), ToString::to_string),
            wanted: reboot.toplevel.to_string(),
        });
    }
    // Units that are still being started have not failed yet (systemctl(1), is-system-running).
    if matches!(state, "initializing" | "starting") && !is_over {
        return Progress::Wait;
    }
    let is_new =
        |unit: &&String| !reboot.failed_before.contains(unit) && !ignored_units.contains(unit);
    let units: Vec<String> = observed
        .failed_units
        .iter()
        .filter(is_new)
        .cloned()
        .collect();
    Progress::Ended(if units.is_empty() {
        Outcome::Rebooted
    } else {
        Outcome::Degraded { units }
    })
}

#[cfg(test)]
mod tests;
