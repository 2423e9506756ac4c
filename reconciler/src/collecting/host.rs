//! Has a host collect its own garbage, at the end of a pass that found nothing else to do there.

use std::path::Path;

use deploy::{HostCollectionRequest, HostCollectionResult, SwitchLock, collect_on_host};
use desired_state::{Collection, CollectionResult, NixStore, StoreError};

use crate::api::{Report, Step};
use crate::clock;
use crate::desired::{Desired, Standing};
use crate::memory::Memory;
use crate::pass::{Pass, Seen};
use crate::proven;
use crate::repository::words;
use crate::store_care::{Cause, HostSituation, IsBusy, due_on_host};

/// The id of the machine that we run on (`machine-id(5)`).
const MACHINE_ID: &str = "/etc/machine-id";

/// Has the host collect its garbage if that is due and nothing is in the way. No deployment begins there
/// meanwhile, because there is one pass over a host at a time, and the host has a lock besides.
///
/// # Errors
/// When the state cannot be read or written. Whatever fails on the host is written down, and fails nothing
/// else.
pub async fn collect_when_due(
    pass: &Pass,
    desired: &Desired,
    memory: &Memory,
    report: &Report,
) -> Result<(), StoreError> {
    if !pass.config.store.is_on() {
        return Ok(());
    }
    let Some(cause) = cause(pass, desired, memory, report).await? else {
        return Ok(());
    };
    let Ok(seen) = pass.observe().await else {
        // The next look says so.
        return Ok(());
    };
    if !is_at_rest(memory, &seen) {
        return Ok(());
    }
    // The host that we run on has our own store: what is built there for others may have no root yet.
    let is_ours = is_this_machine(Path::new(MACHINE_ID), &seen.observation.machine_id).await;
    let alone = is_ours.then(|| pass.world.nix_store.try_write());
    if let Some(Err(_)) = alone {
        tracing::debug!(host = %pass.host, %cause, "something is built or copied on this machine, which is this host");
        return Ok(());
    }
    tracing::info!(host = %pass.host, %cause, "having the host collect its garbage");
    pass.world.tell_step(&pass.host, Step::Collecting, None);
    let Some(collection) = collect(pass, memory, &seen).await? else {
        return Ok(());
    };
    pass.world
        .metrics
        .collection_ended(pass.host.as_ref(), &collection);
    let of = NixStore::Host(pass.host.clone());
    pass.world.store.record_collection(&of, &collection).await
}

async fn cause(
    pass: &Pass,
    desired: &Desired,
    memory: &Memory,
    report: &Report,
) -> Result<Option<Cause>, StoreError> {
    let store = &pass.world.store;
    let last = store
        .last_collection(&NixStore::Host(pass.host.clone()))
        .await?;
    let suspension = store.suspended(&pass.host).await?;
    let now = clock::now();
    let is_free = pass.order.is_none()
        && report.outcome.is_none()
        && memory.reboot.is_none()
        && desired.standing == Standing::Kept;
    let situation = HostSituation {
        care: &pass.config.store,
        policy: pass.config.policy,
        action: desired.target.action,
        decision: &report.decision,
        is_busy: if is_free { IsBusy::No } else { IsBusy::Yes },
        suspended: suspension.as_ref().map(|one| one.why.as_str()),
        openness: &pass.openness(now),
        last: last.as_ref(),
        free: memory.store_free,
    };
    Ok(due_on_host(&situation, now))
}

/// Whether a host with this machine id is the machine that we run on.
async fn is_this_machine(file: &Path, machine_id: &str) -> bool {
    let ours = tokio::fs::read_to_string(file).await;
    ours.is_ok_and(|ours| !machine_id.is_empty() && ours.trim() == machine_id)
}

/// Whether it still is the host that was looked at before, boots what is wanted, and nobody switches it.
fn is_at_rest(memory: &Memory, seen: &Seen) -> bool {
    let observation = &seen.observation;
    memory.other_machine(observation).is_none()
        && memory.wanted.is_some()
        && observation.profile == memory.wanted
        && observation.switch_lock == SwitchLock::Free
}

/// `None` if it was not begun: another switch was quicker.
async fn collect(
    pass: &Pass,
    memory: &Memory,
    seen: &Seen,
) -> Result<Option<Collection>, StoreError> {
    let host = &pass.host;
    let care = &pass.config.store;
    let began_at = clock::now();
    let proven = proven::systems(&pass.world.store, host, care.keep_proven).await?;
    let request = HostCollectionRequest {
        keep_for: care.keep_for,
        keep_newest: care.keep_proven,
        keep: proven.into_iter().chain(memory.wanted.clone()).collect(),
        timeout: care.timeout,
        now: began_at,
    };
    let (result, freed, detail) = match collect_on_host(&seen.connection, &request).await {
        Ok(ended) => {
            let counted = format!(
                "{} generations, {} paths",
                ended.generations, ended.freed.paths
            );
            let freed = ended.freed.bytes;
            match ended.result {
                HostCollectionResult::Done => {
                    tracing::info!(%host, freed, detail = counted, "the host has collected its garbage");
                    (CollectionResult::Done, freed, counted)
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
            let detail = words(&error);
            tracing::error!(%host, error = detail, "it is not known what became of the host's garbage");
            (CollectionResult::Failed, 0, detail)
        }
    };
    Ok(Some(Collection {
        began_at,
        ended_at: clock::now(),
        result,
        freed,
        detail,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_machine_is_known_by_its_id_and_a_container_without_one_is_no_host() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("machine-id");
        let id = "0123456789abcdef0123456789abcdef";
        assert!(!is_this_machine(&file, id).await);
        assert!(!is_this_machine(&file, "").await);
        std::fs::write(&file, format!("{id}\n")).unwrap();
        assert!(is_this_machine(&file, id).await);
        assert!(!is_this_machine(&file, "fedcba9876543210fedcba9876543210").await);
        std::fs::write(&file, "\n").unwrap();
        assert!(!is_this_machine(&file, "").await);
    }
}
