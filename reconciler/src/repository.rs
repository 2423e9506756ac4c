//! Looks at a repository when the bell rings or the timer says so, and writes down what its
//! branches wish for each host.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use desired_state::{
    Cause, HostName, Lineage, MirrorError, ReceivedDelivery, RepositoryName, Revision, StoreError,
    Wish,
};
use tokio::time::Instant;

use crate::clock;
use crate::config::{Config, ForcedPush, HostConfig};
use crate::follow::{Occasion, Tip, follow};
use crate::metrics::{Phase, Polled};
use crate::world::{Repository, World};

/// Between two looks at one repository: a flood of replayed deliveries costs a fetch a second.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// After a look that failed, doubled each time up to the poll interval: a server that restarts is
/// back within a minute, and a delivery waits no longer than needed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Why a repository could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookError {
    /// It could not be fetched, or the mirror not read.
    #[error("cannot look at the repository {repository}")]
    Mirror {
        /// Which.
        repository: RepositoryName,
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// The state could not be read or written.
    #[error("cannot use the state")]
    Store(#[from] StoreError),
}

impl LookError {
    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Mirror { source, .. } => source.is_worth_retrying(),
            Self::Store(error) => error.is_worth_retrying(),
        }
    }
}

/// Looks at one repository until it leaves the config: at once, then at each ring and each poll.
pub async fn watch(world: Arc<World>, name: RepositoryName) {
    let mut failures: u32 = 0;
    let mut last_error = String::new();
    loop {
        let Some(repository) = world.setup().repository(&name).cloned() else {
            world.metrics.forget_repository(&name);
            return;
        };
        let poll = repository.config.poll_interval;
        let mut wait = poll;
        match look(&world, &repository, Person::Nobody).await {
            Ok(looked) => {
                failures = 0;
                last_error.clear();
                if looked.awaits_delivery {
                    wait = wait.min(delivery_grace(&world));
                }
            }
            Err(error) => {
                wait = AFTER_FAILURE
                    .saturating_mul(1 << failures.min(16))
                    .min(poll);
                failures = failures.saturating_add(1);
                let text = words(&error);
                // Said once, and again when it changes: a server that is down for a night is one line.
                if text == last_error {
                    tracing::debug!(repository = %name, error = text, "still cannot look at the repository");
                } else {
                    tracing::error!(
                        repository = %name,
                        error = text,
                        retry_in_seconds = wait.as_secs(),
                        "cannot look at the repository; hosts keep their revision"
                    );
                    last_error = text;
                }
            }
        }
        let looked_at = Instant::now();
        tokio::select! {
            () = repository.bell.notified() => tokio::time::sleep_until(looked_at + BETWEEN_LOOKS).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// An error with all that caused it, on one line.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

fn delivery_grace(world: &World) -> Duration {
    let setup = world.setup();
    let webhook = setup.config.webhook.as_ref();
    webhook.map_or(Duration::MAX, |webhook| webhook.delivery_grace)
}

/// Who asked for a look, if a person did.
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

/// What a look found.
#[derive(Debug)]
pub struct Looked {
    /// Whether a commit was found that no delivery has announced yet.
    pub awaits_delivery: bool,
}

/// Fetches the repository and writes down what its branches wish; wakes the hosts concerned.
pub async fn look(
    world: &Arc<World>,
    repository: &Arc<Repository>,
    person: Person<'_>,
) -> Result<Looked, LookError> {
    let _looking = repository.looking.lock().await;
    let mirror_error = |source| LookError::Mirror {
        repository: repository.name.clone(),
        source,
    };
    // Deliveries that arrive during the fetch are for the next look: it may have come too early.
    let deliveries = world.store.deliveries_to_fetch(&repository.name).await?;
    let began = Instant::now();
    let fetched = repository.mirror.fetch().await;
    world.metrics.phase_took(Phase::Fetch, began.elapsed());
    let polled = match &fetched {
        Err(_) => Polled::Failed,
        Ok(fetched) if fetched.changed.is_empty() => Polled::Nothing,
        Ok(_) => Polled::Found,
    };
    world.metrics.polled(&repository.name, polled, clock::now());
    let fetched = fetched.map_err(mirror_error)?;
    if fetched.recloned {
        tracing::warn!(repository = %repository.name, "the mirror was damaged and has been cloned again");
    }

    let config = Arc::clone(&world.setup().config);
    let mut awaits_delivery = false;
    let mut wishes = Vec::new();
    // Hosts that follow one branch from one commit share the answer.
    let mut tips = HashMap::new();
    for (host, host_config) in &config.hosts {
        if host_config.repository != repository.name {
            continue;
        }
        let recorded = world.store.wish(host).await?;
        let kept = recorded.as_ref().and_then(|wish| wish.revision.clone());
        let tip = match tips.entry((&host_config.branch, kept)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(
                tip(repository, host_config, recorded.as_ref())
                    .await
                    .map_err(mirror_error)?,
            ),
        };
        let occasion = occasion(host_config, recorded.as_ref(), &deliveries, person);
        let rule = match person {
            Person::Forced { hosts, .. } if hosts.contains(host) => ForcedPush::Follow,
            _ => repository.config.forced_push,
        };
        let Some(wish) = follow(host, host_config, rule, recorded.as_ref(), tip, &occasion) else {
            continue;
        };
        say(&wish, recorded.as_ref());
        wishes.push(wish);
    }
    if !wishes.is_empty() {
        world.store.set_wishes(&wishes).await?;
        for wish in &wishes {
            world.waker.wake(&wish.host);
        }
        world.wishes_changed();
    }
    for wish in &wishes {
        if wish.cause == Cause::Poll
            && config.webhook.is_some()
            && let Some(revision) = &wish.revision
        {
            awaits_delivery = true;
            world
                .store
                .note_unannounced(&repository.name, &wish.branch, revision, wish.requested_at)
                .await?;
        }
    }
    let ids: Vec<_> = deliveries.iter().map(|one| one.id.clone()).collect();
    world.store.mark_fetched(&repository.name, &ids).await?;
    count_missed(world, &config).await?;
    Ok(Looked { awaits_delivery })
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
    let revision = repository.mirror.tip(&config.branch).await?;
    let kept = recorded.and_then(|wish| wish.revision.as_ref());
    let lineage = match (kept, &revision) {
        (Some(old), Some(new)) => Some(lineage(repository, old, new).await?),
        _ => None,
    };
    let distrust = match &revision {
        Some(revision) => repository.distrust(revision).await,
        None => None,
    };
    Ok(Tip {
        revision,
        lineage,
        distrust,
    })
}

/// How `new` descends from `old`. A commit that a fresh clone no longer has was rewound away.
async fn lineage(
    repository: &Repository,
    old: &Revision,
    new: &Revision,
) -> Result<Lineage, MirrorError> {
    if old != new && !repository.mirror.contains(old).await? {
        return Ok(Lineage::Rewound);
    }
    repository.mirror.lineage(old, new).await
}

/// What made us look at a host's branch: a person, else a delivery for it, else the timer.
fn occasion(
    config: &HostConfig,
    recorded: Option<&Wish>,
    deliveries: &[ReceivedDelivery],
    person: Person<'_>,
) -> Occasion {
    let followed_before = recorded
        .is_some_and(|wish| wish.repository == config.repository && wish.branch == config.branch);
    // Test deliveries announce nothing, and any event may announce a branch's end.
    let delivery = deliveries.iter().find(|delivery| {
        delivery.event != "test" && delivery.branch.as_deref() == Some(config.branch.as_ref())
    });
    let now = clock::now();
    match (person, delivery) {
        (_, Some(delivery)) => Occasion {
            cause: Cause::Delivery(delivery.id.clone()),
            at: delivery.received_at,
        },
        (Person::Asked { by } | Person::Forced { by, .. }, None) => Occasion {
            cause: Cause::Person(by.to_owned()),
            at: now,
        },
        (Person::Nobody, None) => Occasion {
            cause: if followed_before {
                Cause::Poll
            } else {
                Cause::Configuration
            },
            at: now,
        },
    }
}

fn say(wish: &Wish, recorded: Option<&Wish>) {
    use desired_state::BranchState;
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

async fn count_missed(world: &World, config: &Config) -> Result<(), StoreError> {
    let Some(webhook) = &config.webhook else {
        return Ok(());
    };
    let missed = world
        .store
        .settle_unannounced(clock::now(), webhook.delivery_grace)
        .await?;
    for one in &missed {
        world.metrics.deliveries_missed(1);
        tracing::warn!(
            repository = %one.repository,
            branch = %one.branch,
            revision = one.revision.short(),
            "a poll found a commit that no delivery announced; look at the hook's recent deliveries \
             in Gitea, and at ALLOWED_HOST_LIST in its app.ini"
        );
    }
    Ok(())
}
