//! Whether a host may be rebooted now, and what came of a reboot.

use deploy::{Action, DeploymentTrace, Observation, Outcome, SwitchLock, Toplevel};
use desired_state::HostName;
use jiff::Timestamp;

use crate::maintenance::Openness;
use crate::model::health_checks::names;
use crate::model::host_state::HostState;
use crate::model::order::{Then, Trigger};
use crate::model::reboot::{Reboot, RebootBlocked};
use crate::model::spec::{Policy, RebootPolicy};

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
    /// The host's state, of this very reconciliation.
    pub state: &'a HostState,
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
    /// Who asked for this reconciliation, and how strongly.
    pub trigger: Trigger,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum RebootDecision {
    /// Nothing: none is needed, or it is not ours to make.
    None,
    /// It has to wait.
    Blocked(RebootBlocked),
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
    match blocked(situation, toplevel) {
        Some(blocked) => RebootDecision::Blocked(blocked),
        None => RebootDecision::Reboot {
            toplevel: toplevel.clone(),
        },
    }
}

/// The wanted system, if the host could be rebooted into it: it is there already, or only a reboot
/// leads to it.
fn wanted<'a>(situation: &RebootSituation<'a>) -> Option<&'a Toplevel> {
    let state = situation.state;
    let answers = state.presence.last_seen.is_some() && state.presence.unreachable.is_none();
    let is_there = situation.action.sets_profile() && state.convergence.drifted_since.is_none();
    state
        .progress
        .wanted
        .as_ref()
        .filter(|_| answers && (is_there || only_by_reboot(situation)))
}

/// Whether the wanted system cannot be activated while the host runs.
fn only_by_reboot(situation: &RebootSituation<'_>) -> bool {
    situation.action == Action::Switch
        && matches!(
            situation.state.progress.outcome,
            Some(Outcome::RebootRequired { .. })
        )
}

/// Whether only a reboot brings the host wholly to the wanted system.
fn is_required(situation: &RebootSituation<'_>, toplevel: &Toplevel) -> bool {
    let state = situation.state;
    only_by_reboot(situation)
        || !state.facts.reboot_reasons.is_empty()
        || (situation.action == Action::Boot && !state.facts.runs(toplevel))
}

fn blocked(situation: &RebootSituation<'_>, toplevel: &Toplevel) -> Option<RebootBlocked> {
    let RebootSituation { state, trigger, .. } = *situation;
    // Who forces a deployment has not said that the host may go down now.
    let is_forced = trigger.is_forced() && situation.then == Then::Reboot;
    if let Some(reason) = situation.suspended
        && !is_forced
    {
        return Some(RebootBlocked::Suspended {
            reason: reason.into(),
        });
    }
    if let Some(reboot) = &state.reboot
        && let Some(outcome) = &reboot.failure
        && reboot.toplevel == *toplevel
        && situation.then != Then::Reboot
        && !trigger.is_forced()
    {
        return Some(RebootBlocked::Failed {
            outcome: outcome.clone(),
            since: reboot.began,
        });
    }
    if let Openness::Closed { reason, opens } = situation.openness
        && !is_forced
    {
        return Some(RebootBlocked::WindowClosed {
            reason: reason.clone(),
            opens: *opens,
        });
    }
    // One at a time, whoever asks.
    if let Some(host) = &situation.others.rebooting {
        return Some(RebootBlocked::AnotherReboots { host: host.clone() });
    }
    if !situation.others.failed.is_empty() && !trigger.is_manual() {
        return Some(RebootBlocked::OthersFailed {
            hosts: situation.others.failed.clone(),
        });
    }
    None
}

/// What stands in the way of a reboot on the host itself, seen just now.
pub fn obstacle(toplevel: &Toplevel, observed: &Observation) -> Option<RebootBlocked> {
    if let SwitchLock::Held { by } = &observed.switch_lock {
        return Some(RebootBlocked::Locked { by: by.clone() });
    }
    // A system that still has to prove itself would be taken back.
    let is_at_work = |trace: &&DeploymentTrace| {
        !matches!(trace.unit_state.as_str(), "inactive" | "failed") && trace.verdict.is_none()
    };
    if let Some(trace) = observed.deployments.iter().find(is_at_work) {
        return Some(RebootBlocked::Locked {
            by: format!("reconcile-{}.service", trace.id),
        });
    }
    (observed.profile.as_ref() != Some(toplevel)).then(|| RebootBlocked::AnotherBootDefault {
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
/// `ignored_units` are the patterns of those whose failure does not matter.
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
    if !observed.has_booted(&reboot.toplevel) {
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
        |unit: &&String| !reboot.failed_before.contains(unit) && !names(ignored_units, unit);
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
