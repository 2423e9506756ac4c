//! What a person can ask for, carried out on the world: the same for a running daemon and for a
//! command line that works alone.

mod error;
mod hold;

pub use error::{Fault, RequestError};
pub use hold::hold;

use std::collections::BTreeMap;
use std::sync::Arc;

use desired_state::{
    BranchName, HistoryEntry, HistoryFilter, HostName, MirrorError, Pin, RepositoryName, Revision,
};
use jiff::Timestamp;

use crate::api::{History, HistoryQuery, Hosts, Instead, ReconcileRequest, Status, What};
use crate::clock;
use crate::config::HostConfig;
use crate::orders::Order;
use crate::repository::{Person, look, words};
use crate::rollback;
use crate::status;
use crate::world::{Repository, Setup, World};
use error::LONGEST_NAME;

/// A person's order that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its number.
    pub id: u64,
    /// The commit that it has pinned the host to, if it has.
    pub pinned: Option<Revision>,
}

impl Queued {
    /// What those who follow the host are told.
    pub fn event(&self) -> What {
        What::Queued {
            pinned: self.pinned.clone(),
        }
    }
}

/// Queues a person's order for each host; gives the orders by host.
///
/// An override of branch or revision by `switch`, `boot` or `test` becomes a pin.
///
/// # Errors
/// When the request makes no sense, the repository cannot be fetched to resolve an override, or
/// the state cannot be written, or a host has too many orders waiting. Then nothing is pinned or queued.
pub async fn reconcile(
    world: &Arc<World>,
    request: &ReconcileRequest,
) -> Result<BTreeMap<HostName, Queued>, RequestError> {
    // Before the look, which may set off what is asked for.
    let now = clock::now();
    check_name(&request.by)?;
    let setup = world.setup();
    let hosts = named(&setup, &request.hosts)?;
    let mut revisions = look_first(world, &setup, &hosts, request).await?;
    // From here on it is done for all of them, or for none.
    let room = world.orders.room_for(hosts.iter().map(|(host, _)| host));
    let room = room.await?;
    let pins = take_pins(&hosts, &mut revisions, request, now);
    world.store.pin_all(&pins).await?;
    for Pin { host, revision, .. } in &pins {
        tracing::info!(%host, revision = revision.short(), by = request.by, "pinned");
    }
    let mut queued = BTreeMap::new();
    for (host, _) in &hosts {
        let order = Order {
            id: 0,
            revision: revisions.remove(host),
            action: request.action,
            then: request.then,
            insistence: request.insistence,
            by: request.by.clone(),
            at: now,
        };
        let pin = pins.iter().find(|pin| pin.host == *host);
        let order = Queued {
            id: room.put(host, order),
            pinned: pin.map(|pin| pin.revision.clone()),
        };
        world.tell(host, order.event());
        queued.insert(host.clone(), order);
    }
    drop(room);
    world.wishes_changed();
    for host in queued.keys() {
        world.waker.wake(host);
    }
    Ok(queued)
}

/// Takes out of `revisions` those that are to be kept.
fn take_pins(
    hosts: &[(HostName, &HostConfig)],
    revisions: &mut BTreeMap<HostName, Revision>,
    request: &ReconcileRequest,
    since: Timestamp,
) -> Vec<Pin> {
    let branch = match &request.instead {
        Some(Instead::Branch(branch)) => Some(branch),
        _ => None,
    };
    let pin = |(host, config): &(HostName, &HostConfig)| {
        let action = request.action.unwrap_or(config.action);
        let revision = action.becomes_pin().then(|| revisions.remove(host))??;
        Some(Pin {
            host: host.clone(),
            revision,
            action: action.name().to_owned(),
            branch: branch.cloned(),
            by: request.by.clone(),
            since,
        })
    };
    hosts.iter().filter_map(pin).collect()
}

/// Fetches the repositories of the hosts, and resolves what the request names instead of their
/// branches.
///
/// A fetch that fails is an error only where its result is needed: without an override the last
/// known tip is good enough, and the failure is said.
async fn look_first(
    world: &Arc<World>,
    setup: &Setup,
    hosts: &[(HostName, &HostConfig)],
    request: &ReconcileRequest,
) -> Result<BTreeMap<HostName, Revision>, RequestError> {
    let names: Vec<HostName> = hosts.iter().map(|(host, _)| host.clone()).collect();
    let by = request.by.as_str();
    let person = if request.insistence.is_forced() && request.instead.is_none() {
        Person::Forced { by, hosts: &names }
    } else {
        Person::Asked { by }
    };
    let mut looked: BTreeMap<&RepositoryName, &Arc<Repository>> = BTreeMap::new();
    let mut revisions = BTreeMap::new();
    for (host, config) in hosts {
        let Some(repository) = setup.repository(&config.repository) else {
            continue;
        };
        if looked.insert(&repository.name, repository).is_none()
            && let Err(error) = look(world, repository, person).await
        {
            if matches!(
                request.instead,
                Some(Instead::Branch(_) | Instead::Revision(_))
            ) {
                return Err(error.into());
            }
            tracing::warn!(
                error = words(&error),
                "going on with the commit that is known"
            );
        }
        let revision = match &request.instead {
            None => continue,
            Some(Instead::Branch(branch)) => tip(repository, branch).await?,
            Some(Instead::Revision(text)) => {
                let revision = repository.mirror.resolve(text).await;
                revision.map_err(|source| no_revision(repository, source))?
            }
            Some(Instead::Proven) => rollback::proven(world, host, config).await?,
            Some(Instead::Generation(generation)) => {
                rollback::of_generation(world, setup, host, config, *generation).await?
            }
        };
        if let Some(distrust) = repository.distrust(&revision).await {
            return Err(RequestError::Untrusted {
                repository: repository.name.clone(),
                revision,
                distrust,
            });
        }
        revisions.insert(host.clone(), revision);
    }
    Ok(revisions)
}

async fn tip(repository: &Repository, branch: &BranchName) -> Result<Revision, RequestError> {
    let tip = repository.mirror.tip(branch).await;
    tip.map_err(|source| no_revision(repository, source))?
        .ok_or_else(|| RequestError::NoBranch {
            repository: repository.name.clone(),
            branch: branch.clone(),
        })
}

fn no_revision(repository: &Repository, source: MirrorError) -> RequestError {
    RequestError::NoRevision {
        repository: repository.name.clone(),
        source,
    }
}

/// What is known of the fleet.
///
/// # Errors
/// When the state cannot be read.
pub async fn status(world: &World) -> Result<Status, RequestError> {
    Ok(status::of_fleet(&world.store, &world.setup().config).await?)
}

/// The past, the newest first.
///
/// # Errors
/// When the state cannot be read, or a host is named that neither is there nor ever was.
pub async fn history(world: &World, query: &HistoryQuery) -> Result<History, RequestError> {
    let filter = HistoryFilter {
        host: query.host.clone(),
        kind: query.kind.clone(),
        limit: query.limit,
    };
    let entries: Vec<HistoryEntry> = world.store.history(&filter).await?;
    // A host that has left the fleet has a past too; a name that never was in it is a slip.
    if let (true, Some(host)) = (entries.is_empty(), &query.host) {
        named(&world.setup(), &Hosts::Named(vec![host.clone()]))?;
    }
    Ok(History { entries })
}

/// The hosts that a request names, each once, with their tables of the config.
pub fn named<'a>(
    setup: &'a Setup,
    hosts: &Hosts,
) -> Result<Vec<(HostName, &'a HostConfig)>, RequestError> {
    let fleet = &setup.config.hosts;
    let names: std::collections::BTreeSet<&HostName> = match hosts {
        Hosts::All => fleet.keys().collect(),
        Hosts::Named(names) => names.iter().collect(),
    };
    if names.is_empty() {
        return Err(RequestError::NoHost);
    }
    names
        .into_iter()
        .map(|name| {
            let config = fleet.get(name).ok_or_else(|| RequestError::UnknownHost {
                host: name.clone(),
                nearest: nearest(name, fleet.keys()),
            })?;
            Ok((name.clone(), config))
        })
        .collect()
}

/// The most similar name, if one is similar at all.
fn nearest<'a>(name: &HostName, fleet: impl Iterator<Item = &'a HostName>) -> Option<HostName> {
    /// Below this, two names have nothing to do with one another.
    const SIMILAR: f64 = 0.7;
    fleet
        .map(|other| {
            let similarity = strsim::jaro_winkler(
                &name.as_ref().to_lowercase(),
                &other.as_ref().to_lowercase(),
            );
            (similarity, other)
        })
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, other)| other.clone())
}

fn check_name(name: &str) -> Result<(), RequestError> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(RequestError::NoName);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
