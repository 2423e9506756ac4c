//! Where a host belongs while what is wanted of it is in quarantine.

use jiff::Timestamp;

use crate::model::cause::Cause;
use crate::model::decision::{Decision, Why};
use crate::model::goal::{Goal, GoalKind};
use crate::model::host_state::HostState;

/// The last system that proved itself on the host, in place of a wanted one that could not stay there:
/// drift away from the good system is still undone. `None` where nothing is in quarantine, where a
/// person asked for this very system, or where none has ever proved itself.
pub fn fallback(
    goal: &Goal,
    decision: &Decision,
    state: &HostState,
    now: Timestamp,
) -> Option<Goal> {
    let is_quarantined = matches!(
        decision,
        Decision::Wait {
            why: Why::Quarantined { .. }
        }
    );
    if !is_quarantined || !goal.kind.is_persistent() {
        return None;
    }
    Some(Goal {
        target: state.convergence.last_good.clone()?,
        since: now,
        cause: Cause::Quarantine,
        kind: GoalKind::Fallback {
            from: goal.target.clone(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host_state::Convergence;
    use crate::testing::{at, goal, quarantine, target};

    /// A host that was last good on commit `a`.
    fn good_on_a() -> HostState {
        HostState {
            convergence: Convergence {
                last_good: Some(target('a')),
                ..Convergence::default()
            },
            ..HostState::default()
        }
    }

    fn quarantined() -> Decision {
        let quarantine = quarantine("new");
        Decision::Wait {
            why: Why::Quarantined {
                outcome: quarantine.outcome,
                since: quarantine.since,
            },
        }
    }

    #[test]
    fn a_host_whose_wanted_system_could_not_stay_belongs_on_the_last_that_did() {
        let wanted = goal('b');
        let fallback = fallback(&wanted, &quarantined(), &good_on_a(), at(9)).unwrap();
        assert_eq!(fallback.target, target('a'));
        assert_eq!(
            (fallback.since, fallback.cause.to_string()),
            (at(9), "quarantine".into())
        );
        assert!(!fallback.kind.is_persistent());
        // It is worth doing for as long as the other is wanted.
        assert_eq!(fallback.asked_for(), &wanted.target);
    }

    #[test]
    fn where_none_has_proved_itself_a_host_stays_where_it_is() {
        assert_eq!(
            fallback(&goal('b'), &quarantined(), &HostState::default(), at(9)),
            None
        );
    }

    #[test]
    fn what_waits_for_anything_else_or_was_asked_for_once_has_no_fallback() {
        let observing = Decision::Wait {
            why: Why::Observing,
        };
        for decision in [Decision::UpToDate, observing] {
            assert_eq!(fallback(&goal('b'), &decision, &good_on_a(), at(9)), None);
        }
        let from = target('c');
        for kind in [GoalKind::OneOff, GoalKind::Fallback { from }] {
            let goal = Goal { kind, ..goal('b') };
            assert_eq!(fallback(&goal, &quarantined(), &good_on_a(), at(9)), None);
        }
    }
}
