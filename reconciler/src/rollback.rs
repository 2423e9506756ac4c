//! Which commit `reconcile rollback` leads to: one that has proved itself on the host before.

use deploy::{RemoteCommand, SshError, Toplevel};
use desired_state::{HistoryEntry, HistoryFilter, HostName, Revision, StoreError};

use crate::config::HostConfig;
use crate::desired;
use crate::rebooting::FOR_A_REBOOT;
use crate::status;
use crate::world::{Setup, World};

/// How far back a host's deployments are looked through: years of daily ones.
const DEPLOYMENTS: u32 = 1000;

/// Why there is nothing to go back to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackError {
    /// The state could not be read.
    #[error("cannot use the state")]
    Store(#[from] StoreError),
    /// No other commit has ever been deployed there by us.
    #[error("no other commit has proved itself on {0} before: name one with --to")]
    NothingProven(HostName),
    /// The host does not say what its generation is.
    #[error("cannot ask {host} for its generation {generation}")]
    Unreachable {
        /// Which host.
        host: HostName,
        /// Which generation.
        generation: u32,
        /// Why.
        #[source]
        source: SshError,
    },
    /// The host has no such generation.
    #[error(
        "{host} has no generation {generation} of its system profile: see `nixos-rebuild list-generations` there"
    )]
    NoGeneration {
        /// Which host.
        host: HostName,
        /// Which generation.
        generation: u32,
    },
    /// No commit is known to have made that generation.
    #[error(
        "generation {generation} of {host} is {toplevel}, which no deployment in the history has brought there: name its commit with --to"
    )]
    NotOurs {
        /// Which host.
        host: HostName,
        /// Which generation.
        generation: u32,
        /// Its system.
        toplevel: String,
    },
}

impl RollbackError {
    /// Whether the same request can succeed later.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Store(error) => error.is_worth_retrying(),
            Self::Unreachable { source, .. } => source.is_worth_retrying(),
            Self::NothingProven(_) | Self::NoGeneration { .. } | Self::NotOurs { .. } => false,
        }
    }
}

/// The last commit that proved itself on the host and is not the wanted one. Where the wanted one is a
/// way back that waits for its window, it is that again: who asks once more, by force, means the same.
///
/// # Errors
/// When there is none, or the state cannot be read.
pub async fn proven(
    world: &World,
    host: &HostName,
    config: &HostConfig,
) -> Result<Revision, RollbackError> {
    let store = &world.store;
    let wanted = desired::kept(store, host, config).await?.ok();
    let wanted = wanted.map(|wanted| wanted.target);
    let memory = status::memory(store, host).await?;
    let waits = memory.waits.is_some() && memory.target == wanted;
    let is_pinned = store.pinned(host).await?.is_some();
    let wanted = wanted.map(|wanted| wanted.revision);
    let mut entries = past(world, host, "deployment").await?;
    entries.extend(past(world, host, "reboot").await?);
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    let proven = entries.into_iter().filter(has_proved_itself);
    let proven: Vec<Revision> = proven.filter_map(|entry| entry.revision).collect();
    let is_wanted = |revision: &Revision| Some(revision) == wanted.as_ref();
    let found = if is_pinned && waits && proven.iter().any(is_wanted) {
        wanted.clone()
    } else {
        proven.iter().find(|one| !is_wanted(one)).cloned()
    };
    found.ok_or_else(|| RollbackError::NothingProven(host.clone()))
}

/// The commit that a generation of the host's system profile came from.
///
/// # Errors
/// When the host has no such generation, or we have not brought it there.
pub async fn of_generation(
    world: &World,
    setup: &Setup,
    host: &HostName,
    config: &HostConfig,
    generation: u32,
) -> Result<Revision, RollbackError> {
    let unreachable = |source| RollbackError::Unreachable {
        host: host.clone(),
        generation,
        source,
    };
    let connection = setup
        .connections
        .reach(&config.destinations, config.timeouts.connect)
        .await
        .map_err(unreachable)?;
    // nix-env(1), "Profiles": every generation is a link beside the profile.
    let link = format!("/nix/var/nix/profiles/system-{generation}-link");
    let command = RemoteCommand::new("readlink")
        .arguments([link.as_str()])
        .timeout(config.timeouts.observe);
    let answer = connection.run(command).await.map_err(unreachable)?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let Ok(toplevel) = text.trim().parse::<Toplevel>() else {
        return Err(RollbackError::NoGeneration {
            host: host.clone(),
            generation,
        });
    };
    let entries = past(world, host, "deployment").await?;
    entries
        .into_iter()
        .find(|entry| entry.toplevel.as_deref() == Some(toplevel.as_str()))
        .and_then(|entry| entry.revision)
        .ok_or_else(|| RollbackError::NotOurs {
            host: host.clone(),
            generation,
            toplevel: toplevel.to_string(),
        })
}

/// The host's history of one kind, the newest first.
async fn past(world: &World, host: &HostName, kind: &str) -> Result<Vec<HistoryEntry>, StoreError> {
    let filter = HistoryFilter {
        host: Some(host.clone()),
        kind: Some(kind.into()),
        limit: DEPLOYMENTS,
    };
    world.store.history(&filter).await
}

/// Whether a deployment, or a reboot, brought its system to stay. One that was only made the boot default
/// for a reboot has not run yet.
fn has_proved_itself(entry: &HistoryEntry) -> bool {
    entry.cause.as_deref() != Some(FOR_A_REBOOT)
        && matches!(
            entry.outcome.as_deref(),
            Some("converged" | "degraded" | "rebooted")
        )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(kind: &str, outcome: &str, cause: &str) -> HistoryEntry {
        let mut entry = HistoryEntry::new(Timestamp::UNIX_EPOCH, kind);
        entry.outcome = Some(outcome.into());
        entry.cause = Some(cause.into());
        entry
    }

    #[test]
    fn a_system_that_only_a_reboot_reaches_has_proved_itself_once_it_was_booted() {
        let boot_default = entry("deployment", "converged", FOR_A_REBOOT);
        assert!(!has_proved_itself(&boot_default));
        for (outcome, proved) in [
            ("rebooted", true),
            ("degraded", true),
            ("booted_another", false),
            ("did_not_come_back", false),
        ] {
            let reboot = entry("reboot", outcome, "required");
            assert_eq!(has_proved_itself(&reboot), proved, "{outcome}");
        }
    }
}
