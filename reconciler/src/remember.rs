//! What a pass found out and did, taken into memory, history, metrics and log.

use std::time::Duration;

use deploy::{Outcome, Toplevel};
use desired_state::{HistoryEntry, Revision, StoreError};

use crate::activation::clean_up;
use crate::attempt::{Ended, Work};
use crate::clock;
use crate::config::Availability;
use crate::decide::{Decision, Why, another_machine, drift};
use crate::desired::Desired;
use crate::memory::{Drift, Jitter, Memory};
use crate::pass::{Pass, Seen, Unseen};
use crate::status;

impl Pass {
    /// Writes down what the host said, or that it said nothing, and logs the change. What another
    /// machine says of itself is nothing that we know of this host.
    pub fn note_seen(&self, memory: &mut Memory, seen: &Result<Seen, Unseen>) {
        let host = &self.host;
        let seen = match seen {
            Ok(seen) => match another_machine(memory, &seen.observation) {
                Some(why) => Err(Unseen(why.to_string())),
                None => Ok(seen),
            },
            Err(unseen) => Err(unseen.clone()),
        };
        match seen {
            Ok(seen) => {
                if memory.unreachable.is_some() {
                    tracing::info!(%host, "the host answers again");
                }
                let had_failed = memory.reboot.is_some();
                memory.note_observation(&seen.observation, clock::now());
                if had_failed && memory.reboot.is_none() {
                    tracing::info!(%host, "the host has booted the wanted system after all");
                }
            }
            Err(Unseen(detail)) => {
                let was_away = memory.unreachable.is_some();
                let was_overdue = memory.overdue_since.is_some();
                memory.note_absence(&detail, self.config.overdue_after, clock::now());
                let since = memory.away_since.map(|since| since.to_string());
                match memory.overdue_since {
                    Some(_) if !was_overdue => {
                        tracing::warn!(%host, since, error = detail, "the host does not answer");
                    }
                    None if !was_away => {
                        tracing::info!(%host, since, error = detail, "the host is away");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Writes down whether the host differs from what is wanted, and says when it left it.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn note_drift(
        &self,
        desired: &Desired,
        memory: &mut Memory,
        seen: &Result<Seen, Unseen>,
    ) -> Result<(), StoreError> {
        let action = desired.target.action;
        let (Ok(seen), Some(wanted)) = (seen, memory.wanted.clone()) else {
            return Ok(());
        };
        if !action.changes_host() {
            return Ok(());
        }
        let now = clock::now();
        let drift = drift(action, &wanted, &seen.observation, memory);
        let was_in_sync = memory.drifted_since.is_none();
        memory.note_drift(drift, now);
        match drift {
            Drift::InSync => memory.converged_target = Some(desired.target.clone()),
            Drift::Drifted
                if was_in_sync && memory.converged_target.as_ref() == Some(&desired.target) =>
            {
                let shown = |toplevel: &Option<Toplevel>| {
                    let toplevel = toplevel.as_ref().map(ToString::to_string);
                    toplevel.unwrap_or_else(|| "nothing".into())
                };
                let running = shown(&seen.observation.running);
                let profile = shown(&seen.observation.profile);
                tracing::warn!(
                    host = %self.host,
                    running,
                    profile,
                    wanted = %wanted,
                    "the host drifted: something else than us changed it"
                );
                let mut entry = HistoryEntry::new(now, "drift");
                entry.host = Some(self.host.clone());
                entry.revision = Some(desired.target.revision.clone());
                entry.detail = format!("runs {running}, profile {profile}, wanted {wanted}");
                entry.toplevel = seen.observation.running.as_ref().map(ToString::to_string);
                self.world.store.append(&entry).await?;
            }
            Drift::Drifted => {}
        }
        Ok(())
    }

    /// Writes down why the host waits, where nothing else that is remembered says so, and says when
    /// that begins.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn note_wait(
        &self,
        memory: &mut Memory,
        decision: &Decision,
    ) -> Result<(), StoreError> {
        let (waits, until) = match decision {
            Decision::Wait {
                why: why @ (Why::Braked { .. } | Why::Untrusted { .. }),
            } => (Some(why.to_string()), None),
            Decision::Wait {
                why: why @ Why::WindowClosed { opens, .. },
            } => (Some(why.to_string()), *opens),
            _ => (None, None),
        };
        if let Some(why) = &waits
            && memory.waits != waits
        {
            let revision = memory.target.as_ref().map(|target| target.revision.clone());
            let short = revision.as_ref().map(Revision::short);
            tracing::info!(host = %self.host, revision = short, "the host waits: {why}");
            let mut entry = HistoryEntry::new(clock::now(), "wait");
            entry.host = Some(self.host.clone());
            entry.revision = revision;
            entry.detail.clone_from(why);
            self.world.store.append(&entry).await?;
        }
        memory.waits = waits;
        memory.waits_until = until;
        Ok(())
    }

    /// Takes an attempt's end into the memory.
    pub fn conclude(&self, memory: &mut Memory, ended: &mut Ended) {
        let now = clock::now();
        let action = ended.target.action;
        let was_never_there = memory.converged_target.as_ref() != Some(&ended.target);
        let jitter = Jitter::new(rand::random::<f64>() * 2.0 - 1.0);
        memory.conclude(&ended.outcome, &self.config.backoff, jitter, now);
        memory.note_activation(ended);
        if let Outcome::Unreachable { detail } = &ended.outcome {
            memory.note_absence(detail, self.config.overdue_after, now);
        }
        if ended.connection.is_some() {
            memory.leftovers.clone_from(&ended.id);
        }
        if let Some(observation) = &ended.read_back {
            memory.note_observation(observation, now);
            if let Some(toplevel) = &ended.toplevel
                && action.changes_host()
            {
                let drift = drift(action, toplevel, observation, memory);
                memory.note_drift(drift, now);
                if drift == Drift::InSync {
                    memory.converged_target = Some(ended.target.clone());
                }
            }
        }
        // Drift that is undone is no push that converges.
        ended.converged_anew = ended.outcome.is_in_sync() && was_never_there;
    }

    /// Writes down how an attempt ended and what is remembered from now on, both or neither: after
    /// a crash in between, a failure would be tried again without its backoff. Then says it, in the
    /// metrics and the log; `of_target` is what is remembered of the attempt's own target. This is
    /// the one place where a failure is logged.
    ///
    /// # Errors
    /// When the state cannot be read or written; then the attempt's end is found out again.
    pub async fn write_down(
        &self,
        memory: &Memory,
        of_target: &Memory,
        ended: &Ended,
    ) -> Result<(), StoreError> {
        let (store, host) = (&self.world.store, &self.host);
        let (entry, document) = (ended.history(host), status::document(memory));
        match &ended.id {
            Some(id) => store.end_deployment(id, &entry, &document).await?,
            None if ended.is_told() => {
                store.append_and_remember(&entry, host, &document).await?;
            }
            None => store.remember(host, &document).await?,
        }
        let metrics = &self.world.metrics;
        if ended.is_told() {
            match ended.work {
                Work::Deployment => {
                    metrics.deployment_ended(host, ended.target.action.name(), &ended.outcome);
                }
                Work::Reboot => metrics.reboot_ended(host, &ended.outcome),
            }
        }
        if ended.converged_anew
            && let Ok(took) = Duration::try_from(entry.at.duration_since(ended.wanted_since))
        {
            metrics.converged_after(took);
        }
        self.log(of_target, ended);
        self.show().await?;
        if let (Some(connection), Some(id)) = (&ended.connection, &ended.id) {
            clean_up(self, connection, id).await;
        }
        Ok(())
    }

    /// Removes from the host what the last activation left there, if we died or the connection
    /// broke before that was done.
    pub async fn sweep(&self, memory: &mut Memory, seen: &Result<Seen, Unseen>) {
        let (Ok(seen), Some(id)) = (seen, &memory.leftovers) else {
            return;
        };
        let mut traces = seen.observation.deployments.iter();
        if traces.any(|trace| trace.id == *id) {
            // Whether that worked is seen the next time.
            clean_up(self, &seen.connection, id).await;
        } else {
            memory.leftovers = None;
        }
    }

    fn log(&self, memory: &Memory, ended: &Ended) {
        let host = &self.host;
        let outcome = ended.outcome.label();
        let revision = ended.target.revision.short();
        let action = ended.target.action.name();
        let toplevel = ended.toplevel.as_ref().map(ToString::to_string);
        let deployment = ended.id.as_deref();
        let detail = ended.outcome.to_string();
        let next_attempt = memory.next_attempt.map(|at| at.to_string());
        let is_away = matches!(ended.outcome, Outcome::Unreachable { .. })
            && self.config.availability == Availability::Intermittent;
        if ended.outcome.is_success() || is_away {
            tracing::info!(%host, outcome, revision, action, toplevel, deployment, "{detail}");
        } else if ended.outcome.is_failure() {
            tracing::error!(%host, outcome, revision, action, toplevel, deployment, next_attempt, failures = memory.failures, "{detail}");
        } else {
            tracing::warn!(%host, outcome, revision, action, toplevel, deployment, next_attempt, "{detail}");
        }
    }

    /// Keeps the memory, and shows it in the metrics.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn remember(&self, memory: &Memory) -> Result<(), StoreError> {
        status::remember(&self.world.store, &self.host, memory).await?;
        self.show().await
    }

    async fn show(&self) -> Result<(), StoreError> {
        let status = status::of_host(&self.world.store, &self.host, &self.config).await?;
        // It may have left the fleet while we were busy with it.
        if self.world.setup().host(&self.host).is_some() {
            self.world.metrics.show_host(&status);
        }
        Ok(())
    }
}
