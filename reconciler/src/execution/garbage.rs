//! Has a host collect its own garbage, at the end of a reconciliation that found nothing else to do there.

use deploy::{HostCollectionRequest, HostCollectionResult, SwitchLock};
use desired_state::{Collection, CollectionResult, StoreError};
use planning::garbage::{Cause, HostSituation, IsBusy, due_on_host};
use planning::model::goal::Goal;
use planning::model::host_state::HostState;
use planning::model::report::{Report, Step};
use planning::model::spec::Identity;

use crate::context::ports::Seen;
use crate::error_chain::error_chain;
use crate::execution::reconciliation::Reconciliation;
use crate::execution::record::Findings;
use crate::state::history;
use crate::state::host::Stored;

impl Reconciliation {
    /// Has the host collect its garbage if that is due and nothing is in the way. No deployment begins there
    /// meanwhile, because there is one reconciliation of a host at a time, and the host has a lock besides.
    ///
    /// # Errors
    /// When the state cannot be read or written. Whatever fails on the host is written down, and fails nothing
    /// else.
    pub async fn collect_garbage_when_due(
        &self,
        goal: &Goal,
        stored: &mut Stored,
        report: &Report,
    ) -> Result<(), StoreError> {
        if !self.config.nix.care.is_on() {
            return Ok(());
        }
        let Some(cause) = self.garbage_cause(goal, stored, report) else {
            return Ok(());
        };
        let Ok(seen) = self.observe().await else {
            // The next look says so.
            return Ok(());
        };
        let state = &stored.remembered.state;
        if !is_at_rest(state, self.config.reach.identity, &seen) {
            return Ok(());
        }
        // The host that we run on has our own store: what is built there for others may have no root yet.
        let machine_id = &seen.observation.machine_id;
        let is_ours = self.clients.hosts.is_this_machine(machine_id).await;
        let alone = is_ours.then(|| self.context.registries.nix_store.try_write());
        if let Some(Err(_)) = alone {
            tracing::debug!(host = %self.host, %cause, "something is built or copied on this machine, which is this host");
            return Ok(());
        }
        tracing::info!(host = %self.host, %cause, "having the host collect its garbage");
        self.context.tell_step(&self.host, Step::Collecting, None);
        let Some(collection) = self.have_collected(state, &seen).await? else {
            return Ok(());
        };
        let findings = Findings {
            collection: Some(collection),
            ..Findings::default()
        };
        self.record(stored, findings).await
    }

    fn garbage_cause(&self, goal: &Goal, stored: &Stored, report: &Report) -> Option<Cause> {
        let state = &stored.remembered.state;
        let is_free = self.order.is_none()
            && report.outcome.is_none()
            && state.reboot.is_none()
            && stored.remembered.unread.guard().is_none()
            && goal.kind.is_persistent();
        let now = self.now();
        let situation = HostSituation {
            care: &self.config.nix.care,
            policy: self.config.policy,
            action: goal.target.action,
            decision: &report.decision,
            is_busy: if is_free { IsBusy::No } else { IsBusy::Yes },
            suspended: stored.suspension.as_ref().map(|one| one.why.as_str()),
            openness: &self.openness(now),
            last: stored.last_collection.as_ref(),
            free: state.facts.nix_store_free,
        };
        due_on_host(&situation, now)
    }

    /// `None` if it was not begun: another switch was quicker.
    async fn have_collected(
        &self,
        state: &HostState,
        seen: &Seen,
    ) -> Result<Option<Collection>, StoreError> {
        let host = &self.host;
        let care = &self.config.nix.care;
        let began_at = self.now();
        let proven = history::systems(&self.context.store, host, care.keep_proven).await?;
        let request = HostCollectionRequest {
            keep_for: care.keep_for,
            keep_newest: care.keep_proven,
            keep: proven
                .into_iter()
                .chain(state.progress.wanted.clone())
                .collect(),
            timeout: care.timeout,
            now: began_at,
        };
        let way = self.way().by(&seen.route);
        let ended = self.clients.hosts.collect_garbage(&way, &request).await;
        let (result, freed, detail) = match ended {
            Ok(ended) => {
                let (freed, paths) = (ended.freed.bytes, ended.freed.paths);
                match ended.result {
                    HostCollectionResult::Done => {
                        let detail = format!("{} generations, {paths} paths", ended.generations);
                        tracing::info!(%host, freed, detail, "the host has collected its garbage");
                        (CollectionResult::Done, freed, detail)
                    }
                    HostCollectionResult::Locked { by } => {
                        tracing::info!(%host, by, "the host's garbage is not collected: a switch is running there");
                        return Ok(None);
                    }
                    HostCollectionResult::Failed { detail } => {
                        tracing::error!(%host, freed, error = detail, "the host cannot collect its garbage");
                        (CollectionResult::Failed, freed, detail)
                    }
                }
            }
            Err(error) => {
                let detail = error_chain(&error);
                tracing::error!(%host, error = detail, "it is not known what became of the host's garbage");
                (CollectionResult::Failed, 0, detail)
            }
        };
        Ok(Some(Collection {
            began_at,
            ended_at: self.now(),
            result,
            freed,
            detail,
        }))
    }
}

/// Whether it still is the host that was looked at before, boots what is wanted, and nobody switches it.
fn is_at_rest(state: &HostState, identity: Identity, seen: &Seen) -> bool {
    let observation = &seen.observation;
    let wanted = &state.progress.wanted;
    state.other_machine(identity, observation).is_none()
        && wanted.is_some()
        && observation.profile == *wanted
        && observation.switch_lock == SwitchLock::Free
}

#[cfg(test)]
mod tests;
