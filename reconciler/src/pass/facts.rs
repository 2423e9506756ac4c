//! What a pass finds out before it decides: what the host runs, and what its commit evaluates to.

use std::sync::Arc;
use std::time::Duration;

use deploy::{Connection, EvaluateError, Evaluated, Observation};
use desired_state::StoreError;
use tokio::sync::OwnedRwLockReadGuard;
use tokio::time::Instant;

use super::Pass;
use crate::api::Step;
use crate::clock;
use crate::config::Availability;
use crate::decide::may_evaluate;
use crate::desired::Desired;
use crate::evaluations;
use crate::memory::Memory;
use crate::metrics::Phase;
use crate::repository::words;
use crate::supersede::unless_superseded;

/// What was observed longer ago than this is asked again before it is acted on: the truth is on
/// the host, read just now.
const OBSERVATION_IS_FRESH: Duration = Duration::from_secs(20);

/// What a host said about itself, over which connection, and when.
#[derive(Debug)]
pub struct Seen {
    /// What it said.
    pub observation: Observation,
    /// The connection, still warm.
    pub connection: Connection,
    /// When it was asked.
    at: Instant,
}

impl Seen {
    /// Whether it is recent enough to act on.
    pub fn is_fresh(&self) -> bool {
        self.at.elapsed() < OBSERVATION_IS_FRESH
    }
}

/// What was evaluated, and what keeps it from being collected until it is built.
pub type Evaluation = (
    Result<Evaluated, Arc<EvaluateError>>,
    Option<OwnedRwLockReadGuard<()>>,
);

/// Something newer is wanted.
#[derive(Debug)]
pub struct Superseded;

/// Why a host could not be looked at, in words.
#[derive(Debug, Clone)]
pub struct Unseen(pub String);

impl Pass {
    /// Observes the host and evaluates the commit, side by side where that saves time.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn facts(
        &self,
        desired: &Desired,
        memory: &Memory,
    ) -> Result<Result<(Result<Seen, Unseen>, Option<Evaluation>), Superseded>, StoreError> {
        let revision = &desired.target.revision;
        let attribute = &self.config.attribute;
        // Nothing of a commit that is not trusted is run, not even its evaluation.
        let is_distrusted = self.repository.distrust(revision).await.is_some();
        let known = evaluations::known(&self.world, &self.repository, revision, attribute).await?;
        let wanted = async {
            if is_distrusted {
                return Ok(None);
            }
            if let Some(known) = known {
                return Ok(Some((Ok(known), None)));
            }
            if !may_evaluate(memory, self.insistence(memory), clock::now()) {
                return Ok(None);
            }
            let in_use = Arc::clone(&self.world.nix_store).read_owned().await;
            self.world
                .tell_step(&self.host, Step::Evaluating, Some(revision));
            let wanted = evaluations::Wanted {
                revision: revision.clone(),
                attribute: attribute.clone(),
                together: self.together(desired).await?,
                timeout: self.config.timeouts.evaluate,
            };
            let evaluated =
                evaluations::evaluate(&self.world, &self.setup, &self.repository, wanted).await;
            Ok(Some((evaluated, Some(in_use))))
        };
        let touches_host = desired.target.action.touches_host();
        let facts = async {
            // No evaluation for a host that is off, unless a person asks.
            if self.config.availability == Availability::Intermittent
                && self.order.is_none()
                && touches_host
            {
                let seen = self.observe().await;
                let evaluated = if seen.is_ok() { wanted.await? } else { None };
                return Ok((seen, evaluated));
            }
            let (seen, evaluated) = tokio::join!(self.observe(), wanted);
            Ok::<_, StoreError>((seen, evaluated?))
        };
        Ok(match unless_superseded(self, desired, facts).await? {
            Some(facts) => Ok(facts?),
            None => Err(Superseded),
        })
    }

    /// The attributes of all hosts that want the same commit, this host's among them.
    async fn together(&self, desired: &Desired) -> Result<Vec<deploy::Attribute>, StoreError> {
        let mut together = vec![self.config.attribute.clone()];
        for wish in self.world.store.wishes().await? {
            let Some(config) = self.setup.host(&wish.host) else {
                continue;
            };
            if wish.revision.as_ref() == Some(&desired.target.revision)
                && config.repository == self.config.repository
                && config.availability == Availability::Always
                && !together.contains(&config.attribute)
            {
                together.push(config.attribute.clone());
            }
        }
        Ok(together)
    }

    /// Asks the host what it runs.
    pub async fn observe(&self) -> Result<Seen, Unseen> {
        self.world.tell_step(&self.host, Step::Observing, None);
        let timeouts = &self.config.timeouts;
        let began = Instant::now();
        let connection = self
            .setup
            .connections
            .reach(&self.config.destinations, timeouts.connect)
            .await
            .map_err(|error| Unseen(words(&error)))?;
        let observation = deploy::observe(&connection, timeouts.observe)
            .await
            .map_err(|error| Unseen(words(&error)))?;
        self.world
            .metrics
            .phase_took(Phase::Observe, began.elapsed());
        Ok(Seen {
            observation,
            connection,
            at: began,
        })
    }
}
