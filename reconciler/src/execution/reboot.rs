//! Reboots a host when that is due, watches it come back, and takes up a reboot that an earlier run of
//! ours began.
//!
//! # Protocol
//!
//! 1. It is decided; the rest of the fleet is looked through only where the answer would be yes.
//! 2. The host is looked at once more, and the system made its boot default where only a boot activates it: a
//!    deployment of its own, so a crash there is taken up as one.
//! 3. With the fleet's turn held, it is decided once more and the reboot written down: whoever has written his down
//!    first reboots. A crash from here on is found in what is remembered: the host is asked, and told again only while
//!    it is on the boot that was written down.
//! 4. The host is told, and asked by new logins until it is back or its deadline is over.
//! 5. What came of it is written down, and the reboot with it: gone, or failed.

mod watch;

use deploy::{Action, Observation, Outcome, Toplevel};
use desired_state::StoreError;
use planning::conclude::Arrival;
use planning::maintenance;
use planning::model::attempt::{Attempt, Work};
use planning::model::backoff::Jitter;
use planning::model::cause::Cause;
use planning::model::decision::{Decision, Why};
use planning::model::goal::{Goal, GoalKind, Target};
use planning::model::order::Then;
use planning::model::reboot::{Reboot, RebootBlocked};
use planning::model::report::{Report, Step};
use planning::reboot::{Others, RebootDecision, RebootSituation, decide_reboot, obstacle};

use crate::execution::build_and_copy::Delivery;
use crate::execution::reconciliation::Reconciliation;
use crate::execution::record::Findings;
use crate::execution::supersede::StillWanted;
use crate::state::host::{Stored, remembered};

/// What is asked of a reboot: the goal that it is for, and that it is still wanted.
struct Asked<'a, 'r> {
    goal: &'a Goal,
    wanted: &'a mut StillWanted<'r>,
}

impl Reconciliation {
    /// Reboots the host if a reboot is due, or a person asked for one; `report` then tells how it ended, and
    /// the state why it waits.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn reboot_when_due(
        &self,
        goal: &Goal,
        stored: &mut Stored,
        report: &mut Report,
        wanted: &mut StillWanted<'_>,
    ) -> Result<(), StoreError> {
        if !goal.kind.is_persistent() {
            return Ok(());
        }
        let before = stored.remembered.state.clone();
        let state = &mut stored.remembered.state;
        if let (Some(reboot), Some(wanted)) = (&state.reboot, &state.progress.wanted)
            && reboot.toplevel != *wanted
        {
            state.reboot = None;
        }
        let guard = stored.remembered.unread.guard();
        let blocked = match self.decide_reboot(goal, stored).await? {
            RebootDecision::None => None,
            RebootDecision::Blocked(blocked) => Some(blocked),
            // What may forbid a change may forbid this one too.
            RebootDecision::Reboot { .. } if let Some(part) = guard => {
                self.tell_not_understood(stored, report, part);
                None
            }
            RebootDecision::Reboot { toplevel } => {
                let asked = Asked { goal, wanted };
                self.carry_out_reboot(asked, &toplevel, stored, report)
                    .await?
            }
        };
        let state = &mut stored.remembered.state;
        if let (Some(blocked), Then::Reboot) = (&blocked, self.then(&state.progress)) {
            report.decision = Decision::Wait {
                why: Why::RebootHeld {
                    hold: blocked.clone(),
                },
            };
            report.outcome = None;
        }
        // How the last one failed is told by itself.
        state.reboot_blocked = blocked.filter(|one| !matches!(one, RebootBlocked::Failed { .. }));
        if *state != before {
            self.record(stored, Findings::default()).await?;
        }
        Ok(())
    }

    /// Says to who asked for a reboot that a part of the host's state keeps it from one.
    fn tell_not_understood(&self, stored: &Stored, report: &mut Report, part: &str) {
        if self.then(&stored.remembered.state.progress) == Then::Reboot {
            let part = part.to_owned();
            report.decision = Decision::Wait {
                why: Why::NotUnderstood { part },
            };
            report.outcome = None;
        }
    }

    /// Takes up a reboot that was under way when an earlier reconciliation, or an earlier run of ours, ended, and
    /// sees it through.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn see_reboot_through(
        &self,
        stored: &mut Stored,
    ) -> Result<Option<Outcome>, StoreError> {
        let under_way = stored.remembered.state.reboot.clone();
        let Some(reboot) = under_way.filter(Reboot::is_under_way) else {
            return Ok(None);
        };
        let revision = &reboot.target.revision;
        self.context
            .tell_step(&self.host, Step::Rebooting, Some(revision));
        let (outcome, seen) = self.watch_reboot(&reboot, &stored.remembered.state).await;
        let state = &mut stored.remembered.state;
        if let Outcome::Locked { by } = &outcome {
            // Nothing was done: it is decided anew.
            tracing::info!(host = %self.host, by, "not rebooted: a switch is running there");
            state.reboot = None;
            self.record(stored, Findings::default()).await?;
            return Ok(None);
        }
        state.aim(&reboot.target);
        state.progress.wanted = Some(reboot.toplevel.clone());
        state.reboot = outcome.is_failure().then(|| Reboot {
            failure: Some(outcome.clone()),
            ..reboot.clone()
        });
        if let Outcome::DidNotComeBack { detail, .. } = &outcome {
            state.presence.unreachable = Some(detail.clone());
        }
        let goal = Goal {
            target: reboot.target,
            since: reboot.wanted_since,
            cause: reboot.cause,
            kind: GoalKind::Persistent,
        };
        let attempt = Attempt {
            work: Work::Reboot,
            read_back: seen,
            ..Attempt::of_goal(&goal, Some(reboot.toplevel), reboot.began, outcome.clone())
        };
        let ended = self.conclude(state, attempt);
        self.record(stored, ended.into()).await?;
        Ok(Some(outcome))
    }

    async fn decide_reboot(
        &self,
        goal: &Goal,
        stored: &Stored,
    ) -> Result<RebootDecision, StoreError> {
        let config = &self.config;
        let windows = config
            .reboot
            .windows
            .as_ref()
            .unwrap_or(&config.maintenance.windows);
        let openness = maintenance::open(windows, &config.maintenance.freezes, self.now());
        let suspension = self.context.store.suspended(&self.host);
        let mut situation = RebootSituation {
            action: goal.target.action,
            state: &stored.remembered.state,
            rule: config.reboot.policy,
            policy: config.policy,
            suspended: None,
            openness: &openness,
            others: &Others::default(),
            then: self.then(&stored.remembered.state.progress),
            trigger: self.asked(),
        };
        // What has to be read is looked at only where it matters.
        if !matches!(decide_reboot(&situation), RebootDecision::Reboot { .. })
            && stored.suspension.is_none()
        {
            return Ok(decide_reboot(&situation));
        }
        let suspension = suspension.await?;
        situation.suspended = suspension.as_ref().map(|one| one.why.as_str());
        let decision = decide_reboot(&situation);
        if !matches!(decision, RebootDecision::Reboot { .. }) {
            return Ok(decision);
        }
        let others = self.others(&goal.target).await?;
        situation.others = &others;
        Ok(decide_reboot(&situation))
    }

    /// What the other hosts of the fleet are doing.
    async fn others(&self, target: &Target) -> Result<Others, StoreError> {
        let mut others = Others::default();
        let fleet = self.clients.config.hosts.keys();
        for host in fleet.filter(|one| **one != self.host) {
            let remembered = remembered(&self.context, host).await?;
            if remembered.unread.has_a_reboot() {
                others.rebooting = Some(host.clone());
            }
            match remembered.state.reboot {
                Some(reboot) if reboot.is_under_way() => others.rebooting = Some(host.clone()),
                Some(reboot)
                    if reboot.has_cost_the_host() && reboot.target.revision == target.revision =>
                {
                    others.failed.push(host.clone());
                }
                _ => {}
            }
        }
        Ok(others)
    }

    /// Looks once more, makes the system the boot default where it is not, writes the reboot down, and sees
    /// it through. Gives what turned out to block it.
    async fn carry_out_reboot(
        &self,
        asked: Asked<'_, '_>,
        toplevel: &Toplevel,
        stored: &mut Stored,
        report: &mut Report,
    ) -> Result<Option<RebootBlocked>, StoreError> {
        let Ok(mut seen) = self.observe_again(&stored.remembered.state).await else {
            // The next look says so.
            return Ok(None);
        };
        let state = &stored.remembered.state;
        let is_boot_default = seen.observation.profile.as_ref() == Some(toplevel)
            && state.traces.half_installed.as_ref() != Some(toplevel);
        let only_by_boot = matches!(state.progress.outcome, Some(Outcome::RebootRequired { .. }));
        let goal = asked.goal;
        if !is_boot_default && only_by_boot {
            let Some(outcome) = self.make_boot_default(asked, stored).await? else {
                return Ok(None);
            };
            if !outcome.is_in_sync() {
                report.outcome = Some(outcome);
                return Ok(None);
            }
            let Ok(again) = self.observe().await else {
                return Ok(None);
            };
            seen = again;
        }
        if let Some(blocked) = obstacle(toplevel, &seen.observation) {
            return Ok(Some(blocked));
        }
        let begun = self.begin_reboot(goal, stored, &seen.observation, toplevel);
        if let Some(blocked) = begun.await? {
            return Ok(Some(blocked));
        }
        if let Some(outcome) = self.see_reboot_through(stored).await? {
            report.outcome = Some(outcome);
        }
        Ok(None)
    }

    /// Writes the reboot down, unless something has come up since it was decided on: whoever has written
    /// his down first reboots, and is known after a crash.
    async fn begin_reboot(
        &self,
        goal: &Goal,
        stored: &mut Stored,
        seen: &Observation,
        toplevel: &Toplevel,
    ) -> Result<Option<RebootBlocked>, StoreError> {
        let _turn = self.context.registries.reboots.lock().await;
        match self.decide_reboot(goal, stored).await? {
            RebootDecision::Reboot { .. } => {}
            RebootDecision::Blocked(blocked) => return Ok(Some(blocked)),
            RebootDecision::None => return Ok(None),
        }
        let now = self.now();
        let state = &mut stored.remembered.state;
        let cause = match &self.order {
            Some(order) if self.then(&state.progress) == Then::Reboot => Cause::Person {
                by: order.by.clone(),
            },
            _ => Cause::Required {
                reasons: state.facts.reboot_reasons.clone(),
            },
        };
        state.reboot = Some(Reboot {
            target: goal.target.clone(),
            wanted_since: goal.since,
            toplevel: toplevel.clone(),
            boot_id: seen.boot_id.clone(),
            entry: seen.boot_entry(),
            failed_before: seen.failed_units.clone(),
            began: now,
            // The config bounds it, so this only fails at the end of time.
            deadline: now.checked_add(self.config.reboot.deadline).unwrap_or(now),
            cause: cause.clone(),
            failure: None,
        });
        state.reboot_blocked = None;
        self.record(stored, Findings::default()).await?;
        tracing::info!(host = %self.host, %cause, entry = %seen.boot_entry(), "rebooting");
        Ok(None)
    }

    /// Makes a system that only a reboot can bring the boot default, by the supervisor. `None` if it is not
    /// evaluated any more, or something newer is wanted.
    async fn make_boot_default(
        &self,
        asked: Asked<'_, '_>,
        stored: &mut Stored,
    ) -> Result<Option<Outcome>, StoreError> {
        let goal = asked.goal;
        let Some(evaluated) = self.evaluated(&goal.target.revision).await? else {
            return Ok(None);
        };
        let boot = Goal {
            target: Target {
                revision: goal.target.revision.clone(),
                action: Action::Boot,
            },
            since: goal.since,
            cause: Cause::ForReboot,
            kind: GoalKind::Fallback {
                from: goal.target.clone(),
            },
        };
        let delivery = Delivery {
            evaluated,
            in_use: None,
            seen: None,
        };
        let state = &stored.remembered.state;
        let attempt = self.deploy(&boot, state, delivery, asked.wanted).await?;
        if attempt.outcome == Outcome::Superseded {
            return Ok(None);
        }
        let outcome = attempt.outcome.clone();
        let state = &mut stored.remembered.state;
        let aside = state.set_aside();
        state.aim(&boot.target);
        let mut ended = self.conclude(state, attempt);
        // It is only half of the way.
        ended.arrival = Arrival::No;
        state.take_back(aside);
        if !outcome.is_in_sync() {
            // Not again before its backoff.
            let (backoff, now) = (&self.config.backoff, self.now());
            state
                .progress
                .conclude(&outcome, backoff, Jitter::NONE, now);
        }
        self.record(stored, ended.into()).await?;
        Ok(Some(outcome))
    }
}

#[cfg(test)]
mod tests;
