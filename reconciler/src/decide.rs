//! What is to be done about a host now: pure, with time as an argument.

use deploy::{Action, Observation, Outcome, Toplevel};
use desired_state::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Policy;
use crate::memory::{Drift, Memory};

/// How strongly a person asked for this pass, if a person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Insistence {
    /// The loop looks by itself.
    None,
    /// A person asked: a backoff and the policy `observe` do not hold it up.
    Asked,
    /// A person said `--force`: nor do a settled outcome, a suspension or a refused forced push.
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
                Why::Suspended { .. } => "suspended",
                Why::Observing => "observing",
                Why::AnotherMachine { .. } => "another_machine",
                Why::Unreachable { .. } => "unreachable",
                Why::Braked { .. } => "braked",
                Why::BackingOff { .. } => "backing_off",
                Why::Quarantined { .. } => "quarantined",
                Why::Settled { .. } => "settled",
            },
        }
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UpToDate => write!(f, "up to date"),
            Self::Deploy { toplevel } => write!(f, "deploy {toplevel}"),
            Self::Wait { why } => why.fmt(f),
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRevision { detail } => write!(f, "nothing to deploy: {detail}"),
            Self::Suspended { reason } => write!(f, "suspended: {reason}"),
            Self::Observing => write!(f, "drifted, only observed by policy"),
            Self::AnotherMachine { expected, found } => write!(
                f,
                "another machine answers: its machine-id is {found}, and that of this host was {expected}; if the host was set up anew, accept it with --force"
            ),
            Self::Unreachable { detail } => write!(f, "unreachable: {detail}"),
            Self::Braked { by } => {
                let by: Vec<&str> = by.iter().map(HostName::as_str).collect();
                write!(
                    f,
                    "waits because {} rolled this commit back; deployed when another commit is wanted or a person asks with --host",
                    by.join(" and ")
                )
            }
            Self::BackingOff { until, outcome } => {
                write!(f, "{outcome}; next attempt at {until:.0}")
            }
            Self::Quarantined { outcome, since } => {
                write!(
                    f,
                    "quarantined since {since:.0}: {outcome}; not tried again until another system is wanted, the config changes, or --force"
                )
            }
            Self::Settled { outcome } => {
                write!(
                    f,
                    "{outcome}; not tried again until a new revision or --force"
                )
            }
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
/// - `test`: `/run/current-system` is; `boot`: the profile is;
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
        Action::Boot => profile,
        Action::Build | Action::DryActivate => {
            memory.done_once.as_ref() == Some(&(action, wanted.clone()))
        }
    };
    if there { Drift::InSync } else { Drift::Drifted }
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
        Err(_) if !situation.action.touches_host() => None,
        Err(detail) => {
            return wait(Why::Unreachable {
                detail: detail.into(),
            });
        }
    };
    if let Some(observed) = observed
        && let Some(expected) = memory.other_machine(observed)
    {
        return wait(Why::AnotherMachine {
            expected: expected.into(),
            found: observed.machine_id.clone(),
        });
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
    if let (Some(until), Some(outcome)) = (memory.next_attempt, &memory.outcome)
        && until > now
        && !insistence.is_a_persons()
    {
        return wait(Why::BackingOff {
            until,
            outcome: outcome.clone(),
        });
    }
    if !situation.braked_by.is_empty()
        && !insistence.is_a_persons()
        && situation.action.changes_host()
    {
        return wait(Why::Braked {
            by: situation.braked_by.to_vec(),
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
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use deploy::{SwitchLock, Transience};

    use super::*;
    use crate::config::BackoffConfig;
    use crate::memory::{Jitter, Target};

    const BOOT: &str = "5f0c2a57-0000-4000-8000-000000000000";

    fn toplevel(name: &str) -> Toplevel {
        format!("/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-{name}")
            .parse()
            .unwrap()
    }

    fn observation(running: &str, profile: &str) -> Observation {
        Observation {
            running: Some(toplevel(running)),
            booted: None,
            profile: Some(toplevel(profile)),
            boot_id: BOOT.into(),
            machine_id: String::new(),
            system_state: "running".into(),
            failed_units: Vec::new(),
            unfinished_lists: false,
            reboot_reasons: Vec::new(),
            free_bytes: BTreeMap::new(),
            switch_lock: SwitchLock::Free,
            deployments: Vec::new(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    fn after(outcome: &Outcome) -> Memory {
        let backoff = BackoffConfig {
            first: Duration::from_secs(10),
            factor: 2.0,
            max: Duration::from_secs(3600),
            jitter: 0.0,
        };
        let mut memory = Memory::default();
        memory.aim(&Target {
            revision: "a".repeat(40).parse().unwrap(),
            action: Action::Switch,
        });
        memory.conclude(outcome, &backoff, Jitter::NONE, now());
        memory
    }

    fn failed() -> Outcome {
        Outcome::ActivationFailed {
            step: "test".into(),
            code: Some(2),
            detail: String::new(),
        }
    }

    fn broken() -> Outcome {
        Outcome::BuildFailed {
            detail: "builder failed".into(),
            transience: Transience::Permanent,
        }
    }

    struct Case {
        action: Action,
        observed: Result<Observation, &'static str>,
        memory: Memory,
        policy: Policy,
        suspended: Option<&'static str>,
        braked_by: Vec<HostName>,
        insistence: Insistence,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                action: Action::Switch,
                observed: Ok(observation("old", "old")),
                memory: Memory::default(),
                policy: Policy::Enforce,
                suspended: None,
                braked_by: Vec::new(),
                insistence: Insistence::None,
            }
        }
    }

    /// Decides for a host that is wanted on the toplevel `new`.
    fn check(case: &Case, expected: &str) {
        let wanted = toplevel("new");
        let situation = Situation {
            action: case.action,
            wanted: Some(&wanted),
            observed: case.observed.as_ref().map_err(|error| *error),
            memory: &case.memory,
            policy: case.policy,
            suspended: case.suspended,
            braked_by: &case.braked_by,
            insistence: case.insistence,
        };
        assert_eq!(decide(&situation, now()).label(), expected);
    }

    #[test]
    fn a_host_elsewhere_is_deployed() {
        check(&Case::default(), "deploy");
    }

    #[test]
    fn switch_wants_both_the_running_system_and_the_profile() {
        let at = |running, profile| Case {
            observed: Ok(observation(running, profile)),
            ..Case::default()
        };
        check(&at("new", "new"), "up_to_date");
        check(&at("new", "old"), "deploy");
        check(&at("old", "new"), "deploy");
    }

    #[test]
    fn test_wants_the_running_system_and_boot_the_profile() {
        let at = |action, running, profile| Case {
            action,
            observed: Ok(observation(running, profile)),
            ..Case::default()
        };
        check(&at(Action::Test, "new", "old"), "up_to_date");
        check(&at(Action::Test, "old", "new"), "deploy");
        check(&at(Action::Boot, "old", "new"), "up_to_date");
        check(&at(Action::Boot, "new", "old"), "deploy");
    }

    #[test]
    fn a_host_that_boots_what_is_wanted_is_left_alone_also_when_a_person_asks() {
        let case = Case {
            action: Action::Boot,
            observed: Ok(observation("old", "new")),
            insistence: Insistence::Asked,
            ..Case::default()
        };
        check(&case, "up_to_date");
    }

    #[test]
    fn build_and_dry_activate_are_done_once_and_again_when_a_person_asks() {
        let done = Memory {
            done_once: Some((Action::Build, toplevel("new"))),
            ..Memory::default()
        };
        let build = |memory: &Memory, insistence| Case {
            action: Action::Build,
            observed: Err("off"),
            memory: memory.clone(),
            insistence,
            ..Case::default()
        };
        check(&build(&Memory::default(), Insistence::None), "deploy");
        check(&build(&done, Insistence::None), "up_to_date");
        check(&build(&done, Insistence::Asked), "deploy");
    }

    #[test]
    fn a_host_is_not_there_while_a_switch_left_units_to_start() {
        let mut observed = observation("new", "new");
        observed.unfinished_lists = true;
        let case = Case {
            observed: Ok(observed),
            ..Case::default()
        };
        check(&case, "deploy");
    }

    #[test]
    fn a_host_is_not_there_after_an_activation_that_broke_off_until_it_has_booted() {
        let case = |boot: &str| Case {
            observed: Ok(observation("new", "new")),
            memory: Memory {
                broken_activation: Some((toplevel("new"), boot.into())),
                ..Memory::default()
            },
            ..Case::default()
        };
        check(&case(BOOT), "deploy");
        check(&case("another boot"), "up_to_date");
    }

    #[test]
    fn a_host_that_does_not_answer_is_waited_for() {
        let case = |insistence| Case {
            observed: Err("connection refused"),
            insistence,
            ..Case::default()
        };
        check(&case(Insistence::None), "unreachable");
        check(&case(Insistence::Forced), "unreachable");
    }

    #[test]
    fn another_machine_under_the_hosts_name_is_left_alone_even_when_it_runs_what_is_wanted() {
        let case = |known: Option<&str>, running: &str| {
            let mut observed = observation(running, running);
            observed.machine_id = "b".repeat(32);
            Case {
                observed: Ok(observed),
                memory: Memory {
                    machine_id: known.map(str::to_owned),
                    ..Memory::default()
                },
                // Force is taken before: it forgets the machine that was known.
                insistence: Insistence::Forced,
                ..Case::default()
            }
        };
        check(&case(Some("a"), "old"), "another_machine");
        check(&case(Some("a"), "new"), "another_machine");
        check(&case(Some(&"b".repeat(32)), "old"), "deploy");
        check(&case(None, "old"), "deploy");
    }

    #[test]
    fn what_could_not_stay_is_kept_away_until_force_or_another_system() {
        let quarantined = |toplevel_name: &str, insistence| Case {
            memory: Memory {
                quarantine: Some(crate::memory::Quarantine {
                    toplevel: toplevel(toplevel_name),
                    outcome: failed(),
                    since: now(),
                }),
                ..Memory::default()
            },
            insistence,
            ..Case::default()
        };
        check(&quarantined("new", Insistence::None), "quarantined");
        check(&quarantined("new", Insistence::Asked), "quarantined");
        check(&quarantined("new", Insistence::Forced), "deploy");
        check(&quarantined("other", Insistence::None), "deploy");
        let dry = Case {
            action: Action::DryActivate,
            ..quarantined("new", Insistence::None)
        };
        check(&dry, "deploy");
    }

    #[test]
    fn a_commit_that_other_hosts_rolled_back_waits_for_a_person() {
        let case = |insistence| Case {
            braked_by: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            insistence,
            ..Case::default()
        };
        check(&case(Insistence::None), "braked");
        check(&case(Insistence::Asked), "deploy");
        let there = Case {
            observed: Ok(observation("new", "new")),
            ..case(Insistence::None)
        };
        check(&there, "up_to_date");
    }

    #[test]
    fn observe_reports_and_changes_nothing_until_a_person_asks() {
        let case = |insistence| Case {
            policy: Policy::Observe,
            insistence,
            ..Case::default()
        };
        check(&case(Insistence::None), "observing");
        check(&case(Insistence::Asked), "deploy");
        for action in Action::ALL {
            let changing = Case {
                action,
                ..case(Insistence::None)
            };
            let expected = if action.changes_host() {
                "observing"
            } else {
                "deploy"
            };
            check(&changing, expected);
        }
    }

    #[test]
    fn a_suspended_host_needs_force_and_is_still_seen_in_sync() {
        let case = |insistence| Case {
            suspended: Some("under repair"),
            insistence,
            ..Case::default()
        };
        check(&case(Insistence::None), "suspended");
        check(&case(Insistence::Asked), "suspended");
        check(&case(Insistence::Forced), "deploy");
        let in_sync = Case {
            observed: Ok(observation("new", "new")),
            ..case(Insistence::None)
        };
        check(&in_sync, "up_to_date");
    }

    #[test]
    fn a_failed_attempt_backs_off_and_a_person_cuts_that_short() {
        let case = |insistence| Case {
            memory: after(&failed()),
            insistence,
            ..Case::default()
        };
        check(&case(Insistence::None), "backing_off");
        check(&case(Insistence::Asked), "deploy");
        let mut due = case(Insistence::None);
        due.memory.next_attempt = Some(now());
        check(&due, "deploy");
    }

    #[test]
    fn what_cannot_heal_by_itself_is_not_tried_again_without_force() {
        let case = |insistence| Case {
            memory: after(&broken()),
            insistence,
            ..Case::default()
        };
        check(&case(Insistence::None), "settled");
        check(&case(Insistence::Asked), "settled");
        check(&case(Insistence::Forced), "deploy");
    }

    #[test]
    fn a_degraded_host_is_in_sync_and_drift_from_it_is_corrected() {
        let degraded = Outcome::Degraded { units: Vec::new() };
        let case = |running: &str| Case {
            observed: Ok(observation(running, running)),
            memory: after(&degraded),
            ..Case::default()
        };
        check(&case("new"), "up_to_date");
        check(&case("other"), "deploy");
    }

    #[test]
    fn a_commit_that_failed_to_evaluate_is_not_evaluated_before_its_time() {
        let passing = Outcome::EvaluationFailed {
            detail: String::new(),
            transience: Transience::Transient,
        };
        let memory = after(&passing);
        assert!(!may_evaluate(&memory, Insistence::None, now()));
        assert!(may_evaluate(&memory, Insistence::Asked, now()));
        let due = memory.next_attempt.unwrap();
        assert!(may_evaluate(&memory, Insistence::None, due));

        let lasting = after(&broken());
        let much_later = Timestamp::from_second(9_000_000).unwrap();
        assert!(!may_evaluate(&lasting, Insistence::Asked, much_later));
        assert!(may_evaluate(&lasting, Insistence::Forced, now()));
    }
}
