//! One reconciliation of one host: what is wanted, what is known, what to do, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use deploy::Outcome;
use desired_state::{HostName, StoreError};
use jiff::Timestamp;
use planning::desired::desired;
use planning::model::decision::{Decision, Why};
use planning::model::health_checks::names;
use planning::model::host_state::HostState;
use planning::model::reboot::RebootBlocked;
use planning::model::report::{Report, Step, What};

use crate::context::Context;
use crate::error_chain::error_chain;
use crate::execution::observe::Unseen;
use crate::execution::pursue::Pursued;
use crate::execution::reconciliation::Reconciliation;
use crate::execution::record::Findings;
use crate::execution::supersede::StillWanted;
use crate::state::host::Stored;

/// After the state could not be read or written.
const AFTER_STORE_ERROR: Duration = Duration::from_secs(10);

/// What one reconciliation tells, and when the host is to be looked at again.
type Done = (Report, Duration);

/// Reconciles `host`; returns when it is to be looked at again, or `None` if it left the fleet.
pub async fn reconcile(context: Arc<Context>, host: HostName) -> Option<Duration> {
    let one = Reconciliation::new(&context, &host, context.orders.take(&host))?;
    let (report, next) = one.run().await.unwrap_or_else(|error| {
        let detail = error_chain(&error);
        tracing::error!(%host, error = detail, "cannot use the state; the host is left as it is");
        let why = Why::StateUnusable { detail };
        (one.report(Decision::Wait { why }), AFTER_STORE_ERROR)
    });
    context.tell(&host, What::Done(Box::new(report)));
    Some(match context.orders.has(&host) {
        true => Duration::ZERO,
        false => next,
    })
}

impl Reconciliation {
    /// Load once, find out, decide, carry out, record once; then what follows where the host is at rest.
    async fn run(&self) -> Result<Done, StoreError> {
        // Before what is wanted is read: what changes from here on is read, or noticed.
        let mut wanted = StillWanted::from_now_on(self);
        let mut stored = Stored::load(&self.context, &self.host).await?;
        // Before the end of what is under way: what that finds out is by the settings as they are.
        if self.context.registries.forgiven.take(&self.host) {
            stored.remembered.state.forgive();
        }
        if let Some(waits) = self.finish_what_is_under_way(&mut stored).await? {
            return Ok(waits);
        }
        let (pin, wish) = (stored.pin.as_ref(), stored.wish.as_ref());
        let goal = match desired(&self.config, pin, wish, self.order.as_ref()) {
            Ok(goal) => goal,
            Err(why) => return self.only_observe(stored, why).await,
        };
        let pursued = self.pursue_with_fallback(&goal, &mut stored, &mut wanted);
        let Pursued {
            mut report,
            findings,
            meanwhile,
        } = pursued.await?;
        self.record(&mut stored, findings).await?;

        let starving = &self.context.registries.starving;
        starving.ended(&self.host, report.outcome.as_ref());
        report.branch_state = self.branch_state(&stored);
        if report.outcome == Some(Outcome::Superseded) {
            // What is wanted now is looked at first.
            return Ok((report, Duration::ZERO));
        }
        report.outcome = report.outcome.or(meanwhile);
        report.failed_units = self.failed_units(&report, &stored.remembered.state);
        self.reboot_when_due(&goal, &mut stored, &mut report, &mut wanted)
            .await?;
        self.collect_garbage_when_due(&goal, &mut stored, &report)
            .await?;
        let next = self.next_look(&report, &stored.remembered.state);
        Ok((report, next))
    }

    /// The units that are failed on a host that is up to date, and matter. How a deployment ended tells it of the others.
    fn failed_units(&self, report: &Report, state: &HostState) -> Vec<String> {
        if report.decision != Decision::UpToDate || report.outcome.is_some() {
            return Vec::new();
        }
        let ignored = &self.config.proof.ignored_units;
        let mut units = state.facts.failed_units.clone();
        units.retain(|unit| !names(ignored, unit));
        units
    }

    /// Sees through what an earlier reconciliation, or an earlier run of ours, began: a deployment, a reboot. Each has
    /// an end of its own on record before anything else is begun. Gives what is told while the host does not answer.
    async fn finish_what_is_under_way(
        &self,
        stored: &mut Stored,
    ) -> Result<Option<Done>, StoreError> {
        let in_flight = stored.in_flight.take();
        if let Some(deployment) = &in_flight {
            let revision = &deployment.revision;
            self.context
                .tell_step(&self.host, Step::Reattaching, Some(revision));
            let Some(attempt) = self.resume(deployment).await else {
                return self.wait_for_an_answer(stored).await.map(Some);
            };
            let state = &mut stored.remembered.state;
            state.aim(&attempt.goal.target);
            let ended = self.conclude(state, attempt);
            self.record(stored, ended.into()).await?;
        }
        let rebooted = self.see_reboot_through(stored).await?;
        if in_flight.is_some() || rebooted.is_some() {
            // That can have taken long.
            *stored = Stored::load(&self.context, &self.host).await?;
        }
        Ok(None)
    }

    /// A deployment is under way on a host that does not answer: it stays in flight.
    async fn wait_for_an_answer(&self, stored: &mut Stored) -> Result<Done, StoreError> {
        let unseen = Unseen::Away("does not answer during a deployment".into());
        self.note_seen(&mut stored.remembered.state, &Err(unseen));
        self.record(stored, Findings::default()).await?;
        let why = Why::Unreachable {
            detail: "a deployment is under way there, and the host does not answer".into(),
        };
        let report = self.report(Decision::Wait { why });
        Ok((report, self.config.reach.interval))
    }

    /// Nothing is wanted of the host. What it runs is worth knowing all the same.
    async fn only_observe(&self, mut stored: Stored, why: Why) -> Result<Done, StoreError> {
        let seen = self.observe().await;
        self.note_seen(&mut stored.remembered.state, &seen);
        self.record(&mut stored, Findings::default()).await?;
        let report = self.report(Decision::Wait { why });
        Ok((report, self.config.reach.interval))
    }

    /// How long until the host is looked at again: its interval, or less where an attempt is due or
    /// its window opens before. An attempt that is due but held up, by a suspension say, does not
    /// hurry us.
    fn next_look(&self, report: &Report, state: &HostState) -> Duration {
        let now = self.now();
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let mut interval = self.config.reach.interval;
        if let Some(opens) = self.openness(now).opens_in(now) {
            interval = interval.min(opens);
        }
        if let Some(RebootBlocked::WindowClosed {
            opens: Some(opens), ..
        }) = &state.reboot_blocked
        {
            interval = interval.min(until(*opens));
        }
        let backs_off = matches!(
            report.decision,
            Decision::Wait {
                why: Why::BackingOff { .. }
            }
        );
        match (&report.outcome, state.progress.next_attempt) {
            (outcome, Some(due)) if outcome.is_some() || backs_off => until(due).min(interval),
            _ => interval,
        }
    }
}

#[cfg(test)]
mod tests;
