//! What came of an attempt: how it ended by what its host says, and what of it enters the state.

use std::time::Duration;

use deploy::{
    Action, ActivationReport, Observation, Outcome, RollbackReason, Specialisation, Toplevel,
};
use desired_state::{Deployment, HistoryEntry, HostName};
use jiff::Timestamp;

use crate::drift::drift;
use crate::model::attempt::Attempt;
use crate::model::backoff::Jitter;
use crate::model::cause::Cause;
use crate::model::decision::{Decision, Why};
use crate::model::goal::Goal;
use crate::model::history::HistoryKind;
use crate::model::host_state::{Drift, HostState, Quarantine};
use crate::model::spec::BackoffConfig;

/// What an attempt's end is measured by.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The specialisation that is to run, where the config names one.
    pub specialised: Option<&'a Specialisation>,
    /// How long to wait after a failure.
    pub backoff: &'a BackoffConfig,
    /// What chance adds to that.
    pub jitter: Jitter,
    /// After how long without an answer a host's absence is trouble.
    pub overdue_after: Duration,
    /// When it ended.
    pub now: Timestamp,
}

/// Whether an attempt brought its host to where a push wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// For the first time.
    First,
    /// It was there before, or is not there. Drift that is undone is no push that converges.
    No,
}

/// Takes an attempt's end into its host's state.
pub fn conclude(state: &mut HostState, attempt: &Attempt, terms: &Terms<'_>) -> Arrival {
    let now = terms.now;
    let target = &attempt.goal.target;
    let was_never_there = state.convergence.last_good.as_ref() != Some(target);
    state
        .progress
        .conclude(&attempt.outcome, terms.backoff, terms.jitter, now);
    note_traces(state, attempt, now);
    if attempt.read_back.is_some() && attempt.id.is_some() {
        state.traces.leftovers.clone_from(&attempt.id);
    }
    if let Outcome::Unreachable { detail } = &attempt.outcome {
        state.note_absence(detail, terms.overdue_after, now);
    }
    if let Some(observation) = &attempt.read_back {
        state.note_observation(observation, now);
        if let Some(toplevel) = &attempt.toplevel
            && target.action.changes_host()
        {
            let drift = drift(
                target.action,
                toplevel,
                terms.specialised,
                observation,
                state,
            );
            state.note_drift(drift, now);
            if drift == Drift::InSync {
                state.convergence.last_good = Some(target.clone());
            }
        }
    }
    if attempt.outcome.is_in_sync() && was_never_there {
        Arrival::First
    } else {
        Arrival::No
    }
}

/// Takes in what an attempt left on its host.
fn note_traces(state: &mut HostState, attempt: &Attempt, now: Timestamp) {
    let Some(toplevel) = &attempt.toplevel else {
        return;
    };
    let action = attempt.goal.target.action;
    let traces = &mut state.traces;
    if matches!(attempt.outcome, Outcome::Built | Outcome::DryActivated) {
        traces.done_once = Some((action, toplevel.clone()));
    }
    if let Some(boot) = &attempt.broke_off_on_boot {
        traces.broken_activation = Some((toplevel.clone(), boot.clone()));
    } else if attempt.outcome.is_in_sync() && action != Action::Boot {
        traces.broken_activation = None;
    }
    if action.sets_profile() {
        if attempt.outcome.is_in_sync() {
            traces.half_installed = None;
        } else if broke_off(&attempt.outcome) {
            // The next observation says that it is not, where its profile is another.
            traces.half_installed = Some(toplevel.clone());
        }
    }
    if !attempt.outcome.quarantines() {
        return;
    }
    if attempt.goal.cause == Cause::Quarantine && state.quarantine.is_some() {
        // The way back failed too: there is none any more, and what is wanted stays away all the same.
        state.convergence.last_good = None;
    } else {
        state.quarantine = Some(Quarantine {
            toplevel: toplevel.clone(),
            outcome: attempt.outcome.clone(),
            since: now,
        });
    }
}

/// Takes in whether a host that was observed is where `goal` wants it; gives the history's entry where something else
/// than us has taken it away.
pub fn note_drift(
    state: &mut HostState,
    goal: &Goal,
    specialised: Option<&Specialisation>,
    host: &HostName,
    observed: &Observation,
    now: Timestamp,
) -> Option<HistoryEntry> {
    let target = &goal.target;
    let wanted = state.progress.wanted.clone()?;
    if !target.action.changes_host() {
        return None;
    }
    let drift = drift(target.action, &wanted, specialised, observed, state);
    let was_in_sync = state.convergence.drifted_since.is_none();
    state.note_drift(drift, now);
    if drift == Drift::InSync {
        state.convergence.last_good = Some(target.clone());
        return None;
    }
    if !was_in_sync || state.convergence.last_good.as_ref() != Some(target) {
        return None;
    }
    let shown = |toplevel: &Option<Toplevel>| {
        let toplevel = toplevel.as_ref().map(ToString::to_string);
        toplevel.unwrap_or_else(|| "nothing".into())
    };
    let (running, profile) = (shown(&observed.running), shown(&observed.profile));
    let mut entry = HistoryKind::Drift.entry(now);
    entry.host = Some(host.clone());
    entry.revision = Some(target.revision.clone());
    let special = specialised.map_or_else(String::new, |name| format!(", specialisation {name}"));
    let times = match state.note_set_back(now) {
        1 => String::new(),
        times => format!("; set back {times} times within the hour"),
    };
    entry.detail = format!("runs {running}, profile {profile}, wanted {wanted}{special}{times}");
    entry.toplevel = observed.running.as_ref().map(ToString::to_string);
    Some(entry)
}

/// Takes in why the host waits, where nothing else of the state says so; gives the history's entry where that
/// begins.
pub fn note_wait(
    state: &mut HostState,
    decision: &Decision,
    host: &HostName,
    now: Timestamp,
) -> Option<HistoryEntry> {
    let (waits, until) = match decision {
        Decision::Wait {
            why: why @ (Why::Braked { .. } | Why::Untrusted { .. } | Why::NotUnderstood { .. }),
        } => (Some(why.to_string()), None),
        Decision::Wait {
            why: why @ Why::WindowClosed { opens, .. },
        } => (Some(why.to_string()), *opens),
        _ => (None, None),
    };
    let progress = &mut state.progress;
    let begins = waits.as_ref().filter(|_| progress.waits != waits);
    let entry = begins.map(|why| {
        let mut entry = HistoryKind::Wait.entry(now);
        entry.host = Some(host.clone());
        entry.revision = progress.target.as_ref().map(|one| one.revision.clone());
        entry.detail.clone_from(why);
        entry
    });
    progress.waits = waits;
    progress.waits_until = until;
    entry
}

/// The outcome is what the host says it runs, not what a command returned.
pub fn outcome(
    deployment: &Deployment,
    report: &ActivationReport,
    read_back: &Observation,
) -> Option<Outcome> {
    let action: Action = deployment.action.parse().ok()?;
    let reported = Outcome::of_activation(report)?;
    let toplevel: Option<Toplevel> = deployment.toplevel.parse().ok();
    let went_down = matches!(reported, Outcome::Vanished { .. })
        && read_back.boot_id != deployment.boot_id
        && action.changes_host();
    if !reported.is_in_sync() && !went_down {
        return Some(reported);
    }
    if action == Action::DryActivate {
        return Some(Outcome::DryActivated);
    }
    let runs = match &toplevel {
        Some(toplevel) => read_back.runs(toplevel),
        None => read_back.running.is_none(),
    };
    let boots = read_back.profile == toplevel;
    let there = match action {
        Action::Switch => runs && boots,
        Action::Test => runs,
        // It booted another: its profile was set, and perhaps not the entry that boots it.
        Action::Boot => boots && (runs || !went_down),
        Action::Build | Action::DryActivate => true,
    };
    Some(if there && went_down {
        // Nothing becomes the boot default that has not proven itself.
        Outcome::Converged
    } else if there {
        reported
    } else if went_down {
        // Perhaps by this very system: it gets a backoff that grows.
        Outcome::ActivationInterrupted {
            cause: "the host went down".into(),
        }
    } else {
        Outcome::ObservedChanged {
            running: read_back
                .running
                .as_ref()
                .map_or_else(|| "nothing".into(), ToString::to_string),
        }
    })
}

/// Whether we were there to say that a login works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attendance {
    /// We began the deployment, or tried to reach its host and could not.
    There,
    /// We were down.
    Away,
}

/// A host that went back because nobody said that a login works says nothing about its system, unless
/// we were there.
pub fn blame(attendance: Attendance, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::RolledBack {
            reason: RollbackReason::NotAcknowledged,
            detail,
        } if attendance == Attendance::Away => Outcome::RolledBack {
            reason: RollbackReason::Unattended,
            detail,
        },
        outcome => outcome,
    }
}

/// Whether the activation broke off on the way, so that the host is not *there* even where
/// `/run/current-system` says so.
pub fn broke_off(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::ActivationFailed { .. }
            | Outcome::ActivationRefused { .. }
            | Outcome::ActivationInterrupted { .. }
            | Outcome::RollbackFailed { .. }
    )
}

#[cfg(test)]
mod tests;
