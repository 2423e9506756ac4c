//! Brings a system to its host: build and copy.

use std::collections::BTreeSet;
use std::sync::Arc;

use deploy::{
    Action, BuildError, BuildOn, BuildRequest, CopyError, Evaluated, Outcome, Toplevel, Transience,
};
use planning::model::goal::Goal;
use planning::model::host_state::HostState;
use planning::model::report::Step;
use tokio::time::Instant;

use crate::context::ports::{Seen, Way};
use crate::error_chain::error_chain;
use crate::execution::evaluate::{failed, timed_out};
use crate::execution::facts::InUse;
use crate::execution::reconciliation::Reconciliation;
use crate::telemetry::metrics::Phase;

/// What is to be brought to a host, by what was found out before.
#[derive(Debug)]
pub struct Delivery {
    /// What its commit evaluates to.
    pub evaluated: Evaluated,
    /// Has kept that from being collected until now.
    pub in_use: InUse,
    /// What the host said.
    pub seen: Option<Seen>,
}

/// A system that lies on its host, and what the host said about itself just before.
#[derive(Debug)]
pub struct Ready {
    /// The system.
    pub toplevel: Toplevel,
    /// What the host said, and the route to it.
    pub seen: Seen,
}

impl Reconciliation {
    /// Builds and copies to the host, the machine that `state` knows.
    ///
    /// # Errors
    /// How it ended before the host was changed; also where nothing is to be changed.
    pub async fn build_and_copy(
        &self,
        goal: &Goal,
        state: &HostState,
        delivery: Delivery,
    ) -> Result<Ready, Outcome> {
        let nix_store = &self.context.registries.nix_store;
        // Until it is on the host: a collection in between would take what was built.
        let _in_use = match delivery.in_use {
            Some(in_use) => in_use,
            None => Arc::clone(nix_store).read_owned().await,
        };
        // Who builds on the host has to reach it first, and one that is off says nothing about the build.
        let seen = match delivery.seen {
            None if self.config.nix.build_on == BuildOn::Target => {
                Some(self.observe_again(state).await?)
            }
            seen => seen,
        };
        let toplevel = self.build(goal, &delivery.evaluated, seen.as_ref()).await?;
        if !goal.target.action.touches_host() {
            return Err(Outcome::Built);
        }
        // A build can take hours.
        let seen = match seen {
            Some(seen) if seen.is_fresh() => seen,
            _ => self.observe_again(state).await?,
        };
        self.check_platform(&toplevel, &seen).await?;
        self.check_switchable(goal, &toplevel).await?;
        self.copy(goal, &toplevel, &seen).await?;
        Ok(Ready { toplevel, seen })
    }

    async fn build(
        &self,
        goal: &Goal,
        evaluated: &Evaluated,
        seen: Option<&Seen>,
    ) -> Result<Toplevel, Outcome> {
        // What builds on the host itself costs nothing here. The semaphores are never closed.
        let (_permit, way) = match self.config.nix.build_on {
            BuildOn::Target => (None, seen.map(|seen| self.way().by(&seen.route))),
            BuildOn::Here | BuildOn::Builder(_) => {
                (Some(self.clients.permits.builds.acquire().await), None)
            }
        };
        let revision = &goal.target.revision;
        self.context
            .tell_step(&self.host, Step::Building, Some(revision));
        let began = Instant::now();
        let mut built = self.build_once(goal, evaluated, way.as_ref()).await;
        // A garbage collection can have taken what was evaluated before.
        if built.as_ref().is_err_and(BuildError::needs_evaluation) {
            let alone = BTreeSet::from([self.config.follows.attribute.clone()]);
            let again = self.evaluate(revision, alone).await;
            let again = again.map_err(|error| failed(&error, self.config.timeouts.evaluate))?;
            built = self.build_once(goal, &again, way.as_ref()).await;
        }
        self.context
            .metrics
            .phase_took(Phase::Build, began.elapsed());
        built.map_err(|error| match error.is_timeout() {
            true => timed_out("build", self.config.timeouts.build),
            false => Outcome::BuildFailed {
                detail: error_chain(&error),
                transience: Transience::when_retrying_is(error.is_worth_retrying()),
            },
        })
    }

    async fn build_once(
        &self,
        goal: &Goal,
        evaluated: &Evaluated,
        way: Option<&Way>,
    ) -> Result<Toplevel, BuildError> {
        let request = BuildRequest {
            host: self.host.to_string(),
            revision: goal.target.revision.to_string(),
            evaluated: evaluated.clone(),
            on: self.config.nix.build_on.clone(),
            timeout: self.config.timeouts.build,
        };
        self.repository.nix.build(&request, way).await
    }

    /// Refuses a system for another platform before it is copied, where it was built here. The supervisor
    /// looks again, at those that were built on their host too.
    async fn check_platform(&self, toplevel: &Toplevel, seen: &Seen) -> Result<(), Outcome> {
        let Some(platform) = self.repository.nix.platform_of(toplevel).await else {
            return Ok(());
        };
        match seen.observation.is_foreign(&platform) {
            None => Ok(()),
            Some(host) => Err(Outcome::WrongPlatform {
                host: host.to_owned(),
                system: platform,
            }),
        }
    }

    /// Refuses a system that nothing can switch to before it is copied, where it was built here. The supervisor looks
    /// again, as with platforms.
    async fn check_switchable(&self, goal: &Goal, toplevel: &Toplevel) -> Result<(), Outcome> {
        let specialised = match goal.target.action {
            Action::Switch | Action::Test | Action::DryActivate => self.specialised(goal),
            Action::Boot | Action::Build => None,
        };
        let nix = &self.repository.nix;
        match nix.unswitchable(toplevel, specialised).await {
            None => Ok(()),
            Some(why) => Err(Outcome::unswitchable(&why)),
        }
    }

    async fn copy(&self, goal: &Goal, toplevel: &Toplevel, seen: &Seen) -> Result<(), Outcome> {
        if self.config.nix.build_on == BuildOn::Target {
            return Ok(());
        }
        let _permit = self.clients.permits.copies.acquire().await;
        self.context
            .tell_step(&self.host, Step::Copying, Some(&goal.target.revision));
        let began = Instant::now();
        let (way, timeout) = (self.way().by(&seen.route), self.config.timeouts.copy);
        let nix = &self.repository.nix;
        let copied = nix
            .copy(toplevel, &way, self.config.nix.min_free, timeout)
            .await;
        self.context
            .metrics
            .phase_took(Phase::Copy, began.elapsed());
        copied.map_err(|error| match error {
            CopyError::NoSpace {
                needed,
                free,
                reserve,
            } => Outcome::NoSpace {
                place: "/nix/store".to_owned(),
                needed,
                free,
                reserve,
            },
            error if error.is_timeout() => timed_out("copy", timeout),
            error => Outcome::CopyFailed {
                detail: error_chain(&error),
                transience: Transience::when_retrying_is(error.is_worth_retrying()),
            },
        })
    }
}

#[cfg(test)]
mod tests;
