//! Which commit `reconcile rollback` leads to: one that has proved itself on the host before.

use desired_state::{HostName, Revision, StoreError};
use planning::desired::kept;
use planning::model::history::HistoryKind;
use planning::model::spec::HostConfig;

use crate::context::ports::{HostError, Way};
use crate::context::{Clients, Context};
use crate::state::history;
use crate::state::host::Stored;

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
        source: HostError,
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
    context: &Context,
    host: &HostName,
    config: &HostConfig,
) -> Result<Revision, RollbackError> {
    let stored = Stored::load(context, host).await?;
    let wanted = kept(config, stored.pin.as_ref(), stored.wish.as_ref()).ok();
    let wanted = wanted.map(|wanted| wanted.target);
    let progress = &stored.remembered.state.progress;
    let waits = progress.waits.is_some() && progress.target == wanted;
    let is_pinned = stored.pin.is_some();
    let wanted = wanted.map(|wanted| wanted.revision);
    let proven = history::proofs(&context.store, host).await?.into_iter();
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
    context: &Context,
    clients: &Clients,
    host: &HostName,
    config: &HostConfig,
    generation: u32,
) -> Result<Revision, RollbackError> {
    let unreachable = |source| RollbackError::Unreachable {
        host: host.clone(),
        generation,
        source,
    };
    let way = Way::to(host, config);
    let toplevel = clients.hosts.generation(&way, generation).await;
    let Some(toplevel) = toplevel.map_err(unreachable)? else {
        return Err(RollbackError::NoGeneration {
            host: host.clone(),
            generation,
        });
    };
    let entries = history::past(&context.store, host, HistoryKind::Deployment).await?;
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
