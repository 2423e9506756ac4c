//! Brings a host towards a goal: finds out, decides, and carries out.

use deploy::{Outcome, Toplevel};
use desired_state::{HistoryEntry, StoreError};
use planning::conclude::{note_drift, note_wait};
use planning::decide::{Situation, decide};
use planning::fallback::fallback;
use planning::model::attempt::Attempt;
use planning::model::decision::Decision;
use planning::model::goal::Goal;
use planning::model::host_state::HostState;
use planning::model::report::Report;

use crate::context::ports::Seen;
use crate::execution::build_and_copy::Delivery;
use crate::execution::evaluate::failed;
use crate::execution::facts::{Evaluation, Facts};
use crate::execution::reconciliation::Reconciliation;
use crate::execution::record::{Ended, Findings};
use crate::execution::supersede::StillWanted;
use crate::state::host::Stored;

/// What came of pursuing a goal. It is not written down yet.
#[derive(Debug)]
pub struct Pursued {
    /// What is told.
    pub report: Report,
    /// What is to be written down.
    pub findings: Findings,
    /// How an attempt ended that was made between a person's asking and their order's turn.
    pub meanwhile: Option<Outcome>,
}

impl Reconciliation {
    /// Pursues `goal`, and, while that is in quarantine, the system that the host falls back to.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn pursue_with_fallback(
        &self,
        goal: &Goal,
        stored: &mut Stored,
        wanted: &mut StillWanted<'_>,
    ) -> Result<Pursued, StoreError> {
        // What is done once leaves no trace in what is remembered of the goal that the loop keeps the host at.
        let is_aside = !goal.kind.is_persistent();
        let aside = is_aside.then(|| stored.remembered.state.set_aside());
        stored.remembered.state.aim(&goal.target);
        let mut pursued = self.pursue(goal, stored, wanted).await?;
        let mut waits = pursued.report.decision.clone();
        let state = &mut stored.remembered.state;
        if let Some(fallback) = fallback(goal, &waits, state, self.now()) {
            // What came of the wanted commit has an end of its own on record before that of the other.
            let known = std::mem::take(&mut pursued.findings);
            self.record(stored, known).await?;
            let state = &mut stored.remembered.state;
            let aside = state.set_aside();
            state.aim(&fallback.target);
            let there = self.pursue(&fallback, stored, wanted).await?;
            stored.remembered.state.take_back(aside);
            pursued.findings = there.findings;
            // What is told is why the wanted system is not there; what is noted, why the host is not on the other.
            if matches!(there.report.decision, Decision::Wait { .. }) {
                waits = there.report.decision;
            }
        }
        let state = &mut stored.remembered.state;
        let begins = note_wait(state, &waits, &self.host, self.now());
        pursued.findings.entries.extend(begins);
        pursued.meanwhile = self.meanwhile(&state.progress);
        if let Some(aside) = aside {
            state.take_back(aside);
        }
        Ok(pursued)
    }

    async fn pursue(
        &self,
        goal: &Goal,
        stored: &mut Stored,
        wanted: &mut StillWanted<'_>,
    ) -> Result<Pursued, StoreError> {
        if self.trigger(&stored.remembered.state.progress).is_forced() {
            force(goal, stored);
        }
        let facts = self.facts(goal, &stored.remembered.state.progress);
        let Ok(facts) = wanted.during(goal, facts).await? else {
            return Ok(Pursued::of(self.superseded(goal)));
        };
        let mut facts = facts?;
        if let Evaluation::Done { evaluated, .. } = &facts.evaluation {
            stored.remembered.state.progress.wanted = Some(evaluated.toplevel.clone());
        }
        // An evaluation can take minutes.
        if !matches!(facts.evaluation, Evaluation::Failed(_))
            && facts.seen.as_ref().is_ok_and(|seen| !seen.is_fresh())
        {
            facts.seen = self.observe().await;
        }
        let entries = self
            .take_in(goal, &mut stored.remembered.state, &facts)
            .await;
        let ended = match &facts.evaluation {
            Evaluation::Failed(error) => {
                let outcome = failed(error, self.config.timeouts.evaluate);
                let attempt = Attempt::of_goal(goal, None, self.now(), outcome);
                Some(self.conclude(&mut stored.remembered.state, attempt))
            }
            Evaluation::NotNow | Evaluation::Done { .. } => None,
        };
        let decision = self.decide(goal, stored, &facts).await?;
        let mut pursued = Pursued::of(Report {
            revision: Some(goal.target.revision.clone()),
            ..self.report(decision.clone())
        });
        pursued.findings.entries = entries;
        if let Some(ended) = ended {
            return Ok(pursued.with(ended));
        }
        if let (Decision::Deploy { .. }, Evaluation::Done { evaluated, in_use }) =
            (decision, facts.evaluation)
        {
            if goal.kind.is_persistent() {
                // A build can take hours: what is known by now is to be seen meanwhile.
                let known = std::mem::take(&mut pursued.findings);
                self.record(stored, known).await?;
            }
            let delivery = Delivery {
                evaluated,
                in_use,
                seen: facts.seen.ok(),
            };
            let state = &stored.remembered.state;
            let attempt = self.deploy(goal, state, delivery, wanted).await?;
            if attempt.outcome == Outcome::Superseded {
                pursued.report = self.overtaken(goal);
                return Ok(pursued);
            }
            let ended = self.conclude(&mut stored.remembered.state, attempt);
            return Ok(pursued.with(ended));
        }
        Ok(pursued)
    }

    /// Takes in what was found out about the host; gives what happened there by that.
    async fn take_in(
        &self,
        goal: &Goal,
        state: &mut HostState,
        facts: &Facts,
    ) -> Vec<HistoryEntry> {
        let other = facts.seen.as_ref().ok();
        let by = self.config.reach.identity;
        let is_other =
            other.is_some_and(|seen| state.other_machine(by, &seen.observation).is_some());
        self.note_seen(state, &facts.seen);
        let Some(seen) = other.filter(|_| !is_other) else {
            return Vec::new();
        };
        if matches!(facts.evaluation, Evaluation::Failed(_)) {
            return Vec::new();
        }
        self.sweep(state, seen).await;
        let (specialised, now) = (self.specialised(goal), self.now());
        let drifted = note_drift(state, goal, specialised, &self.host, &seen.observation, now);
        if drifted.is_some() {
            self.tell_drift(state, seen);
        }
        drifted.into_iter().collect()
    }

    fn tell_drift(&self, state: &HostState, seen: &Seen) {
        let shown = |toplevel: &Option<Toplevel>| {
            let toplevel = toplevel.as_ref().map(ToString::to_string);
            toplevel.unwrap_or_else(|| "nothing".into())
        };
        let running = shown(&seen.observation.running);
        let profile = shown(&seen.observation.profile);
        let wanted = shown(&state.progress.wanted);
        let times = state.convergence.set_back.len();
        tracing::warn!(host = %self.host, running, profile, wanted, times, "the host drifted: something else than us changed it");
    }

    /// Decides on what is known. What the fleet did with the commit is looked up only where it matters.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn decide(
        &self,
        goal: &Goal,
        stored: &Stored,
        facts: &Facts,
    ) -> Result<Decision, StoreError> {
        let state = &stored.remembered.state;
        // Once more: an evaluation takes minutes, and who may sign can have changed since.
        let distrust = self.repository.source.verify(&goal.target.revision).await;
        let now = self.now();
        let openness = self.openness(now);
        let mut situation = Situation {
            action: goal.target.action,
            specialised: self.specialised(goal),
            revision: &goal.target.revision,
            distrust: distrust.as_ref(),
            wanted: state.progress.wanted.as_ref(),
            observed: match &facts.seen {
                Ok(seen) => Ok(&seen.observation),
                Err(unseen) => Err(unseen.detail()),
            },
            identity: self.config.reach.identity,
            state,
            not_understood: stored.remembered.unread.guard(),
            policy: self.config.policy,
            suspended: stored.suspension.as_ref().map(|one| one.why.as_str()),
            braked_by: &[],
            openness: &openness,
            trigger: self.trigger(&state.progress),
        };
        let decision = decide(&situation, now);
        if decision == Decision::UpToDate {
            return Ok(decision);
        }
        let halted_by = self.halted_by(goal).await?;
        situation.braked_by = &halted_by;
        Ok(decide(&situation, now))
    }

    /// Builds, copies and activates. How it ended is not written down yet.
    ///
    /// # Errors
    /// Only when the state cannot be read or written; all else is an [`Outcome`].
    pub async fn deploy(
        &self,
        goal: &Goal,
        state: &HostState,
        delivery: Delivery,
        wanted: &mut StillWanted<'_>,
    ) -> Result<Attempt, StoreError> {
        let began = self.now();
        let toplevel = delivery.evaluated.toplevel.clone();
        let work = self.build_and_copy(goal, state, delivery);
        let outcome = match wanted.during(goal, work).await? {
            Ok(Ok(ready)) => match wanted.check(goal).await? {
                Ok(()) => return self.activate(goal, ready, wanted).await,
                Err(_) => Outcome::Superseded,
            },
            Ok(Err(outcome)) => outcome,
            Err(_) => Outcome::Superseded,
        };
        Ok(Attempt::of_goal(goal, Some(toplevel), began, outcome))
    }

    /// What is told of a deployment that was overtaken, which is counted.
    fn overtaken(&self, goal: &Goal) -> Report {
        let action = goal.target.action.name();
        let metrics = &self.context.metrics;
        metrics.deployment_ended(&self.host, action, &Outcome::Superseded);
        self.superseded(goal)
    }
}

impl Pursued {
    fn of(report: Report) -> Self {
        Self {
            report,
            findings: Findings::default(),
            meanwhile: None,
        }
    }

    fn with(mut self, ended: Ended) -> Self {
        self.report.output.clone_from(&ended.attempt.output);
        self.report.outcome = Some(ended.attempt.outcome.clone());
        self.findings.ended = Some(ended);
        self
    }
}

/// A person has said `--force`: what would hold the host back is forgotten.
fn force(goal: &Goal, stored: &mut Stored) {
    stored.remembered.unread.lift_guards();
    let state = &mut stored.remembered.state;
    state.forgive();
    state.facts.machine_id = None;
    state.reboot = None;
    state.aim(&goal.target);
}

#[cfg(test)]
mod tests;
