//! What is to be done about a host now.

use deploy::{Action, Observation, Specialisation, Toplevel};
use desired_state::{Distrust, HostName, Revision};
use jiff::Timestamp;

use crate::drift::drift;
use crate::maintenance::Openness;
use crate::model::decision::{Decision, Why};
use crate::model::host_state::{Drift, HostState, Progress};
use crate::model::order::Trigger;
use crate::model::spec::{Identity, Policy};

/// Everything that a decision rests on.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// How the wanted system is to be brought to the host.
    pub action: Action,
    /// The specialisation of it that is to run, where the config names one.
    pub specialised: Option<&'a Specialisation>,
    /// The wanted revision.
    pub revision: &'a Revision,
    /// Why that revision must not be deployed, if it must not.
    pub distrust: Option<&'a Distrust>,
    /// The toplevel of the wanted revision; absent while its evaluation may not be tried.
    pub wanted: Option<&'a Toplevel>,
    /// What the host says it runs, read just now, or why it does not answer.
    pub observed: Result<&'a Observation, &'a str>,
    /// By what it is known to be the same machine.
    pub identity: Identity,
    /// Its state.
    pub state: &'a HostState,
    /// A part of its state that guards the host and that this version does not understand.
    pub not_understood: Option<&'a str>,
    /// Whether the loop may change the host by itself.
    pub policy: Policy,
    /// Why a person has suspended the host, if one has.
    pub suspended: Option<&'a str>,
    /// The other hosts that have rolled the wanted commit back, where they are as many as the fleet
    /// can bear.
    pub braked_by: &'a [HostName],
    /// Whether the host may be changed now.
    pub openness: &'a Openness,
    /// Who asked for this reconciliation, and how strongly.
    pub trigger: Trigger,
}

/// Whether the wanted revision may be evaluated now.
///
/// What failed to evaluate is not evaluated again before its backoff has passed, or at all while
/// the failure is settled: the same commit gives the same error.
pub fn may_evaluate(progress: &Progress, trigger: Trigger, now: Timestamp) -> bool {
    if trigger.is_forced() || progress.wanted.is_some() {
        return true;
    }
    if progress.settled().is_some() {
        return false;
    }
    trigger.is_manual() || progress.next_attempt.is_none_or(|due| due <= now)
}

/// Why a host is left alone where another machine answers under its name.
pub fn another_machine(
    state: &HostState,
    identity: Identity,
    observed: &Observation,
) -> Option<Why> {
    let expected = state.other_machine(identity, observed)?;
    Some(Why::AnotherMachine {
        expected: expected.into(),
        found: observed.machine_id.clone(),
    })
}

/// What to do about a host now.
pub fn decide(situation: &Situation<'_>, now: Timestamp) -> Decision {
    let observed = match observed(situation) {
        Ok(observed) => observed,
        Err(why) => return Decision::Wait { why },
    };
    if is_up_to_date(situation, observed) {
        return Decision::UpToDate;
    }
    if let Some(why) = blocked(situation, now) {
        return Decision::Wait { why };
    }
    match situation.wanted {
        Some(toplevel) => Decision::Deploy {
            toplevel: toplevel.clone(),
        },
        None => Decision::Wait {
            why: Why::NotEvaluated,
        },
    }
}

/// What the host says, where it does; `Err` where nothing is decided without it.
fn observed<'a>(situation: &Situation<'a>) -> Result<Option<&'a Observation>, Why> {
    match situation.observed {
        Ok(observed) => match another_machine(situation.state, situation.identity, observed) {
            Some(why) => Err(why),
            None => Ok(Some(observed)),
        },
        // `build` never touches the host, so it need not answer.
        Err(_) if !situation.action.touches_host() || situation.distrust.is_some() => Ok(None),
        Err(detail) => Err(Why::Unreachable {
            detail: detail.into(),
        }),
    }
}

fn is_up_to_date(situation: &Situation<'_>, observed: Option<&Observation>) -> bool {
    let Situation { action, state, .. } = *situation;
    // A `build` or `dry-activate` that a person asks for is done again: its output is what they want.
    let is_done_again = !action.changes_host() && situation.trigger.is_manual();
    let Some(wanted) = situation.wanted.filter(|_| !is_done_again) else {
        return false;
    };
    match observed {
        Some(observed) => {
            drift(action, wanted, situation.specialised, observed, state) == Drift::InSync
        }
        None => state.traces.done_once.as_ref() == Some(&(action, wanted.clone())),
    }
}

/// What keeps the host from the wanted system, if anything does; of several, what holds on for longest.
fn blocked(situation: &Situation<'_>, now: Timestamp) -> Option<Why> {
    untrusted(situation)
        .or_else(|| until_forced(situation))
        .or_else(|| until_asked(situation))
        // After what would keep the host waiting in an open window too, and before what may have passed by then.
        .or_else(|| until_open(situation))
        .or_else(|| until_due(situation, now))
}

/// Nothing lifts this, not even a person: who may change hosts is not who may sign.
fn untrusted(situation: &Situation<'_>) -> Option<Why> {
    situation.distrust.map(|distrust| Why::Untrusted {
        revision: situation.revision.clone(),
        detail: distrust.to_string(),
    })
}

/// What only a person's `--force` lifts, or the end of its cause.
fn until_forced(situation: &Situation<'_>) -> Option<Why> {
    if situation.trigger.is_forced() {
        return None;
    }
    if let Some(reason) = situation.suspended {
        return Some(Why::Suspended {
            reason: reason.into(),
        });
    }
    let state = situation.state;
    if situation.action.changes_host() {
        if let Some(part) = situation.not_understood {
            return Some(Why::NotUnderstood { part: part.into() });
        }
        if let Some(quarantine) = situation.wanted.and_then(|one| state.quarantine_of(one)) {
            return Some(Why::Quarantined {
                outcome: quarantine.outcome.clone(),
                since: quarantine.since,
            });
        }
    }
    state.progress.settled().map(|outcome| Why::Settled {
        outcome: outcome.clone(),
    })
}

/// What keeps the loop from the host, and no person.
fn until_asked(situation: &Situation<'_>) -> Option<Why> {
    if situation.trigger.is_manual() {
        return None;
    }
    if situation.policy == Policy::Observe && would_change(situation) {
        return Some(Why::Observing);
    }
    let by = situation.braked_by;
    (!by.is_empty()).then(|| Why::Braked { by: by.to_vec() })
}

fn until_open(situation: &Situation<'_>) -> Option<Why> {
    match situation.openness {
        Openness::Closed { reason, opens }
            if would_change(situation) && !situation.trigger.is_forced() =>
        {
            Some(Why::WindowClosed {
                reason: reason.clone(),
                opens: *opens,
            })
        }
        _ => None,
    }
}

fn until_due(situation: &Situation<'_>, now: Timestamp) -> Option<Why> {
    let progress = &situation.state.progress;
    let until = progress.next_attempt.filter(|until| *until > now)?;
    let outcome = progress.outcome.clone()?;
    (!situation.trigger.is_manual()).then_some(Why::BackingOff { until, outcome })
}

/// Whether a deployment would change the host: one is known, and not only built or tried out.
fn would_change(situation: &Situation<'_>) -> bool {
    situation.action.changes_host() && situation.wanted.is_some()
}

#[cfg(test)]
mod tests;
