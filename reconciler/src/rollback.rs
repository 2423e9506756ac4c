//! Which commit `reconcile rollback` leads to: one that has proved itself on the host before.

use deploy::{RemoteCommand, SshError, Toplevel};
use desired_state::{HostName, Revision, StoreError};

use crate::config::HostConfig;
use crate::desired;
use crate::proven;
use crate::status;
use crate::world::{Setup, World};

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
    let proven = proven::proofs(store, host).await?.into_iter();
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
    let entries = proven::past(&world.store, host, "deployment").await?;
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
