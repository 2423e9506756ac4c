//! What the branches of a repository that was just fetched say to the hosts that follow them.

use desired_state::{BranchState, Cause, HostName, MirrorError, ReceivedDelivery, Revision, Wish};
use jiff::Timestamp;
use planning::model::spec::HostConfig;
use planning::track::{Occasion, Tip};

use crate::context::Repository;

/// Who asked for a fetch, if a person did.
#[derive(Debug, Clone, Copy)]
pub enum Person<'a> {
    /// A delivery or the timer.
    Nobody,
    /// A person asked.
    Asked {
        /// Who.
        by: &'a str,
    },
    /// A person said `--force`, which lifts a refused forced push for these hosts.
    Forced {
        /// Who.
        by: &'a str,
        /// For which hosts.
        hosts: &'a [HostName],
    },
}

/// What led to a fetch, and when.
#[derive(Debug)]
pub struct Look<'a> {
    /// The deliveries that it is for.
    pub deliveries: &'a [ReceivedDelivery],
    /// Who asked for it.
    pub person: Person<'a>,
    /// When it ended.
    pub now: Timestamp,
}

impl Look<'_> {
    /// What made us look at a host's branch: a delivery for it, else a person, else the timer.
    pub fn occasion(&self, config: &HostConfig, recorded: Option<&Wish>) -> Occasion {
        let followed_before = recorded.is_some_and(|wish| {
            wish.repository == config.follows.repository && wish.branch == config.follows.branch
        });
        // Test deliveries announce nothing, and any event may announce a branch's end.
        let delivery = self.deliveries.iter().find(|delivery| {
            delivery.event != "test"
                && delivery.branch.as_deref() == Some(config.follows.branch.as_ref())
        });
        match (self.person, delivery) {
            (_, Some(delivery)) => Occasion {
                cause: Cause::Delivery(delivery.id.clone()),
                at: delivery.received_at,
            },
            (Person::Asked { by } | Person::Forced { by, .. }, None) => Occasion {
                cause: Cause::Person(by.to_owned()),
                at: self.now,
            },
            (Person::Nobody, None) => Occasion {
                cause: if followed_before {
                    Cause::Poll
                } else {
                    Cause::Configuration
                },
                at: self.now,
            },
        }
    }
}

/// What the mirror says now of the branch that a host follows.
///
/// # Errors
/// When the mirror cannot be read.
pub async fn tip(
    repository: &Repository,
    config: &HostConfig,
    recorded: Option<&Wish>,
) -> Result<Tip, MirrorError> {
    let revision = repository.source.tip(&config.follows.branch).await?;
    let kept = recorded.and_then(|wish| wish.revision.as_ref());
    let lineage = match (kept, &revision) {
        (Some(old), Some(new)) => Some(repository.source.lineage(old, new).await?),
        _ => None,
    };
    let distrust = match &revision {
        Some(revision) => repository.source.verify(revision).await,
        None => None,
    };
    Ok(Tip {
        revision,
        lineage,
        distrust,
    })
}

/// Says what a branch wishes of a host from now on.
pub fn log(wish: &Wish, recorded: Option<&Wish>) {
    let (host, branch) = (&wish.host, &wish.branch);
    let kept = wish.revision.as_ref().map(Revision::short);
    match &wish.branch_state {
        BranchState::Present => {
            let before = recorded.and_then(|wish| wish.revision.as_ref());
            tracing::info!(
                %host,
                branch = %branch,
                revision = kept,
                before = before.map(Revision::short),
                cause = %wish.cause,
                "new revision wanted"
            );
        }
        BranchState::Gone => tracing::warn!(
            %host, branch = %branch, revision = kept,
            "the branch does not exist; the host keeps its revision"
        ),
        BranchState::Rewound { to } => tracing::warn!(
            %host, branch = %branch, revision = kept, pushed = to.short(),
            "a forced push rewound the branch and is refused; the host keeps its revision. \
             Allow it once with `reconcile --host {host} --force`, or for good with forced_push = \"follow\""
        ),
        BranchState::Untrusted { to, why } => tracing::warn!(
            %host, branch = %branch, revision = kept, pushed = to.short(), why,
            "the branch's newest commit is not trusted; the host keeps its revision"
        ),
    }
}
