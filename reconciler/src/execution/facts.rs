//! What is found out before it is decided: what the host runs, and what its commit evaluates to.

use std::sync::Arc;

use deploy::{EvaluateError, Evaluated};
use desired_state::StoreError;
use planning::decide::may_evaluate;
use planning::model::goal::Goal;
use planning::model::host_state::Progress;
use planning::model::report::Step;
use planning::model::spec::Availability;
use tokio::sync::OwnedRwLockReadGuard;

use crate::context::ports::Seen;
use crate::execution::observe::Unseen;
use crate::execution::reconciliation::Reconciliation;

/// What was found out.
#[derive(Debug)]
pub struct Facts {
    /// What the host said.
    pub seen: Result<Seen, Unseen>,
    /// What the commit evaluates to.
    pub evaluation: Evaluation,
}

/// What a commit evaluates to.
#[derive(Debug)]
pub enum Evaluation {
    /// It may not be evaluated now.
    NotNow,
    /// To this system.
    Done {
        /// The system.
        evaluated: Evaluated,
        /// What keeps it from being collected until it is built, where it was evaluated just now.
        in_use: InUse,
    },
    /// It failed to.
    Failed(Arc<EvaluateError>),
}

/// Keeps what has no GC root yet from being collected.
pub type InUse = Option<OwnedRwLockReadGuard<()>>;

impl Reconciliation {
    /// Observes the host and evaluates the commit, side by side where that saves time.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn facts(&self, goal: &Goal, progress: &Progress) -> Result<Facts, StoreError> {
        // Nothing of a commit that is not trusted is run, not even its evaluation.
        let distrust = self.repository.source.verify(&goal.target.revision).await;
        let is_trusted = distrust.is_none();
        let evaluation = async {
            match is_trusted {
                true => self.evaluation(goal, progress).await,
                false => Ok(Evaluation::NotNow),
            }
        };
        // No evaluation for a host that is off, unless a person asks.
        let (seen, evaluation) = if self.config.reach.availability == Availability::Intermittent
            && self.order.is_none()
            && goal.target.action.touches_host()
        {
            let seen = self.observe().await;
            let evaluation = match seen {
                Ok(_) => evaluation.await,
                Err(_) => Ok(Evaluation::NotNow),
            };
            (seen, evaluation)
        } else {
            tokio::join!(biased; self.observe(), evaluation)
        };
        Ok(Facts {
            seen,
            evaluation: evaluation?,
        })
    }

    async fn evaluation(&self, goal: &Goal, progress: &Progress) -> Result<Evaluation, StoreError> {
        let revision = &goal.target.revision;
        if let Some(evaluated) = self.evaluated(revision).await? {
            return Ok(Evaluation::Done {
                evaluated,
                in_use: None,
            });
        }
        if !may_evaluate(progress, self.trigger(progress), self.now()) {
            return Ok(Evaluation::NotNow);
        }
        let nix_store = Arc::clone(&self.context.registries.nix_store);
        let in_use = Some(nix_store.read_owned().await);
        self.context
            .tell_step(&self.host, Step::Evaluating, Some(revision));
        let together = self.together(goal).await?;
        Ok(match self.evaluate(revision, together).await {
            Ok(evaluated) => Evaluation::Done { evaluated, in_use },
            Err(error) => Evaluation::Failed(error),
        })
    }
}

#[cfg(test)]
mod tests;
