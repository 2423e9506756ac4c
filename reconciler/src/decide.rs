//! What is to be done about a host now: pure, with time as an argument.

mod words;

use deploy::{Action, Observation, Outcome, Toplevel};
use desired_state::{Distrust, HostName, Revision};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Policy;
use crate::memory::{Drift, Memory};
use crate::reboot::RebootHold;
use crate::window::Openness;

/// How strongly a person asked for this pass, if a person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Insistence {
    /// The loop looks by itself.
    None,
    /// A person asked: a backoff and the policy `observe` do not hold it up.
    Asked,
    /// A person said `--force`: nor do a settled outcome, a suspension, a closed window or a refused forced push.
    Forced,
}

impl Insistence {
    /// Whether a person is behind it.
    pub fn is_a_persons(self) -> bool {
        self != Self::None
    }

    /// Whether it lifts everything that can be lifted.
    pub fn is_forced(self) -> bool {
        self == Self::Forced
    }
}

/// Everything that a decision rests on.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// How the wanted system is to be brought to the host.
    pub action: Action,
    /// The wanted revision.
    pub revision: &'a Revision,
    /// Why that revision must not be deployed, if it must not.
    pub distrust: Option<&'a Distrust>,
    /// The toplevel of the wanted revision; absent while its evaluation may not be tried.
    pub wanted: Option<&'a Toplevel>,
    /// What the host says it runs, read just now, or why it does not answer.
    pub observed: Result<&'a Observation, &'a str>,
    /// What the loop remembers.
    pub memory: &'a Memory,
    /// Whether the loop may change the host by itself.
    pub policy: Policy,
    /// Why a person has suspended the host, if one has.
    pub suspended: Option<&'a str>,
    /// The other hosts that have rolled the wanted commit back, where they are as many as the fleet
    /// can bear.
    pub braked_by: &'a [HostName],
    /// Whether the host may be changed now.
    pub openness: &'a Openness,
    /// Whether a person asked for this pass.
    pub insistence: Insistence,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// The host runs what is wanted.
    UpToDate,
    /// Bring it there.
    Deploy {
        /// The system to bring.
        toplevel: Toplevel,
    },
    /// Leave it as it is, for a reason that a person can read.
    Wait {
        /// The reason.
        why: Why,
    },
}

/// Why a host is left as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// No commit is known for it: its branch was never seen, or is gone.
    NoRevision {
        /// What is missing.
        detail: String,
    },
    /// The wanted commit does not carry a signature that the repository wants.
    Untrusted {
        /// The commit.
        revision: Revision,
        /// Why it is not trusted, and the mend.
        detail: String,
    },
    /// A person has suspended it.
    Suspended {
        /// The reason given.
        reason: String,
    },
    /// Its policy is `observe`.
    Observing,
    /// Another machine answers than the one that was first met under this name.
    AnotherMachine {
        /// The machine id that was learned at first contact (`machine-id(5)`).
        expected: String,
        /// The one that answers.
        found: String,
    },
    /// It does not answer.
    Unreachable {
        /// What the last try said.
        detail: String,
    },
    /// Other hosts have rolled the wanted commit back.
    Braked {
        /// Which.
        by: Vec<HostName>,
    },
    /// It is outside of its windows, or frozen.
    WindowClosed {
        /// Which of the two, in words.
        reason: String,
        /// When it may be changed again, if ever.
        opens: Option<Timestamp>,
    },
    /// The last attempt failed, and the next is not due.
    BackingOff {
        /// When it is due.
        until: Timestamp,
        /// How the last attempt ended.
        outcome: Outcome,
    },
    /// The wanted system was tried here and could not stay.
    Quarantined {
        /// How that ended.
        outcome: Outcome,
        /// When.
        since: Timestamp,
    },
    /// The reboot that a person asked for has to wait.
    RebootHeld {
        /// Why.
        hold: RebootHold,
    },
    /// The last attempt ended in a way that trying again does not mend.
    Settled {
        /// How it ended.
        outcome: Outcome,
    },
}

impl Decision {
    /// One word for metrics and tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Deploy { .. } => "deploy",
            Self::Wait { why } => match why {
                Why::NoRevision { .. } => "no_revision",
                Why::Untrusted { .. } => "untrusted",
                Why::Suspended { .. } => "suspended",
                Why::Observing => "observing",
                Why::AnotherMachine { .. } => "another_machine",
                Why::Unreachable { .. } => "unreachable",
                Why::Braked { .. } => "braked",
                Why::WindowClosed { .. } => "window_closed",
                Why::BackingOff { .. } => "backing_off",
                Why::Quarantined { .. } => "quarantined",
                Why::RebootHeld { .. } => "reboot_held",
                Why::Settled { .. } => "settled",
            },
        }
    }
}

/// Whether the wanted revision may be evaluated now.
///
/// What failed to evaluate is not evaluated again before its backoff has passed, or at all while
/// the failure is settled: the same commit gives the same error.
pub fn may_evaluate(memory: &Memory, insistence: Insistence, now: Timestamp) -> bool {
    if insistence.is_forced() || memory.wanted.is_some() {
        return true;
    }
    if memory.settled().is_some() {
        return false;
    }
    insistence.is_a_persons() || memory.next_attempt.is_none_or(|due| due <= now)
}

/// Whether the host is where `action` is to bring it.
///
/// - `switch`: `/run/current-system` and the system profile are the toplevel;
/// - `test`: `/run/current-system` is; `boot`: the profile is, and its boot entry was written;
/// - `build`, `dry-activate`: done once for the toplevel.
///
/// `switch-to-configuration` moves `/run/current-system` even when it then fails, and before units
/// start, so a host is never there after an activation that broke off, nor while
/// `/run/nixos/{start,restart,reload}-list` has entries (nixpkgs, switch-to-configuration-ng).
pub fn drift(action: Action, wanted: &Toplevel, observed: &Observation, memory: &Memory) -> Drift {
    let running = observed.running.as_ref() == Some(wanted)
        && !observed.unfinished_lists
        && memory
            .broken_activation
            .as_ref()
            .is_none_or(|(toplevel, boot)| toplevel != wanted || *boot != observed.boot_id);
    let profile = observed.profile.as_ref() == Some(wanted);
    let there = match action {
        Action::Switch => running && profile,
        Action::Test => running,
        Action::Boot => profile && memory.half_installed.as_ref() != Some(wanted),
        Action::Build | Action::DryActivate => {
            memory.done_once.as_ref() == Some(&(action, wanted.clone()))
        }
    };
    if there { Drift::InSync } else { Drift::Drifted }
}

/// Why a host is left alone where another machine answers under its name.
pub fn another_machine(memory: &Memory, observed: &Observation) -> Option<Why> {
    let expected = memory.other_machine(observed)?;
    Some(Why::AnotherMachine {
        expected: expected.into(),
        found: observed.machine_id.clone(),
    })
}

/// What to do about a host now.
pub fn decide(situation: &Situation<'_>, now: Timestamp) -> Decision {
    let Situation {
        memory, insistence, ..
    } = *situation;
    let wait = |why| Decision::Wait { why };

    // `build` never touches the host, so it need not answer.
    let observed = match situation.observed {
        Ok(observed) => Some(observed),
        Err(_) if !situation.action.touches_host() || situation.distrust.is_some() => None,
        Err(detail) => {
            return wait(Why::Unreachable {
                detail: detail.into(),
            });
        }
    };
    if let Some(why) = observed.and_then(|observed| another_machine(memory, observed)) {
        return wait(why);
    }
    if let Some(wanted) = situation.wanted {
        let drift = match observed {
            Some(observed) => drift(situation.action, wanted, observed, memory),
            None if memory.done_once.as_ref() == Some(&(situation.action, wanted.clone())) => {
                Drift::InSync
            }
            None => Drift::Drifted,
        };
        // A forced `build` or `dry-activate` is done again: its output is what is asked for.
        let again = !situation.action.changes_host() && insistence.is_a_persons();
        if drift == Drift::InSync && !again {
            return Decision::UpToDate;
        }
    }
    // Nothing lifts this, not even a person: who may change hosts is not who may sign.
    if let Some(distrust) = situation.distrust {
        return wait(Why::Untrusted {
            revision: situation.revision.clone(),
            detail: distrust.to_string(),
        });
    }
    if let Some(reason) = situation.suspended
        && !insistence.is_forced()
    {
        return wait(Why::Suspended {
            reason: reason.into(),
        });
    }
    if let Some(quarantine) = situation
        .wanted
        .and_then(|wanted| memory.quarantine_of(wanted))
        && situation.action.changes_host()
        && !insistence.is_forced()
    {
        return wait(Why::Quarantined {
            outcome: quarantine.outcome.clone(),
            since: quarantine.since,
        });
    }
    if let Some(outcome) = memory.settled()
        && !insistence.is_forced()
    {
        return wait(Why::Settled {
            outcome: outcome.clone(),
        });
    }
    if situation.policy == Policy::Observe
        && !insistence.is_a_persons()
        && situation.action.changes_host()
        && situation.wanted.is_some()
    {
        return wait(Why::Observing);
    }
    if !situation.braked_by.is_empty() && !insistence.is_a_persons() {
        return wait(Why::Braked {
            by: situation.braked_by.to_vec(),
        });
    }
    // After what would keep the host waiting in an open window too, and before what may have passed by then.
    if let Openness::Closed { reason, opens } = situation.openness
        && situation.action.changes_host()
        && situation.wanted.is_some()
        && !insistence.is_forced()
    {
        return wait(Why::WindowClosed {
            reason: reason.clone(),
            opens: *opens,
        });
    }
    if let (Some(until), Some(outcome)) = (memory.next_attempt, &memory.outcome)
        && until > now
        && !insistence.is_a_persons()
    {
        return wait(Why::BackingOff {
            until,
            outcome: outcome.clone(),
        });
    }
    match situation.wanted {
        Some(toplevel) => Decision::Deploy {
            toplevel: toplevel.clone(),
        },
        None => wait(Why::NoRevision {
            detail: "the wanted revision has not been evaluated".into(),
        }),
    }
}

#[cfg(test)]
mod tests;
