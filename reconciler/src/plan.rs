//! What the loop would do now, without doing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use desired_state::{BranchState, Cause, HostName, StoreError};
use futures::future::join_all;

use crate::api::{Hosts, Plan};
use crate::clock;
use crate::decide::{Decision, Why};
use crate::desired::{Desired, from_branch};
use crate::follow::{Occasion, follow};
use crate::pass::{Pass, Superseded, evaluation_failed};
use crate::repository::{tip, words};
use crate::requests::{RequestError, named};
use crate::status;
use crate::world::World;

/// Decides for each host, and changes nothing: fetches, evaluates, observes.
///
/// # Errors
/// When the request makes no sense, or the state cannot be read.
pub async fn plan(world: &Arc<World>, hosts: &Hosts) -> Result<Vec<Plan>, RequestError> {
    let setup = world.setup();
    let hosts = named(&setup, hosts)?;
    let mut not_fetched = BTreeMap::new();
    for (name, repository) in &setup.repositories {
        if !hosts.iter().any(|(_, config)| config.repository == *name) {
            continue;
        }
        if let Err(error) = repository.mirror.fetch().await {
            not_fetched.insert(name.clone(), words(&error));
        }
    }
    let plans = join_all(hosts.iter().map(|(host, config)| {
        let not_fetched = not_fetched.get(&config.repository).cloned();
        of_host(world, host, not_fetched)
    }));
    let plans: Result<Vec<_>, StoreError> = plans.await.into_iter().collect();
    Ok(plans?.into_iter().flatten().collect())
}

async fn of_host(
    world: &Arc<World>,
    host: &HostName,
    not_fetched: Option<String>,
) -> Result<Option<Plan>, StoreError> {
    let Some(pass) = Pass::new(world, host, None) else {
        return Ok(None);
    };
    let mut memory = status::memory(&world.store, host).await?;
    let mut plan = Plan {
        host: host.clone(),
        revision: None,
        action: pass.config.action,
        running: None,
        wanted: None,
        decision: Decision::UpToDate,
        failure: None,
        branch_state: None,
        not_fetched,
    };
    let (branch_state, desired) = would_be_desired(&pass).await?;
    plan.branch_state = branch_state;
    let desired = match desired {
        Ok(desired) => desired,
        Err(detail) => {
            plan.running = pass
                .observe()
                .await
                .ok()
                .and_then(|seen| seen.observation.running);
            plan.decision = Decision::Wait {
                why: Why::NoRevision { detail },
            };
            return Ok(Some(plan));
        }
    };
    plan.revision = Some(desired.target.revision.clone());
    plan.action = desired.target.action;
    memory.aim(&desired.target);
    let (seen, evaluated) = match pass.facts(&desired, &memory).await? {
        Ok(facts) => facts,
        Err(Superseded) => {
            plan.decision = Decision::Wait {
                why: Why::NoRevision {
                    detail: "something newer is wanted; ask again".into(),
                },
            };
            return Ok(Some(plan));
        }
    };
    match evaluated {
        Some((Ok(evaluated), _)) => memory.wanted = Some(evaluated.toplevel),
        Some((Err(error), _)) => plan.failure = Some(evaluation_failed(&error)),
        None => {}
    }
    if let Ok(seen) = &seen {
        plan.running.clone_from(&seen.observation.running);
    }
    plan.decision = pass.decide(&desired, &memory, &seen).await?;
    plan.wanted = memory.wanted;
    Ok(Some(plan))
}

/// What would be wanted of the host if the repository were looked at now, and what its branch would be,
/// if it follows one.
async fn would_be_desired(
    pass: &Pass,
) -> Result<(Option<BranchState>, Result<Desired, String>), StoreError> {
    let store = &pass.world.store;
    let (host, config) = (&pass.host, &pass.config);
    if store.pinned(host).await?.is_some() {
        let kept = crate::desired::kept(store, host, config).await?;
        return Ok((None, kept));
    }
    let recorded = store.wish(host).await?;
    let tip = match tip(&pass.repository, config, recorded.as_ref()).await {
        Ok(tip) => tip,
        Err(error) => return Ok((None, Err(words(&error)))),
    };
    let occasion = Occasion {
        cause: Cause::Poll,
        at: clock::now(),
    };
    let rule = pass.repository.config.forced_push;
    let would_be = follow(host, config, rule, recorded.as_ref(), &tip, &occasion);
    let wish = would_be.or(recorded);
    let branch_state = wish.as_ref().map(|wish| wish.branch_state.clone());
    Ok((branch_state, from_branch(wish.as_ref(), config)))
}
