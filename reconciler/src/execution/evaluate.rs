//! What a commit evaluates to: one evaluation for all hosts that wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deploy::{Attribute, EvaluateError, Evaluated, Outcome, Transience};
use desired_state::{Built, Revision, StoreError};
use futures::FutureExt as _;
use planning::model::goal::Goal;
use planning::model::spec::Availability;
use tokio::time::Instant;

use crate::context::ports::EvaluationResults;
use crate::context::{Context, Repository};
use crate::error_chain::error_chain;
use crate::execution::reconciliation::Reconciliation;
use crate::telemetry::metrics::Phase;

/// How the state names an attribute of a repository's flake.
fn stored_name(repository: &Repository, attribute: &Attribute) -> String {
    format!("{}#{attribute}", repository.config.flake_folder)
}

/// How an evaluation's error ends an attempt.
pub fn failed(error: &EvaluateError, limit: Duration) -> Outcome {
    if error.is_timeout() {
        return timed_out("evaluate", limit);
    }
    Outcome::EvaluationFailed {
        detail: error_chain(error),
        transience: Transience::when_retrying_is(error.is_worth_retrying()),
    }
}

impl Reconciliation {
    /// What is known already of the host's system in a commit.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn evaluated(&self, revision: &Revision) -> Result<Option<Evaluated>, StoreError> {
        let name = stored_name(&self.repository, &self.config.follows.attribute);
        let repository = &self.repository.name;
        let built = self
            .context
            .store
            .built(repository, &name, revision)
            .await?;
        // A record that cannot be read is as good as none: it is evaluated again.
        Ok(built.and_then(|built| {
            Some(Evaluated {
                derivation: built.derivation.parse().ok()?,
                toplevel: built.toplevel.parse().ok()?,
                system: built.system,
            })
        }))
    }

    /// Evaluates the host's system, together with that of other hosts that want the same commit.
    pub async fn evaluate(
        &self,
        revision: &Revision,
        together: BTreeSet<Attribute>,
    ) -> Result<Evaluated, Arc<EvaluateError>> {
        let attribute = &self.config.follows.attribute;
        let start = |together: BTreeSet<Attribute>| {
            let evaluation = Evaluation {
                context: Arc::clone(&self.context),
                repository: Arc::clone(&self.repository),
                revision: revision.clone(),
                timeout: self.config.timeouts.evaluate,
            };
            let permits = Arc::clone(&self.clients.permits.evaluations);
            async move {
                // The semaphore is never closed.
                let _permit = permits.acquire().await;
                evaluation.run(together).await
            }
            .boxed()
        };
        let evaluations = &self.repository.evaluations;
        let shared = evaluations.join_or_start(revision, attribute, together, start);
        shared.await.get(attribute).cloned().unwrap_or_else(|| {
            Err(Arc::new(EvaluateError::AttributeMissing {
                attribute: attribute.clone(),
                nearest: None,
                available: Vec::new(),
            }))
        })
    }

    /// The attributes of all hosts that want the same commit, this host's among them; this host's alone where an
    /// evaluation runs that has it, for that one is joined.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn together(&self, goal: &Goal) -> Result<BTreeSet<Attribute>, StoreError> {
        let follows = &self.config.follows;
        let mut together = BTreeSet::from([follows.attribute.clone()]);
        let evaluations = &self.repository.evaluations;
        if evaluations.has(&goal.target.revision, &follows.attribute) {
            return Ok(together);
        }
        for wish in self.context.store.wishes().await? {
            let Some(config) = self.clients.host(&wish.host) else {
                continue;
            };
            if wish.revision.as_ref() == Some(&goal.target.revision)
                && config.follows.repository == follows.repository
                && config.reach.availability == Availability::Always
            {
                together.insert(config.follows.attribute.clone());
            }
        }
        Ok(together)
    }
}

/// One evaluation, driven by all who wait for it.
struct Evaluation {
    context: Arc<Context>,
    repository: Arc<Repository>,
    revision: Revision,
    timeout: Duration,
}

impl Evaluation {
    async fn run(self, together: BTreeSet<Attribute>) -> Arc<EvaluationResults> {
        let began = Instant::now();
        let repository = &self.repository;
        let results = match self.unfetched().await {
            Some(error) => {
                let error = Arc::new(error);
                let all = together.into_iter();
                all.map(|one| (one, Err(Arc::clone(&error)))).collect()
            }
            None => {
                let flake = repository.source.flake(&self.revision);
                let together = Vec::from_iter(together);
                repository
                    .nix
                    .evaluate(&flake, &together, self.timeout)
                    .await
            }
        };
        self.context
            .metrics
            .phase_took(Phase::Evaluate, began.elapsed());
        let misses_revision = |result: &Result<Evaluated, Arc<EvaluateError>>| matches!(result, Err(error) if matches!(**error, EvaluateError::RevisionMissing { .. }));
        if results.values().any(misses_revision) {
            // The mirror had it when it was wished for.
            repository.source.doubt();
        }
        self.keep(&results).await;
        Arc::new(results)
    }

    /// What the commit lacks. Nix would take a pointer or an empty folder for the real thing.
    async fn unfetched(&self) -> Option<EvaluateError> {
        match self.repository.source.unfetched(&self.revision).await {
            Ok(None) => None,
            Ok(Some(unfetched)) => Some(EvaluateError::Code {
                detail: unfetched.to_string(),
            }),
            Err(error) => Some(EvaluateError::RevisionMissing {
                revision: self.revision.to_string(),
                detail: error_chain(&error),
            }),
        }
    }

    async fn keep(&self, results: &EvaluationResults) {
        let repository = &self.repository;
        let built: Vec<Built> = results
            .iter()
            .filter_map(|(attribute, result)| {
                let evaluated = result.as_ref().ok()?;
                Some(Built {
                    repository: repository.name.clone(),
                    attribute: stored_name(repository, attribute),
                    revision: self.revision.clone(),
                    derivation: evaluated.derivation.to_string(),
                    toplevel: evaluated.toplevel.to_string(),
                    system: evaluated.system.clone(),
                    built_at: None,
                })
            })
            .collect();
        if let Err(error) = self.context.store.record_built(&built).await {
            // They are only evaluated once more than needed.
            tracing::warn!(repository = %repository.name, error = error_chain(&error), "cannot remember evaluations");
        }
    }
}

/// How a step that took longer than its limit ends an attempt.
pub fn timed_out(step: &str, limit: Duration) -> Outcome {
    Outcome::TimedOut {
        phase: format!("{step} (timeouts.{step} is {} s)", limit.as_secs()),
    }
}

#[cfg(test)]
mod tests;
