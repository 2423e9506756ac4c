//! What keeps a commit from hosts that have not begun it: how it fared on the others.

use desired_state::HostName;

use crate::model::goal::Goal;

/// How another host fared with a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fared {
    /// Which host.
    pub host: HostName,
    /// Whether it keeps a system in quarantine. A host that went back only because we were away does not: that says
    /// nothing about the commit.
    pub keeps: Quarantined,
}

/// Whether a host keeps a system in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantined {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Whether the gate is there for this goal at all: what changes no host, what a person asked for once, and a host's
/// way back are not held up.
pub fn is_gated(goal: &Goal) -> bool {
    goal.kind.is_persistent() && goal.target.action.changes_host()
}

/// The other hosts that have rolled the wanted commit back and keep its system in quarantine, if they are as many as
/// the config allows (`limits.rollbacks`); else none.
pub fn halted_by(host: &HostName, others: &[Fared], rollbacks: usize) -> Vec<HostName> {
    let mut by: Vec<HostName> = others
        .iter()
        .filter(|other| other.host != *host && other.keeps == Quarantined::Yes)
        .map(|other| other.host.clone())
        .collect();
    if by.len() < rollbacks {
        by.clear();
    }
    by
}

#[cfg(test)]
mod tests {
    use deploy::Action;

    use super::*;
    use crate::model::goal::GoalKind;
    use crate::testing::{goal, target};

    fn fared(name: &str, keeps: Quarantined) -> Fared {
        Fared {
            host: name.parse().unwrap(),
            keeps,
        }
    }

    #[test]
    fn a_commit_is_halted_once_as_many_others_as_are_allowed_keep_it_in_quarantine() {
        let host: HostName = "cyt-pi".parse().unwrap();
        let one = fared("spare", Quarantined::Yes);
        let away = fared("kiosk", Quarantined::No);
        let itself = fared("cyt-pi", Quarantined::Yes);
        let others = [one.clone(), away, itself];
        assert_eq!(halted_by(&host, &others, 2), []);
        assert_eq!(
            halted_by(&host, &others, 1),
            std::slice::from_ref(&one.host)
        );
        let two = [one.clone(), fared("backup", Quarantined::Yes)];
        assert_eq!(halted_by(&host, &two, 2).len(), 2);
    }

    #[test]
    fn only_what_the_loop_would_change_by_itself_is_held_up() {
        for action in Action::ALL {
            let mut goal = goal('a');
            goal.target.action = action;
            assert_eq!(is_gated(&goal), action.changes_host(), "{action:?}");
        }
        let from = target('b');
        for kind in [GoalKind::OneOff, GoalKind::Fallback { from }] {
            let goal = Goal { kind, ..goal('a') };
            assert!(!is_gated(&goal), "{goal:?}");
        }
    }
}
