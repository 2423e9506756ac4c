//! Writes down what a reconciliation found out and did: state, history, metrics, events, log, from what is in the hand.

use std::time::Duration;

use deploy::Outcome;
use desired_state::{Collection, HistoryEntry, HostName, Record, Revision, StoreError};
use jiff::Timestamp;
use planning::conclude::{Arrival, Terms, conclude};
use planning::model::attempt::{Attempt, Work};
use planning::model::history::HistoryKind;
use planning::model::host_state::HostState;
use planning::model::spec::Availability;
use planning::status::host_status;

use crate::execution::reconciliation::Reconciliation;
use crate::state::host::Stored;

/// What is to be written down beside the state.
#[derive(Debug, Default)]
pub struct Findings {
    /// What happened besides attempts.
    pub entries: Vec<HistoryEntry>,
    /// How an attempt ended.
    pub ended: Option<Ended>,
    /// How a collection of the host's garbage ended.
    pub collection: Option<Collection>,
}

/// An attempt that ended, and what was concluded from it.
#[derive(Debug)]
pub struct Ended {
    /// The attempt.
    pub attempt: Attempt,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it brought the host to where a push wants it, for the first time.
    pub arrival: Arrival,
    /// How many attempts have failed in a row.
    failures: u32,
    /// When the next may follow.
    next_attempt: Option<Timestamp>,
}

impl From<Ended> for Findings {
    fn from(ended: Ended) -> Self {
        Self {
            ended: Some(ended),
            ..Self::default()
        }
    }
}

impl Reconciliation {
    /// Takes an attempt's end into the state. It is not written down yet.
    pub fn conclude(&self, state: &mut HostState, attempt: Attempt) -> Ended {
        let now = self.now();
        let terms = Terms {
            specialised: self.specialised(&attempt.goal),
            backoff: &self.config.backoff,
            jitter: self.context.clock.jitter(),
            overdue_after: self.config.reach.overdue_after,
            now,
        };
        let arrival = conclude(state, &attempt, &terms);
        Ended {
            attempt,
            at: now,
            arrival,
            failures: state.progress.failures,
            next_attempt: state.progress.next_attempt,
        }
    }

    /// Writes everything down, or nothing: after a crash in between, a failure would be tried again without its
    /// backoff. Then tells it, in the metrics and the log, and removes what an activation left on its host. This is
    /// the one place where a failure is logged.
    ///
    /// # Errors
    /// When the state cannot be written; then an attempt's end is found out again.
    pub async fn record(&self, stored: &mut Stored, findings: Findings) -> Result<(), StoreError> {
        let Findings {
            entries,
            ended,
            collection,
        } = findings;
        let mut record = Record::new(self.host.clone());
        record.history.clone_from(&entries);
        if let Some(ended) = &ended {
            record.ended.clone_from(&ended.attempt.id);
            if ended.attempt.is_told() {
                record
                    .history
                    .push(ended.attempt.entry(&self.host, ended.at));
            }
        }
        record.collection.clone_from(&collection);
        self.write(stored, record).await?;
        for entry in &entries {
            tell_wait(&self.host, entry);
        }
        if let Some(collection) = collection {
            let metrics = &self.context.metrics;
            metrics.collection_ended(self.host.as_ref(), &collection);
            stored.last_collection = Some(collection);
        }
        if let Some(ended) = &ended {
            self.count(ended);
            self.log(ended);
        }
        self.show(stored);
        if let Some(attempt) = ended.map(|ended| ended.attempt)
            && let (Some(id), Some(_)) = (&attempt.id, &attempt.read_back)
        {
            self.clean_up_after(id).await;
        }
        Ok(())
    }

    /// Writes a record, or only notes that a quiet host was seen again.
    async fn write(&self, stored: &mut Stored, mut record: Record) -> Result<(), StoreError> {
        let last_seen = &self.context.registries.last_seen;
        let (now, before) = (&stored.remembered, &stored.on_disk);
        let is_quiet = record.is_empty()
            && now.unread == before.unread
            && now.state.is_only_seen_later_than(&before.state);
        if is_quiet {
            last_seen.note(&self.host, now.clone());
            return Ok(());
        }
        record.document = Some(now.document());
        let _shared = last_seen.writing.read().await;
        self.context.store.record(&record).await?;
        last_seen.forget(&self.host);
        stored.on_disk = stored.remembered.clone();
        Ok(())
    }

    /// Shows the host as it is now, unless it left the fleet while we were busy with it.
    fn show(&self, stored: &Stored) {
        if self.context.clients().host(&self.host).is_some() {
            let known = stored.known(&self.host, &self.config);
            self.context.metrics.show_host(&host_status(&known));
        }
    }

    fn count(&self, ended: &Ended) {
        let (metrics, host) = (&self.context.metrics, &self.host);
        let attempt = &ended.attempt;
        if attempt.is_told() {
            match attempt.work {
                Work::Deployment => {
                    let action = attempt.goal.target.action.name();
                    metrics.deployment_ended(host, action, &attempt.outcome);
                }
                Work::Reboot => metrics.reboot_ended(host, &attempt.outcome),
            }
        }
        if ended.arrival == Arrival::First
            && let Ok(took) = Duration::try_from(ended.at.duration_since(attempt.goal.since))
        {
            metrics.converged_after(took);
        }
    }

    fn log(&self, ended: &Ended) {
        let (host, attempt) = (&self.host, &ended.attempt);
        let outcome = attempt.outcome.label();
        let revision = attempt.goal.target.revision.short();
        let action = attempt.goal.target.action.name();
        let toplevel = attempt.toplevel.as_ref().map(ToString::to_string);
        let deployment = attempt.id.as_deref();
        let detail = attempt.outcome.to_string();
        let next_attempt = ended.next_attempt.map(|at| at.to_string());
        let is_away = matches!(attempt.outcome, Outcome::Unreachable { .. })
            && self.config.reach.availability == Availability::Intermittent;
        if attempt.outcome.is_success() || is_away {
            tracing::info!(%host, outcome, revision, action, toplevel, deployment, "{detail}");
        } else if attempt.outcome.is_failure() {
            let failures = ended.failures;
            tracing::error!(%host, outcome, revision, action, toplevel, deployment, next_attempt, failures, "{detail}");
        } else {
            tracing::warn!(%host, outcome, revision, action, toplevel, deployment, next_attempt, "{detail}");
        }
    }

    async fn clean_up_after(&self, id: &str) {
        let Ok(id) = id.parse() else {
            return;
        };
        self.clean_up(&self.way(), &id).await;
    }
}

/// Says that a host waits from now on.
fn tell_wait(host: &HostName, entry: &HistoryEntry) {
    if HistoryKind::of(entry) == Some(HistoryKind::Wait) {
        let revision = entry.revision.as_ref().map(Revision::short);
        tracing::info!(%host, revision, "the host waits: {}", entry.detail);
    }
}

#[cfg(test)]
mod tests;
