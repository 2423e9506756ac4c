//! What is known of the fleet, put together from the store.

use desired_state::{HostName, NixStore, Store, StoreError};

use crate::api::{DriftStatus, HostStatus, Status, StoreStatus};
use crate::collecting;
use crate::config::{Config, HostConfig};
use crate::desired;
use crate::memory::Memory;

/// What the loop remembers of a host.
///
/// A document that cannot be read (of a much later version, or damaged) is as good as none: the
/// truth is on the host, and is read again.
///
/// # Errors
/// When the store cannot be read.
pub async fn memory(store: &Store, host: &HostName) -> Result<Memory, StoreError> {
    let document = store.memory(host).await?;
    Ok(document
        .and_then(|document| serde_json::from_str(&document).ok())
        .unwrap_or_default())
}

/// Writes down what the loop remembers of a host.
///
/// # Errors
/// When the store cannot be written.
pub async fn remember(store: &Store, host: &HostName, memory: &Memory) -> Result<(), StoreError> {
    store.remember(host, &document(memory)).await
}

/// What the loop remembers of a host, as the store keeps it.
pub fn document(memory: &Memory) -> String {
    // Plain data with string keys always has a JSON form.
    serde_json::to_string(memory).unwrap_or_default()
}

/// What is known of the whole fleet.
///
/// # Errors
/// When the store cannot be read.
pub async fn of_fleet(store: &Store, config: &Config) -> Result<Status, StoreError> {
    let mut hosts = Vec::with_capacity(config.hosts.len());
    for (host, host_config) in &config.hosts {
        hosts.push(of_host(store, host, host_config).await?);
    }
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: StoreStatus {
            free_bytes: collecting::free_bytes(),
            last_collection: store.last_collection(&NixStore::Controller).await?,
        },
        hosts,
    })
}

/// What is known of one host.
///
/// # Errors
/// When the store cannot be read.
pub async fn of_host(
    store: &Store,
    host: &HostName,
    config: &HostConfig,
) -> Result<HostStatus, StoreError> {
    let memory = memory(store, host).await?;
    let wish = store.wish(host).await?;
    let pin = store.pinned(host).await?;
    let suspension = store.suspended(host).await?;
    let kept = desired::kept(store, host, config).await?.ok();
    let nix_store = NixStore::Host(host.clone());
    let last_collection = store.last_collection(&nix_store).await?;
    // What is remembered of an earlier commit says nothing about this one.
    let about_this = kept
        .as_ref()
        .is_some_and(|kept| memory.target.as_ref() == Some(&kept.target));
    let wanted = memory.wanted.filter(|_| about_this);
    let drift = (wanted.is_some() && memory.last_seen.is_some()).then_some(
        if memory.drifted_since.is_some() {
            DriftStatus::Drifted
        } else {
            DriftStatus::InSync
        },
    );
    Ok(HostStatus {
        host: host.clone(),
        repository: config.repository.clone(),
        branch: config.branch.clone(),
        branch_state: wish.map(|wish| wish.branch_state),
        policy: config.policy.label().to_owned(),
        action: kept
            .as_ref()
            .map_or(config.action, |kept| kept.target.action),
        desired_revision: kept.map(|kept| kept.target.revision),
        desired_toplevel: wanted,
        running_toplevel: memory.running,
        drift,
        drifted_since: memory.drifted_since,
        quarantine: memory.quarantine,
        waits: memory.waits.filter(|_| about_this),
        waits_until: memory.waits_until.filter(|_| about_this),
        outcome: memory.outcome.filter(|_| about_this),
        outcome_at: memory.outcome_at.filter(|_| about_this),
        consecutive_failures: if about_this { memory.failures } else { 0 },
        next_attempt: memory.next_attempt.filter(|_| about_this),
        last_seen: memory.last_seen,
        unreachable: memory.unreachable,
        overdue_since: memory.overdue_since,
        last_converged: memory.last_converged,
        failed_units: memory.failed_units,
        reboot_required: memory.reboot_reasons,
        reboot: memory.reboot,
        reboot_waits: memory.reboot_waits,
        store: StoreStatus {
            free_bytes: memory.store_free,
            last_collection,
        },
        suspended: suspension.map(|suspension| suspension.why),
        pinned_branch: pin.as_ref().and_then(|pin| pin.branch.clone()),
        pinned_by: pin.map(|pin| pin.by),
    })
}
