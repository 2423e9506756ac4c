//! What is wanted of a host now: its pin, or the tip of its branch, or a person's order.

use deploy::Action;
use desired_state::{BranchState, HostName, Revision, Store, StoreError, Wish};
use jiff::Timestamp;

use crate::config::HostConfig;
use crate::memory::Target;
use crate::orders::Order;
use crate::world::World;

/// A commit that is wanted on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The commit, and how it is to be brought there.
    pub target: Target,
    /// Since when.
    pub since: Timestamp,
    /// What led to it, for the history.
    pub cause: String,
    /// Whether the loop keeps the host there, or it is done once.
    pub standing: Standing,
}

/// How long a wish lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The loop keeps the host there.
    Kept,
    /// A person asked for it once.
    Once,
    /// It stands in for what is wanted, which is in quarantine on this host or cannot be activated
    /// before a reboot.
    Refuge {
        /// What is wanted.
        from: Target,
    },
}

impl Desired {
    /// What has to be wanted for this to be worth doing.
    pub fn asked_for(&self) -> &Target {
        match &self.standing {
            Standing::Kept | Standing::Once => &self.target,
            Standing::Refuge { from } => from,
        }
    }
}

/// What is wanted of `host`, or in words why nothing is.
///
/// # Errors
/// When the state cannot be read.
pub async fn desired(
    world: &World,
    host: &HostName,
    config: &HostConfig,
    order: Option<&Order>,
) -> Result<Result<Desired, String>, StoreError> {
    let kept = kept(&world.store, host, config).await?;
    let Some(order) = order else {
        return Ok(kept);
    };
    let once = |revision: Revision, action: Action| Desired {
        target: Target { revision, action },
        since: order.at,
        cause: format!("person {}", order.by),
        standing: Standing::Once,
    };
    Ok(match (&order.revision, kept) {
        (Some(revision), _) => Ok(once(
            revision.clone(),
            order.action.unwrap_or(config.action),
        )),
        (None, Ok(kept)) => match order.action {
            Some(action) if action != kept.target.action => Ok(once(kept.target.revision, action)),
            _ => Ok(kept),
        },
        (None, Err(why)) => Err(why),
    })
}

/// What the loop keeps `host` on: its pin, or the tip of its branch; or in words why nothing.
///
/// # Errors
/// When the state cannot be read.
pub async fn kept(
    store: &Store,
    host: &HostName,
    config: &HostConfig,
) -> Result<Result<Desired, String>, StoreError> {
    if let Some(pin) = store.pinned(host).await? {
        return Ok(Ok(Desired {
            target: Target {
                revision: pin.revision,
                // Written by us; an action of a later version falls back to the configured one.
                action: pin.action.parse().unwrap_or(config.action),
            },
            since: pin.since,
            cause: format!("pin by {}", pin.by),
            standing: Standing::Kept,
        }));
    }
    let wish = store.wish(host).await?;
    Ok(from_branch(wish.as_ref(), config))
}

/// What the host's branch asks for, or in words why nothing.
pub fn from_branch(wish: Option<&Wish>, config: &HostConfig) -> Result<Desired, String> {
    let (repository, branch) = (&config.repository, &config.branch);
    // A wish for what the host no longer follows is none: the branch is about to be looked at.
    let wish = wish.filter(|wish| wish.repository == *repository && wish.branch == *branch);
    let Some(wish) = wish else {
        return Err(format!(
            "branch {branch} of {repository} has not been looked at yet"
        ));
    };
    match &wish.revision {
        Some(revision) => Ok(Desired {
            target: Target {
                revision: revision.clone(),
                action: config.action,
            },
            since: wish.requested_at,
            cause: wish.cause.to_string(),
            standing: Standing::Kept,
        }),
        None => Err(match &wish.branch_state {
            BranchState::Untrusted { to, why } => {
                format!("commit {} of {branch} is not trusted: {why}", to.short())
            }
            _ => format!("{repository} has no branch {branch}"),
        }),
    }
}
