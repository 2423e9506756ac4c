//! What a person can ask for, carried out on the world: the same for a running daemon and for a
//! command line that works alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use desired_state::{
    BranchName, Distrust, HistoryEntry, HistoryFilter, HostName, MirrorError, Pin, RepositoryName,
    Revision, Store, StoreError, Suspension,
};

use crate::api::{
    Held, History, HistoryQuery, Hold, HoldRequest, Hosts, Instead, ReconcileRequest, Status, What,
};
use crate::clock;
use crate::config::HostConfig;
use crate::orders::{Order, TooManyOrders};
use crate::repository::{LookError, Person, look, words};
use crate::rollback::{self, RollbackError};
use crate::status;
use crate::world::{Repository, Setup, World};

/// A name in the history; longer is a mistake.
const LONGEST_NAME: usize = 255;
/// A reason in the history; longer belongs into an issue.
const LONGEST_REASON: usize = 4096;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It names a host that is not of the fleet.
    #[error("there is no host {host}{}", nearest.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownHost {
        /// The name.
        host: HostName,
        /// The most similar name of the fleet.
        nearest: Option<HostName>,
    },
    /// It names no host.
    #[error("no host is named; name one or more, or all")]
    NoHost,
    /// It lacks a reason.
    #[error("a reason is needed, of at most {LONGEST_REASON} bytes: it is what others will read")]
    NoReason,
    /// It does not say who asks.
    #[error("the name of who asks has to be 1 to {LONGEST_NAME} bytes long")]
    NoName,
    /// The branch does not exist.
    #[error("{repository} has no branch {branch}")]
    NoBranch {
        /// Of which repository.
        repository: RepositoryName,
        /// Which branch.
        branch: BranchName,
    },
    /// The commit is not known.
    #[error("no commit of {repository} is meant")]
    NoRevision {
        /// Of which repository.
        repository: RepositoryName,
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// The commit does not carry a signature that the repository wants.
    #[error("commit {} of {repository} is not deployed: {distrust}", revision.short())]
    Untrusted {
        /// Of which repository.
        repository: RepositoryName,
        /// Which commit.
        revision: Revision,
        /// Why, and the mend.
        distrust: Distrust,
    },
    /// There is nothing to go back to.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// The repository could not be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The state could not be read or written.
    #[error("cannot use the state")]
    Store(#[from] StoreError),
    /// The host has too many orders waiting.
    #[error("{host}: {source}")]
    TooManyOrders {
        /// Which host.
        host: HostName,
        /// Why.
        #[source]
        source: TooManyOrders,
    },
}

/// What is at fault when a request cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request makes no sense.
    Askers,
    /// A host has to be asked first, and does not answer.
    Away,
    /// There is no commit that may be deployed for it.
    NothingToDeploy,
    /// The state, or a repository's server.
    Ours,
}

impl RequestError {
    /// Whether the same request can succeed later.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::UnknownHost { .. }
            | Self::NoHost
            | Self::NoReason
            | Self::NoName
            | Self::NoBranch { .. }
            | Self::NoRevision { .. } => false,
            Self::Untrusted { distrust, .. } => distrust.is_worth_retrying(),
            Self::Rollback(error) => error.is_worth_retrying(),
            Self::Look(error) => error.is_worth_retrying(),
            Self::Store(error) => error.is_worth_retrying(),
            Self::TooManyOrders { .. } => true,
        }
    }

    /// What is at fault.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Look(_) | Self::Store(_) | Self::Rollback(RollbackError::Store(_)) => Fault::Ours,
            Self::Rollback(RollbackError::Unreachable { .. }) => Fault::Away,
            Self::Rollback(RollbackError::NothingProven(_)) | Self::Untrusted { .. } => {
                Fault::NothingToDeploy
            }
            _ => Fault::Askers,
        }
    }
}

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
/// the state cannot be written. Then nothing is queued.
pub async fn reconcile(
    world: &Arc<World>,
    request: &ReconcileRequest,
) -> Result<BTreeMap<HostName, Queued>, RequestError> {
    // Before the look, which may set off what is asked for.
    let now = clock::now();
    check_name(&request.by)?;
    let setup = world.setup();
    let hosts = named(&setup, &request.hosts)?;
    let revisions = look_first(world, &setup, &hosts, request).await?;
    let mut queued = BTreeMap::new();
    for (host, config) in &hosts {
        let mut revision = revisions.get(host).cloned();
        let mut pinned = None;
        let action = request.action.unwrap_or(config.action);
        if action.becomes_pin()
            && let Some(instead) = revision.take()
        {
            let branch = match &request.instead {
                Some(Instead::Branch(branch)) => Some(branch.clone()),
                _ => None,
            };
            let pin = Pin {
                host: host.clone(),
                revision: instead,
                action: action.name().to_owned(),
                branch,
                by: request.by.clone(),
                since: now,
            };
            world.store.pin(&pin).await?;
            tracing::info!(%host, revision = pin.revision.short(), by = pin.by, "pinned");
            pinned = Some(pin.revision);
        }
        let order = Order {
            id: 0,
            revision,
            action: request.action,
            then: request.then,
            insistence: request.insistence,
            by: request.by.clone(),
            at: now,
        };
        let id = world
            .orders
            .put(host, order)
            .map_err(|source| RequestError::TooManyOrders {
                host: host.clone(),
                source,
            })?;
        let order = Queued { id, pinned };
        world.tell(host, order.event());
        queued.insert(host.clone(), order);
    }
    world.wishes_changed();
    for host in queued.keys() {
        world.waker.wake(host);
    }
    Ok(queued)
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

/// Suspends, resumes or unpins hosts.
///
/// # Errors
/// When the request makes no sense, or the state cannot be written.
pub async fn hold(world: &World, hold: Hold, request: &HoldRequest) -> Result<Held, RequestError> {
    check_name(&request.by)?;
    if hold.needs_a_reason() {
        check_reason(&request.why)?;
    }
    let setup = world.setup();
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for (host, _) in named(&setup, &request.hosts)? {
        if hold_one(&world.store, hold, request, &host).await? {
            tracing::info!(%host, ?hold, by = request.by, why = request.why, "a person's word");
            world.waker.wake(&host);
            changed.push(host);
        } else {
            unchanged.push(host);
        }
    }
    world.wishes_changed();
    Ok(Held { changed, unchanged })
}

/// Gives whether anything changed.
async fn hold_one(
    store: &Store,
    hold: Hold,
    request: &HoldRequest,
    host: &HostName,
) -> Result<bool, StoreError> {
    let (by, why, now) = (&request.by, &request.why, clock::now());
    match hold {
        Hold::Suspend => {
            let before = store.suspended(host).await?;
            if before.is_some_and(|before| before.why == *why) {
                return Ok(false);
            }
            let suspension = Suspension {
                host: host.clone(),
                why: why.clone(),
                by: by.clone(),
                since: now,
            };
            store.suspend(&suspension).await.map(|()| true)
        }
        Hold::Resume => Ok(store.resume(host, by, why, now).await?.is_some()),
        Hold::Unpin => Ok(store.unpin(host, by, now).await?.is_some()),
    }
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

fn check_reason(reason: &str) -> Result<(), RequestError> {
    if reason.trim().is_empty() || reason.len() > LONGEST_REASON {
        return Err(RequestError::NoReason);
    }
    Ok(())
}
