//! What has proven itself on a host before, by the history.

use deploy::Toplevel;
use desired_state::{HistoryEntry, HistoryFilter, HostName, Store, StoreError};

use planning::model::cause::Cause;
use planning::model::history::{HistoryKind, PastOutcome};

/// How far back a host's deployments are looked through: years of daily ones.
const DEPLOYMENTS: u32 = 1000;

/// The last systems that proved themselves on a host, each once, the newest first.
///
/// # Errors
/// When the state cannot be read.
pub async fn systems(
    store: &Store,
    host: &HostName,
    how_many: usize,
) -> Result<Vec<Toplevel>, StoreError> {
    let mut systems: Vec<Toplevel> = Vec::new();
    for entry in proofs(store, host).await? {
        let toplevel = entry.toplevel.and_then(|toplevel| toplevel.parse().ok());
        if let Some(toplevel) = toplevel.filter(|one| !systems.contains(one)) {
            systems.push(toplevel);
        }
        if systems.len() >= how_many {
            break;
        }
    }
    Ok(systems)
}

/// The deployments and reboots that brought a system to stay, the newest first.
///
/// # Errors
/// When the state cannot be read.
pub async fn proofs(store: &Store, host: &HostName) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut entries = past(store, host, HistoryKind::Deployment).await?;
    entries.extend(past(store, host, HistoryKind::Reboot).await?);
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries.retain(has_proved_itself);
    Ok(entries)
}

/// The host's history of one kind, the newest first.
///
/// # Errors
/// When the state cannot be read.
pub async fn past(
    store: &Store,
    host: &HostName,
    kind: HistoryKind,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let filter = HistoryFilter {
        host: Some(host.clone()),
        kind: Some(kind.label().to_owned()),
        limit: DEPLOYMENTS,
    };
    store.history(&filter).await
}

/// Whether a deployment, or a reboot, brought its system to stay. One that was only made the boot default
/// for a reboot has not run yet.
fn has_proved_itself(entry: &HistoryEntry) -> bool {
    entry.cause.as_deref() != Some(Cause::ForReboot.to_string().as_str())
        && PastOutcome::of(entry) == PastOutcome::Stayed
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(kind: HistoryKind, outcome: &str, cause: &str) -> HistoryEntry {
        let mut entry = kind.entry(Timestamp::UNIX_EPOCH);
        entry.outcome = Some(outcome.into());
        entry.cause = Some(cause.into());
        entry
    }

    #[test]
    fn a_system_that_only_a_reboot_reaches_has_proved_itself_once_it_was_booted() {
        let boot_default = entry(HistoryKind::Deployment, "converged", "reboot");
        assert!(!has_proved_itself(&boot_default));
        for (outcome, proved) in [
            ("rebooted", true),
            ("degraded", true),
            ("booted_another", false),
            ("did_not_come_back", false),
        ] {
            let reboot = entry(HistoryKind::Reboot, outcome, "required");
            assert_eq!(has_proved_itself(&reboot), proved, "{outcome}");
        }
    }
}
