//! Asks a host what it runs, and takes the answer in.

use deploy::{DeploymentId, Outcome};
use planning::decide::another_machine;
use planning::model::host_state::HostState;
use planning::model::report::Step;

use crate::context::ports::{HostError, Login, Seen, Way};
use crate::error_chain::error_chain;
use crate::execution::reconciliation::Reconciliation;
use crate::telemetry::metrics::Phase;

/// Why a host could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// It does not answer, in words.
    Away(String),
    /// It was reached, and does not let us in.
    Refused(String),
}

impl Unseen {
    /// In words.
    pub fn detail(&self) -> &str {
        match self {
            Self::Away(detail) | Self::Refused(detail) => detail,
        }
    }

    /// How it ends an attempt.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Away(detail) => Outcome::Unreachable { detail },
            Self::Refused(detail) => Outcome::AccessRefused { detail },
        }
    }
}

impl From<HostError> for Unseen {
    fn from(error: HostError) -> Self {
        let detail = error_chain(&error);
        match error.is_access_refused() {
            true => Self::Refused(detail),
            false => Self::Away(detail),
        }
    }
}

impl Reconciliation {
    /// Asks the host what it runs.
    pub async fn observe(&self) -> Result<Seen, Unseen> {
        self.context.tell_step(&self.host, Step::Observing, None);
        let seen = self.clients.hosts.observe(&self.way(), Login::Warm).await?;
        self.context
            .metrics
            .phase_took(Phase::Observe, seen.at.elapsed());
        Ok(seen)
    }

    /// Asks the host anew, and whether it still is the machine that was met under its name.
    pub async fn observe_again(&self, state: &HostState) -> Result<Seen, Outcome> {
        let seen = self.observe().await.map_err(Unseen::outcome)?;
        match state.other_machine(self.config.reach.identity, &seen.observation) {
            None => Ok(seen),
            // The next look says which.
            Some(_) => Err(Outcome::ObservedChanged {
                running: "another machine answers under its name".into(),
            }),
        }
    }

    /// Takes in what the host said, or that it said nothing, and logs the change. What another
    /// machine says of itself is nothing that we know of this host.
    pub fn note_seen(&self, state: &mut HostState, seen: &Result<Seen, Unseen>) {
        let (host, now) = (&self.host, self.now());
        let answer = match seen {
            Ok(seen) => match another_machine(state, self.config.reach.identity, &seen.observation)
            {
                Some(why) => Err(why.to_string()),
                None => Ok(&seen.observation),
            },
            Err(unseen) => Err(unseen.detail().to_owned()),
        };
        match answer {
            Ok(observation) => {
                if state.presence.unreachable.is_some() {
                    tracing::info!(%host, "the host answers again");
                }
                let had_failed = state.reboot.is_some();
                state.note_observation(observation, now);
                if had_failed && state.reboot.is_none() {
                    tracing::info!(%host, "the host has booted the wanted system after all");
                }
            }
            Err(detail) => {
                let was = state.presence.clone();
                state.note_absence(&detail, self.config.reach.overdue_after, now);
                let is = &state.presence;
                let since = is.away_since.map(|since| since.to_string());
                match is.overdue_since {
                    Some(_) if was.overdue_since.is_none() => {
                        tracing::warn!(%host, since, error = detail, "the host does not answer");
                    }
                    None if was.unreachable.is_none() => {
                        tracing::info!(%host, since, error = detail, "the host is away");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Removes from the host what the last activation left there, if we died or the connection
    /// broke before that was done.
    pub async fn sweep(&self, state: &mut HostState, seen: &Seen) {
        let Some(id) = &state.traces.leftovers else {
            return;
        };
        let mut traces = seen.observation.deployments.iter();
        match id.parse() {
            // Whether that worked is seen the next time.
            Ok(parsed) if traces.any(|one| one.id == *id) => {
                self.clean_up(&self.way().by(&seen.route), &parsed).await;
            }
            _ => state.traces.leftovers = None,
        }
    }

    /// Removes what an ended activation left on its host. Only after its end was written down: a crash
    /// in between would leave nobody who knows how it ended.
    pub async fn clean_up(&self, way: &Way, id: &DeploymentId) {
        if let Err(error) = self.clients.hosts.clean_up(way, id).await {
            tracing::debug!(host = %self.host, deployment = %id, error = error_chain(&error), "cannot clean up on the host");
        }
    }
}

#[cfg(test)]
mod tests;
