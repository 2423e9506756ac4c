//! One evaluation for all hosts that wait for the same commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deploy::{Attribute, EvaluateError, Evaluated, FlakeSource};
use desired_state::{Built, RepositoryName, Revision, StoreError};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use crate::metrics::Phase;
use crate::world::{Repository, Setup, World};

/// What each attribute evaluates to, or why not.
type Results = Arc<BTreeMap<Attribute, Result<Evaluated, Arc<EvaluateError>>>>;
type Key = (RepositoryName, Revision);

/// The evaluations that run now.
///
/// Each is driven by those who wait for it: when nobody waits any more it is dropped, and with it
/// the `nix` process.
#[derive(Default)]
pub struct Evaluations {
    running: Mutex<HashMap<Key, Running>>,
}

struct Running {
    attributes: Vec<Attribute>,
    shared: WeakShared<BoxFuture<'static, Results>>,
}

impl std::fmt::Debug for Evaluations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluations").finish_non_exhaustive()
    }
}

/// What to evaluate.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The commit.
    pub revision: Revision,
    /// The host's attribute.
    pub attribute: Attribute,
    /// The attributes of all hosts that want this commit.
    pub together: Vec<Attribute>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How the store names an attribute of a repository's flake.
pub fn stored_name(repository: &Repository, attribute: &Attribute) -> String {
    format!("{}#{attribute}", repository.config.flake_folder)
}

/// What is known already of an attribute in a commit.
pub async fn known(
    world: &World,
    repository: &Repository,
    revision: &Revision,
    attribute: &Attribute,
) -> Result<Option<Evaluated>, StoreError> {
    let name = stored_name(repository, attribute);
    let built = world.store.built(&repository.name, &name, revision).await?;
    // A record that cannot be read is as good as none: it is evaluated again.
    Ok(built.and_then(|built| {
        Some(Evaluated {
            derivation: built.derivation.parse().ok()?,
            toplevel: built.toplevel.parse().ok()?,
            system: built.system,
        })
    }))
}

/// Evaluates, together with the other hosts that want the same commit.
pub async fn evaluate(
    world: &Arc<World>,
    setup: &Setup,
    repository: &Arc<Repository>,
    wanted: Wanted,
) -> Result<Evaluated, Arc<EvaluateError>> {
    let attribute = wanted.attribute.clone();
    let shared = join_or_start(world, setup, repository, wanted);
    let results = shared.await;
    results.get(&attribute).cloned().unwrap_or_else(|| {
        Err(Arc::new(EvaluateError::AttributeMissing {
            attribute,
            nearest: None,
            available: Vec::new(),
        }))
    })
}

fn join_or_start(
    world: &Arc<World>,
    setup: &Setup,
    repository: &Arc<Repository>,
    wanted: Wanted,
) -> Shared<BoxFuture<'static, Results>> {
    let key = (repository.name.clone(), wanted.revision.clone());
    // Whole between any two statements, so a poisoned lock is still good.
    let mut running = world
        .evaluations
        .running
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    running.retain(|_, running| running.shared.upgrade().is_some());
    if let Some(found) = running
        .get(&key)
        .filter(|running| running.attributes.contains(&wanted.attribute))
        .and_then(|running| running.shared.upgrade())
    {
        return found;
    }
    let attributes = wanted.together.clone();
    let shared = run(
        Arc::clone(world),
        Arc::clone(repository),
        Arc::clone(&setup.evaluations),
        wanted,
    )
    .boxed()
    .shared();
    if let Some(weak) = shared.downgrade() {
        running.insert(
            key,
            Running {
                attributes,
                shared: weak,
            },
        );
    }
    shared
}

async fn run(
    world: Arc<World>,
    repository: Arc<Repository>,
    permits: Arc<tokio::sync::Semaphore>,
    wanted: Wanted,
) -> Results {
    // The semaphore is never closed.
    let _permit = permits.acquire().await;
    let began = Instant::now();
    let source = FlakeSource {
        mirror: repository.mirror.directory().to_owned(),
        folder: repository.config.flake_folder.clone(),
        revision: wanted.revision.to_string(),
    };
    let results = repository
        .nix
        .evaluate(&source, &wanted.together, wanted.timeout)
        .await;
    world.metrics.phase_took(Phase::Evaluate, began.elapsed());
    let misses_revision = |result: &Result<Evaluated, Arc<EvaluateError>>| matches!(result, Err(error) if matches!(**error, EvaluateError::RevisionMissing { .. }));
    if results.values().any(misses_revision) {
        // The mirror had it when it was wished for.
        repository.mirror.doubt();
    }
    let built: Vec<Built> = results
        .iter()
        .filter_map(|(attribute, result)| {
            let evaluated = result.as_ref().ok()?;
            Some(Built {
                repository: repository.name.clone(),
                attribute: stored_name(&repository, attribute),
                revision: wanted.revision.clone(),
                derivation: evaluated.derivation.to_string(),
                toplevel: evaluated.toplevel.to_string(),
                system: evaluated.system.clone(),
                built_at: None,
            })
        })
        .collect();
    if let Err(error) = world.store.record_built(&built).await {
        // They are only evaluated once more than needed.
        tracing::warn!(repository = %repository.name, error = &error as &dyn std::error::Error, "cannot remember evaluations");
    }
    Arc::new(results)
}
