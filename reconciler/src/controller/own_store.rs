//! Collects the garbage of this machine's Nix store when that is due and nobody needs what is in it; and lets go of
//! builds.

use std::collections::BTreeMap;
use std::mem::{self, Discriminant};
use std::sync::Arc;
use std::time::Duration;

use desired_state::{Collection, CollectionResult, NixStore, StoreError};
use planning::desired::kept as kept_at;
use planning::garbage::{BuildRule, Cause, Kept, due, stale};
use planning::model::spec::CONTROLLER;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::{Clients, Context};
use crate::error_chain::error_chain;
use crate::state::history;
use crate::state::host::Stored;

/// Between two looks at the clock and at what is free: short enough to find a moment without a build.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);
/// Between two rounds of letting go of builds, which frees nothing by itself.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(60 * 60);

/// What one look has to know of those before it.
#[derive(Debug)]
struct Looks {
    /// When builds are let go of next.
    next_round: Instant,
    /// For which cause it was said that a collection waits.
    said: Option<Discriminant<Cause>>,
}

impl Looks {
    /// Whether it is to be said that a collection waits: once for each cause, until nothing is due any more.
    fn is_news(&mut self, cause: Option<Cause>) -> bool {
        let cause = cause.as_ref().map(mem::discriminant);
        let before = mem::replace(&mut self.said, cause);
        cause.is_some() && cause != before
    }
}

/// Looks after this machine's store until `stop`.
pub async fn look_after(context: Arc<Context>, stop: CancellationToken) {
    let mut looks = Looks {
        next_round: Instant::now(),
        said: None,
    };
    while !stop.is_cancelled() {
        let look = async {
            if let Err(error) = look(&context, &mut looks).await {
                tracing::warn!(
                    error = error_chain(&error),
                    "cannot look after the store: the state cannot be used"
                );
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        };
        stop.run_until_cancelled(look).await;
    }
}

async fn look(context: &Context, looks: &mut Looks) -> Result<(), StoreError> {
    let clients = context.clients();
    let care = &clients.config.store.care;
    let free = clients.nix.free_bytes();
    if let Some(free) = free {
        context.metrics.show_free(free);
    }
    let last = match care.is_on() {
        true => context.store.last_collection(&NixStore::Controller).await?,
        false => None,
    };
    let cause = due(care, last.as_ref(), free, context.now());
    if cause.is_none() && Instant::now() < looks.next_round {
        looks.said = None;
        return Ok(());
    }
    // Whoever builds is not disturbed: the next look may find nobody.
    let Ok(_alone) = context.registries.nix_store.try_write() else {
        if looks.is_news(cause)
            && let Some(cause) = cause
        {
            tracing::info!(%cause, "the garbage of this machine's store is not collected before everything that is evaluated, built or copied is done");
        }
        return Ok(());
    };
    looks.said = None;
    let_go_of_builds(context, &clients).await?;
    looks.next_round = Instant::now() + BETWEEN_ROUNDS;
    match cause {
        Some(cause) => collect(context, &clients, cause).await,
        None => Ok(()),
    }
}

async fn collect(context: &Context, clients: &Clients, cause: Cause) -> Result<(), StoreError> {
    tracing::info!(%cause, "collecting the garbage of this machine's store");
    let began_at = context.now();
    let timeout = clients.config.store.care.timeout;
    let (result, freed, detail) = match clients.nix.collect_garbage(timeout).await {
        Ok(freed) => {
            let detail = format!("{} paths", freed.paths);
            (CollectionResult::Done, freed.bytes, detail)
        }
        Err(error) => (CollectionResult::Failed, 0, error_chain(&error)),
    };
    let collection = Collection {
        began_at,
        ended_at: context.now(),
        result,
        freed,
        detail,
    };
    context.metrics.collection_ended(CONTROLLER, &collection);
    match result {
        CollectionResult::Done => {
            tracing::info!(freed, detail = collection.detail, "collected the garbage");
        }
        CollectionResult::Failed => {
            tracing::error!(
                error = collection.detail,
                "cannot collect the garbage of this machine's store"
            );
        }
    }
    if let Some(free) = clients.nix.free_bytes() {
        context.metrics.show_free(free);
    }
    context
        .store
        .record_collection(&NixStore::Controller, &collection)
        .await
}

/// Removes the GC roots of builds that need not be kept any more.
async fn let_go_of_builds(context: &Context, clients: &Clients) -> Result<(), StoreError> {
    let config = &clients.config;
    let care = &config.store.care;
    let mut kept = BTreeMap::new();
    for (host, host_config) in &config.hosts {
        let stored = Stored::load(context, host).await?;
        let systems = history::systems(&context.store, host, care.keep_proven).await?;
        let wanted = kept_at(host_config, stored.pin.as_ref(), stored.wish.as_ref()).ok();
        let state = stored.remembered.state;
        kept.insert(
            host.to_string(),
            Kept {
                systems: systems
                    .into_iter()
                    .chain(state.facts.running)
                    .chain(state.progress.wanted)
                    .collect(),
                revisions: wanted
                    .into_iter()
                    .map(|wanted| wanted.target.revision.to_string())
                    .collect(),
            },
        );
    }
    let rule = BuildRule {
        newest: config.nix.keep_builds,
        keep_for: care.keep_for,
        kept,
    };
    let gone = async {
        let roots = clients.nix.build_roots().await?;
        for root in stale(&roots, &rule, context.now()) {
            tracing::debug!(
                host = root.host,
                revision = root.revision,
                "lets go of a build"
            );
            clients.nix.let_go(root).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    // A root too many costs space, and nothing else.
    if let Err(error) = gone.await {
        tracing::warn!(%error, "cannot let go of old builds");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
