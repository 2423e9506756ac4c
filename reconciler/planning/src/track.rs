//! What a host should run after its branch has been fetched.

use desired_state::{BranchState, Cause, Distrust, HostName, Lineage, Revision, Wish};
use jiff::Timestamp;

use crate::model::spec::{ForcedPush, HostConfig};

/// What the mirror says of the branch that a host follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Its newest commit; absent if there is no such branch.
    pub revision: Option<Revision>,
    /// How that commit descends from the one recorded for the host, if both are known.
    pub lineage: Option<Lineage>,
    /// Why that commit must not be deployed, if it must not.
    pub distrust: Option<Distrust>,
}

/// Why the branch was fetched, and when that began to be wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    /// What made us fetch.
    pub cause: Cause,
    /// When the push was received, or found.
    pub at: Timestamp,
}

/// The wish that follows from the branch as it was fetched, or `None` if the recorded one stands.
///
/// A branch that is gone, was rewound against the rule or has a newest commit that is not trusted leaves
/// the host on its revision, and the wish says so.
pub fn track(
    host: &HostName,
    config: &HostConfig,
    rule: ForcedPush,
    recorded: Option<&Wish>,
    tip: &Tip,
    occasion: &Occasion,
) -> Option<Wish> {
    let recorded = recorded.filter(|wish| {
        wish.repository == config.follows.repository && wish.branch == config.follows.branch
    });
    let wish = |revision: Option<Revision>, branch_state| Wish {
        host: host.clone(),
        repository: config.follows.repository.clone(),
        branch: config.follows.branch.clone(),
        revision,
        branch_state,
        cause: occasion.cause.clone(),
        requested_at: occasion.at,
        recorded_at: occasion.at,
    };
    let kept = recorded.and_then(|wish| wish.revision.clone());
    let next = match (&tip.revision, &kept) {
        (None, _) => wish(kept.clone(), BranchState::Gone),
        (Some(to), _) if let Some(distrust) = &tip.distrust => {
            let why = distrust.to_string();
            wish(
                kept.clone(),
                BranchState::Untrusted {
                    to: to.clone(),
                    why,
                },
            )
        }
        (Some(tip), None) => wish(Some(tip.clone()), BranchState::Present),
        (Some(new), Some(old)) if new == old => wish(kept.clone(), BranchState::Present),
        (Some(new), Some(_)) => match (tip.lineage, rule) {
            (Some(Lineage::Rewound) | None, ForcedPush::Refuse) => {
                wish(kept.clone(), BranchState::Rewound { to: new.clone() })
            }
            _ => wish(Some(new.clone()), BranchState::Present),
        },
    };
    let stands = recorded.is_some_and(|wish| {
        wish.revision == next.revision && wish.branch_state == next.branch_state
    });
    (!stands).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, host, host_config, revision, wish};

    fn occasion() -> Occasion {
        Occasion {
            cause: Cause::Poll,
            at: at(1000),
        }
    }

    fn recorded(kept: Option<char>, branch_state: BranchState) -> Wish {
        wish(kept.map(revision), branch_state)
    }

    /// What follows for a host on `kept` when the branch points at `tip`: the revision, and the
    /// branch's state.
    fn check(
        recorded: Option<&Wish>,
        tip: Option<(char, Option<Lineage>)>,
        rule: ForcedPush,
        expected: Option<(Option<char>, BranchState)>,
    ) {
        let tip = Tip {
            revision: tip.map(|(digit, _)| revision(digit)),
            lineage: tip.and_then(|(_, lineage)| lineage),
            distrust: None,
        };
        let wish = track(&host(), &host_config(), rule, recorded, &tip, &occasion());
        assert_eq!(
            wish.map(|wish| (wish.revision, wish.branch_state)),
            expected.map(|(digit, state)| (digit.map(revision), state))
        );
    }

    const REFUSE: ForcedPush = ForcedPush::Refuse;
    const FOLLOW: ForcedPush = ForcedPush::Follow;

    #[test]
    fn the_first_fetch_takes_the_tip() {
        let expected = Some((Some('b'), BranchState::Present));
        check(None, Some(('b', None)), REFUSE, expected);
    }

    #[test]
    fn a_push_moves_the_wish_forward_and_an_unchanged_tip_leaves_it() {
        let on_a = recorded(Some('a'), BranchState::Present);
        let expected = Some((Some('b'), BranchState::Present));
        check(
            Some(&on_a),
            Some(('b', Some(Lineage::Forward))),
            REFUSE,
            expected,
        );
        check(Some(&on_a), Some(('a', Some(Lineage::Same))), REFUSE, None);
    }

    #[test]
    fn a_forced_push_is_refused_or_followed_by_the_rule() {
        let on_a = recorded(Some('a'), BranchState::Present);
        let rewound = Some(('b', Some(Lineage::Rewound)));
        let refused = BranchState::Rewound { to: revision('b') };
        check(Some(&on_a), rewound, REFUSE, Some((Some('a'), refused)));
        check(
            Some(&on_a),
            rewound,
            FOLLOW,
            Some((Some('b'), BranchState::Present)),
        );
    }

    #[test]
    fn a_commit_that_is_not_trusted_leaves_the_host_on_its_revision_whatever_the_rule() {
        let untrusted = |lineage| Tip {
            revision: Some(revision('b')),
            lineage,
            distrust: Some(Distrust::Unsigned),
        };
        let on_a = recorded(Some('a'), BranchState::Present);
        for (recorded, kept, lineage) in [
            (None, None, None),
            (Some(&on_a), Some('a'), Some(Lineage::Forward)),
            (Some(&on_a), Some('a'), Some(Lineage::Rewound)),
        ] {
            let tip = untrusted(lineage);
            let wish = track(&host(), &host_config(), FOLLOW, recorded, &tip, &occasion()).unwrap();
            assert_eq!(wish.revision, kept.map(revision));
            let state = BranchState::Untrusted {
                to: revision('b'),
                why: Distrust::Unsigned.to_string(),
            };
            assert_eq!(wish.branch_state, state);
            let again = track(
                &host(),
                &host_config(),
                FOLLOW,
                Some(&wish),
                &tip,
                &occasion(),
            );
            assert_eq!(again, None, "it is said once");
            let trusted = Tip {
                distrust: None,
                ..tip
            };
            let wish = track(
                &host(),
                &host_config(),
                FOLLOW,
                Some(&wish),
                &trusted,
                &occasion(),
            );
            assert_eq!(wish.unwrap().revision, Some(revision('b')));
        }
    }

    #[test]
    fn a_deleted_branch_leaves_the_host_on_its_revision_and_its_return_is_noticed() {
        let on_a = recorded(Some('a'), BranchState::Present);
        check(
            Some(&on_a),
            None,
            REFUSE,
            Some((Some('a'), BranchState::Gone)),
        );
        let gone = recorded(Some('a'), BranchState::Gone);
        check(Some(&gone), None, REFUSE, None);
        let back = Some((Some('a'), BranchState::Present));
        check(Some(&gone), Some(('a', Some(Lineage::Same))), REFUSE, back);
    }

    #[test]
    fn a_wish_for_another_branch_says_nothing_about_this_one() {
        let mut elsewhere = recorded(Some('a'), BranchState::Present);
        elsewhere.branch = "another".parse().unwrap();
        let expected = Some((Some('b'), BranchState::Present));
        check(Some(&elsewhere), Some(('b', None)), REFUSE, expected);
        check(
            Some(&elsewhere),
            None,
            REFUSE,
            Some((None, BranchState::Gone)),
        );
    }
}
