//! Collects the garbage of this machine's store when that is due and nobody needs what is in it; and lets go of builds.

pub mod host;

use std::collections::BTreeMap;
use std::mem::{self, Discriminant};
use std::sync::Arc;
use std::time::Duration;

use desired_state::{Collection, CollectionResult, NixStore, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::desired;
use crate::metrics::CONTROLLER;
use crate::proven;
use crate::repository::words;
use crate::status;
use crate::store_care::{BuildRule, Cause, Kept, due, stale};
use crate::world::{Setup, World};

/// Between two looks at the clock and at what is free: short enough to find a moment without a build.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);
/// Between two rounds of letting go of builds, which frees nothing by itself.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(60 * 60);

/// Where the store is.
const STORE: &str = "/nix/store";

/// How much is free for us where this machine's store is, in bytes; `None` where there is none yet.
pub fn free_bytes() -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(STORE).ok()?;
    disk.blocks_available().checked_mul(disk.fragment_size())
}

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
pub async fn look_after(world: Arc<World>, stop: CancellationToken) {
    let mut looks = Looks {
        next_round: Instant::now(),
        said: None,
    };
    while !stop.is_cancelled() {
        let look = async {
            if let Err(error) = look(&world, &mut looks).await {
                tracing::warn!(
                    error = words(&error),
                    "cannot look after the store: the state cannot be used"
                );
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        };
        stop.run_until_cancelled(look).await;
    }
}

async fn look(world: &World, looks: &mut Looks) -> Result<(), StoreError> {
    let setup = world.setup();
    let care = &setup.config.store.care;
    let free = free_bytes();
    if let Some(free) = free {
        world.metrics.show_free(free);
    }
    let last = world.store.last_collection(&NixStore::Controller).await?;
    let cause = due(care, last.as_ref(), free, clock::now());
    if cause.is_none() && Instant::now() < looks.next_round {
        looks.said = None;
        return Ok(());
    }
    // Whoever builds is not disturbed: the next look may find nobody.
    let Ok(_alone) = world.nix_store.try_write() else {
        if looks.is_news(cause)
            && let Some(cause) = cause
        {
            tracing::info!(%cause, "the garbage of this machine's store is not collected before everything that is evaluated, built or copied is done");
        }
        return Ok(());
    };
    looks.said = None;
    let_go_of_builds(world, &setup).await?;
    looks.next_round = Instant::now() + BETWEEN_ROUNDS;
    match cause {
        Some(cause) => collect(world, &setup, cause).await,
        None => Ok(()),
    }
}

async fn collect(world: &World, setup: &Setup, cause: Cause) -> Result<(), StoreError> {
    tracing::info!(%cause, "collecting the garbage of this machine's store");
    let began_at = clock::now();
    let timeout = setup.config.store.care.timeout;
    let (result, freed, detail) = match setup.nix.collect_garbage(timeout).await {
        Ok(freed) => {
            let detail = format!("{} paths", freed.paths);
            (CollectionResult::Done, freed.bytes, detail)
        }
        Err(error) => (CollectionResult::Failed, 0, words(&error)),
    };
    let collection = Collection {
        began_at,
        ended_at: clock::now(),
        result,
        freed,
        detail,
    };
    world.metrics.collection_ended(CONTROLLER, &collection);
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
    if let Some(free) = free_bytes() {
        world.metrics.show_free(free);
    }
    world
        .store
        .record_collection(&NixStore::Controller, &collection)
        .await
}

/// Removes the GC roots of builds that need not be kept any more.
async fn let_go_of_builds(world: &World, setup: &Setup) -> Result<(), StoreError> {
    let config = &setup.config;
    let care = &config.store.care;
    let mut kept = BTreeMap::new();
    for (host, host_config) in &config.hosts {
        let memory = status::memory(&world.store, host).await?;
        let systems = proven::systems(&world.store, host, care.keep_proven).await?;
        let wanted = desired::kept(&world.store, host, host_config).await?.ok();
        kept.insert(
            host.to_string(),
            Kept {
                systems: systems
                    .into_iter()
                    .chain(memory.running)
                    .chain(memory.wanted)
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
        let roots = setup.nix.build_roots().await?;
        for root in stale(&roots, &rule, clock::now()) {
            tracing::debug!(
                host = root.host,
                revision = root.revision,
                "lets go of a build"
            );
            root.let_go().await?;
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
mod tests {
    use super::*;

    #[tokio::test]
    async fn that_a_collection_waits_is_said_once_for_each_cause() {
        let mut looks = Looks {
            next_round: Instant::now(),
            said: None,
        };
        let space = |free| Some(Cause::Space { free, below: 10 });
        let said: Vec<bool> = [
            None,
            Some(Cause::Period),
            Some(Cause::Period),
            space(9),
            space(8),
            None,
            space(7),
        ]
        .map(|cause| looks.is_news(cause))
        .into();
        assert_eq!(said, [false, true, false, true, false, false, true]);
    }
}
