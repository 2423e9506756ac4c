//! `reconcile --host …`: queues persons' orders.

use std::collections::BTreeMap;
use std::sync::Arc;

use desired_state::{BranchName, HostName, MirrorError, Pin, RepositoryName, Revision};
use jiff::Timestamp;
use planning::model::order::Order;
use planning::model::report::What;
use planning::model::requests::{Instead, ReconcileRequest};
use planning::model::spec::HostConfig;

use crate::commands::error::RequestError;
use crate::commands::hosts::{check_name, named};
use crate::commands::rollback;
use crate::context::{Clients, Context, Repository};
use crate::controller::branches::Person;
use crate::controller::sources::fetch;
use crate::error_chain::error_chain;

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
    context: &Arc<Context>,
    request: &ReconcileRequest,
) -> Result<BTreeMap<HostName, Queued>, RequestError> {
    // Before the fetch, which may set off what is asked for.
    let now = context.now();
    check_name(&request.by)?;
    let clients = context.clients();
    let hosts = named(&clients, &request.hosts)?;
    let mut revisions = fetch_first(context, &clients, &hosts, request).await?;
    // From here on it is done for all of them, or for none.
    let reservation = context.orders.reserve(hosts.iter().map(|(host, _)| host));
    let reservation = reservation.await?;
    let pins = take_pins(&hosts, &mut revisions, request, now);
    context.store.pin_all(&pins).await?;
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
            trigger: request.trigger,
            by: request.by.clone(),
            at: now,
        };
        let pin = pins.iter().find(|pin| pin.host == *host);
        let order = Queued {
            id: reservation.put(host, order),
            pinned: pin.map(|pin| pin.revision.clone()),
        };
        context.tell(host, order.event());
        queued.insert(host.clone(), order);
    }
    drop(reservation);
    context.wishes_changed();
    for host in queued.keys() {
        context.waker.wake(host);
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
async fn fetch_first(
    context: &Arc<Context>,
    clients: &Clients,
    hosts: &[(HostName, &HostConfig)],
    request: &ReconcileRequest,
) -> Result<BTreeMap<HostName, Revision>, RequestError> {
    let names: Vec<HostName> = hosts.iter().map(|(host, _)| host.clone()).collect();
    let by = request.by.as_str();
    let person = if request.trigger.is_forced() && request.instead.is_none() {
        Person::Forced { by, hosts: &names }
    } else {
        Person::Asked { by }
    };
    let mut fetched: BTreeMap<&RepositoryName, &Arc<Repository>> = BTreeMap::new();
    let mut revisions = BTreeMap::new();
    for (host, config) in hosts {
        let Some(repository) = clients.repository(&config.follows.repository) else {
            continue;
        };
        if fetched.insert(&repository.name, repository).is_none()
            && let Err(error) = fetch(context, repository, person).await
        {
            if matches!(
                request.instead,
                Some(Instead::Branch(_) | Instead::Revision(_))
            ) {
                return Err(error.into());
            }
            tracing::warn!(
                error = error_chain(&error),
                "going on with the commit that is known"
            );
        }
        let revision = match &request.instead {
            None => continue,
            Some(Instead::Branch(branch)) => tip(repository, branch).await?,
            Some(Instead::Revision(text)) => {
                let revision = repository.source.resolve(text).await;
                revision.map_err(|source| no_revision(repository, source))?
            }
            Some(Instead::Proven) => rollback::proven(context, host, config).await?,
            Some(Instead::Generation(generation)) => {
                rollback::of_generation(context, clients, host, config, *generation).await?
            }
        };
        if let Some(distrust) = repository.source.verify(&revision).await {
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
    let tip = repository.source.tip(branch).await;
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
