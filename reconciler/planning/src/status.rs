//! How what is known of a host is shown.

use std::collections::BTreeMap;

use deploy::Action;
use desired_state::{Collection, HostName, Pin, Suspension, Wish};

use crate::desired::kept;
use crate::model::host_state::{HostState, Progress};
use crate::model::spec::HostConfig;
use crate::model::status::{DriftStatus, HostStatus, NixStoreStatus};

/// All that is known of one host.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Its name.
    pub host: &'a HostName,
    /// Its table in the config.
    pub config: &'a HostConfig,
    /// Its state.
    pub state: &'a HostState,
    /// What its branch asks for.
    pub wish: Option<&'a Wish>,
    /// What a person has pinned it to.
    pub pin: Option<&'a Pin>,
    /// Why a person has suspended it.
    pub suspension: Option<&'a Suspension>,
    /// The last collection of its garbage.
    pub last_collection: Option<&'a Collection>,
}

/// What is shown of a host.
pub fn host_status(known: &Known<'_>) -> HostStatus {
    let Known {
        config, state, pin, ..
    } = *known;
    let kept = kept(config, pin, known.wish).ok();
    // What is remembered of an earlier commit says nothing about this one.
    let about_this = kept
        .as_ref()
        .is_some_and(|kept| state.progress.target.as_ref() == Some(&kept.target));
    let progress = if about_this {
        state.progress.clone()
    } else {
        Progress::default()
    };
    let drift = drift_status(state, &progress);
    HostStatus {
        host: known.host.clone(),
        repository: config.follows.repository.clone(),
        branch: config.follows.branch.clone(),
        branch_state: known.wish.map(|wish| wish.branch_state.clone()),
        policy: config.policy.label().to_owned(),
        action: kept
            .as_ref()
            .map_or(config.action, |kept| kept.target.action),
        desired_revision: kept.map(|kept| kept.target.revision),
        desired_toplevel: progress.wanted,
        running_toplevel: state.facts.running.clone(),
        running_specialisation: state
            .facts
            .specialisation_of
            .first()
            .map(|one| one.name.clone()),
        drift,
        drifted_since: state.convergence.drifted_since,
        set_back: state.convergence.set_back.len(),
        quarantine: state.quarantine.clone(),
        waits: progress.waits,
        waits_until: progress.waits_until,
        outcome: progress.outcome,
        outcome_at: progress.outcome_at,
        consecutive_failures: progress.failures,
        next_attempt: progress.next_attempt,
        last_seen: state.presence.last_seen,
        unreachable: state.presence.unreachable.clone(),
        overdue_since: state.presence.overdue_since,
        last_converged: state.convergence.last_converged,
        failed_units: state.facts.failed_units.clone(),
        reboot_required: state.facts.reboot_reasons.clone(),
        reboot: state.reboot.clone(),
        reboot_waits: state.reboot_blocked.clone(),
        store: NixStoreStatus {
            free_bytes: state.facts.nix_store_free,
            last_collection: known.last_collection.cloned(),
        },
        same_machine_as: Vec::new(),
        suspended: known.suspension.map(|suspension| suspension.why.clone()),
        pinned_branch: pin.and_then(|pin| pin.branch.clone()),
        pinned_by: pin.map(|pin| pin.by.clone()),
    }
}

/// Says of hosts that are one machine by which other names it answers: two tables for it would deploy it in turns.
pub fn note_same_machines(hosts: &mut [HostStatus], machine_ids: &BTreeMap<HostName, String>) {
    for host in hosts {
        let Some(own) = machine_ids.get(&host.host) else {
            continue;
        };
        let same = machine_ids
            .iter()
            .filter(|(name, id)| *id == own && **name != host.host);
        host.same_machine_as = same.map(|(name, _)| name.clone()).collect();
    }
}

/// Whether the host runs what is wanted; `None` while one of the two is unknown.
fn drift_status(state: &HostState, progress: &Progress) -> Option<DriftStatus> {
    let (wanted, target) = (progress.wanted.as_ref()?, progress.target.as_ref()?);
    state.presence.last_seen?;
    let convergence = &state.convergence;
    if convergence.drifted_since.is_some() {
        return Some(DriftStatus::Drifted);
    }
    let was_seen_there = convergence.last_good.as_ref() == Some(target);
    if state.presence.unreachable.is_none() || !target.action.changes_host() || was_seen_there {
        return Some(DriftStatus::InSync);
    }
    // It has not been seen since this is wanted: what it ran then is all that can be compared.
    let is_to_run = matches!(target.action, Action::Switch | Action::Test);
    (is_to_run && !state.facts.runs(wanted)).then_some(DriftStatus::Drifted)
}

#[cfg(test)]
mod tests;
