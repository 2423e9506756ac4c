//! What is wanted of a host: its pin, or the tip of its branch, or a person's order.

use deploy::Action;
use desired_state::{BranchState, Pin, Revision, Wish};

use crate::model::cause::Cause;
use crate::model::decision::Why;
use crate::model::goal::{Goal, GoalKind, Target};
use crate::model::order::Order;
use crate::model::spec::HostConfig;

/// What is wanted of a host: what a person orders for once, else its pin, else what its branch asks for.
///
/// # Errors
/// Why nothing is.
pub fn desired(
    config: &HostConfig,
    pin: Option<&Pin>,
    wish: Option<&Wish>,
    order: Option<&Order>,
) -> Result<Goal, Why> {
    let kept = kept(config, pin, wish);
    let Some(order) = order else {
        return kept;
    };
    let once = |revision: Revision, action: Action| Goal {
        target: Target { revision, action },
        since: order.at,
        cause: Cause::Person {
            by: order.by.clone(),
        },
        kind: GoalKind::OneOff,
    };
    match (&order.revision, kept) {
        (Some(revision), _) => Ok(once(
            revision.clone(),
            order.action.unwrap_or(config.action),
        )),
        (None, Ok(kept)) => match order.action {
            Some(action) if action != kept.target.action => Ok(once(kept.target.revision, action)),
            _ => Ok(kept),
        },
        (None, Err(why)) => Err(why),
    }
}

/// What the loop keeps a host at: its pin, or the tip of its branch.
///
/// # Errors
/// Why nothing.
pub fn kept(config: &HostConfig, pin: Option<&Pin>, wish: Option<&Wish>) -> Result<Goal, Why> {
    match pin {
        Some(pin) => Ok(Goal {
            target: Target {
                revision: pin.revision.clone(),
                // Written by us; an action of a later version falls back to the configured one.
                action: pin.action.parse().unwrap_or(config.action),
            },
            since: pin.since,
            cause: Cause::Pin { by: pin.by.clone() },
            kind: GoalKind::Persistent,
        }),
        None => from_branch(config, wish),
    }
}

/// What the host's branch asks for.
///
/// # Errors
/// Why nothing.
pub fn from_branch(config: &HostConfig, wish: Option<&Wish>) -> Result<Goal, Why> {
    let (repository, branch) = (&config.follows.repository, &config.follows.branch);
    let nothing = |detail| Err(Why::NoRevision { detail });
    // A wish for what the host no longer follows is none: the branch is about to be fetched.
    let wish = wish.filter(|wish| wish.repository == *repository && wish.branch == *branch);
    let Some(wish) = wish else {
        return nothing(format!(
            "branch {branch} of {repository} has not been looked at yet"
        ));
    };
    match (&wish.revision, &wish.branch_state) {
        (Some(revision), _) => Ok(Goal {
            target: Target {
                revision: revision.clone(),
                action: config.action,
            },
            since: wish.requested_at,
            cause: wish.cause.clone().into(),
            kind: GoalKind::Persistent,
        }),
        (None, BranchState::Untrusted { to, why }) => nothing(format!(
            "commit {} of {branch} is not trusted: {why}",
            to.short()
        )),
        (None, _) => nothing(format!("{repository} has no branch {branch}")),
    }
}

#[cfg(test)]
mod tests;
