//! Fetches a repository when the bell rings or the timer says so, and writes down what its
//! branches wish for each host.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use desired_state::{Branches, Cause, HostName, MirrorError, RepositoryName, StoreError, Wish};
use planning::model::spec::ForcedPush;
use planning::track::track;
use tokio::time::Instant;

use crate::config::Config;
use crate::context::{Context, Repository};
use crate::controller::branches::{Look, Person, log, tip};
use crate::error_chain::error_chain;
use crate::telemetry::metrics::{Phase, Polled};

/// Between two looks at one repository: a flood of replayed deliveries costs a fetch a second.
const BETWEEN_FETCHES: Duration = Duration::from_secs(1);
/// After a look that failed, doubled each time up to the poll interval: a server that restarts is
/// back within a minute, and a delivery waits no longer than needed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Why a repository could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
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

impl FetchError {
    fn mirror(repository: &Repository, source: MirrorError) -> Self {
        Self::Mirror {
            repository: repository.name.clone(),
            source,
        }
    }

    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Mirror { source, .. } => source.is_worth_retrying(),
            Self::Store(error) => error.is_worth_retrying(),
        }
    }
}

/// Looks at one repository until it leaves the config: at once, then at each ring and each poll.
pub async fn watch(context: Arc<Context>, name: RepositoryName) {
    let mut failures: u32 = 0;
    let mut last_error = String::new();
    loop {
        let Some(repository) = context.clients().repository(&name).cloned() else {
            context.metrics.forget_repository(&name);
            return;
        };
        let poll = repository.config.poll_interval;
        let mut wait = poll;
        match fetch(&context, &repository, Person::Nobody).await {
            Ok(looked) => {
                failures = 0;
                last_error.clear();
                if looked.awaits_delivery {
                    wait = wait.min(delivery_grace(&context));
                }
            }
            Err(error) => {
                wait = AFTER_FAILURE
                    .saturating_mul(1 << failures.min(16))
                    .min(poll);
                failures = failures.saturating_add(1);
                let text = error_chain(&error);
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
            biased;
            () = repository.bell.notified() => tokio::time::sleep_until(looked_at + BETWEEN_FETCHES).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn delivery_grace(context: &Context) -> Duration {
    let clients = context.clients();
    let webhook = clients.config.webhook.as_ref();
    webhook.map_or(Duration::MAX, |webhook| webhook.delivery_grace)
}

/// What a fetch found.
#[derive(Debug)]
pub struct Fetched {
    /// Whether a commit was found that no delivery has announced yet.
    pub awaits_delivery: bool,
}

/// Fetches the repository and writes down what its branches wish; wakes the hosts concerned.
///
/// # Errors
/// When it cannot be fetched, or the state not be used; a delivery that led here is still to be fetched then.
pub async fn fetch(
    context: &Arc<Context>,
    repository: &Arc<Repository>,
    person: Person<'_>,
) -> Result<Fetched, FetchError> {
    let _alone = repository.fetching.lock().await;
    // Deliveries that arrive during the fetch are for the next: this one may have come too early.
    let deliveries = context.store.deliveries_to_fetch(&repository.name).await?;
    let config = Arc::clone(&context.clients().config);
    let branches = match person {
        Person::Nobody => followed(&config, &repository.name),
        // A person may ask for a branch or a commit that no host follows.
        Person::Asked { .. } | Person::Forced { .. } => Branches::All,
    };
    bring_up_to_date(context, repository, branches).await?;
    let occasion = Look {
        deliveries: &deliveries,
        person,
        now: context.now(),
    };
    let wishes = changed_wishes(context, repository, &config, &occasion).await?;
    if !wishes.is_empty() {
        context.store.set_wishes(&wishes).await?;
        for wish in &wishes {
            context.waker.wake(&wish.host);
        }
        context.wishes_changed();
    }
    let awaits_delivery = note_unannounced(context, repository, &config, &wishes).await?;
    let ids: Vec<_> = deliveries.iter().map(|one| one.id.clone()).collect();
    context.store.mark_fetched(&repository.name, &ids).await?;
    count_missed(context, &config).await?;
    Ok(Fetched { awaits_delivery })
}

/// The branches of a repository that hosts follow.
fn followed(config: &Config, name: &RepositoryName) -> Branches {
    let hosts = config.hosts.values().map(|host| &host.follows);
    let here = hosts.filter(|follows| follows.repository == *name);
    Branches::These(here.map(|follows| follows.branch.clone()).collect())
}

/// Brings the mirror to where the server is.
async fn bring_up_to_date(
    context: &Context,
    repository: &Repository,
    branches: Branches,
) -> Result<(), FetchError> {
    let began = Instant::now();
    let fetched = repository.source.fetch(branches).await;
    let metrics = &context.metrics;
    metrics.phase_took(Phase::Fetch, began.elapsed());
    let polled = match &fetched {
        Err(_) => Polled::Failed,
        Ok(fetched) if fetched.changed.is_empty() => Polled::Nothing,
        Ok(_) => Polled::Found,
    };
    metrics.polled(&repository.name, polled, context.now());
    let fetched = fetched.map_err(|source| FetchError::mirror(repository, source))?;
    if fetched.recloned {
        tracing::warn!(repository = %repository.name, "the mirror was damaged and has been cloned again");
    }
    Ok(())
}

/// What the branches wish now of the hosts that follow them, where that is something else than before.
async fn changed_wishes(
    context: &Context,
    repository: &Repository,
    config: &Config,
    look: &Look<'_>,
) -> Result<Vec<Wish>, FetchError> {
    let recorded = context.store.wishes().await?;
    let recorded: HashMap<&HostName, &Wish> =
        recorded.iter().map(|wish| (&wish.host, wish)).collect();
    let mut wishes = Vec::new();
    // Hosts that follow one branch from one commit share the answer.
    let mut tips = HashMap::new();
    let followers = config.hosts.iter();
    for (host, host_config) in
        followers.filter(|(_, one)| one.follows.repository == repository.name)
    {
        let recorded = recorded.get(host).copied();
        let kept = recorded.and_then(|wish| wish.revision.clone());
        let tip = match tips.entry((&host_config.follows.branch, kept)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let tip = tip(repository, host_config, recorded).await;
                unknown.insert(tip.map_err(|source| FetchError::mirror(repository, source))?)
            }
        };
        let occasion = look.occasion(host_config, recorded);
        let rule = match look.person {
            Person::Forced { hosts, .. } if hosts.contains(host) => ForcedPush::Follow,
            _ => repository.config.forced_push,
        };
        if let Some(wish) = track(host, host_config, rule, recorded, tip, &occasion) {
            log(&wish, recorded);
            wishes.push(wish);
        }
    }
    Ok(wishes)
}

/// Notes the commits that a poll found and no delivery has announced yet; gives whether there are any.
async fn note_unannounced(
    context: &Context,
    repository: &Repository,
    config: &Config,
    wishes: &[Wish],
) -> Result<bool, StoreError> {
    let mut awaits_delivery = false;
    for wish in wishes {
        if wish.cause == Cause::Poll
            && config.webhook.is_some()
            && let Some(revision) = &wish.revision
        {
            awaits_delivery = true;
            context
                .store
                .note_unannounced(&repository.name, &wish.branch, revision, wish.requested_at)
                .await?;
        }
    }
    Ok(awaits_delivery)
}

async fn count_missed(context: &Context, config: &Config) -> Result<(), StoreError> {
    let Some(webhook) = &config.webhook else {
        return Ok(());
    };
    let missed = context
        .store
        .settle_unannounced(context.now(), webhook.delivery_grace)
        .await?;
    for one in &missed {
        context.metrics.deliveries_missed(1);
        if let Some(other) = context.registries.strangers.told_of(&one.revision) {
            tracing::warn!(
                repository = %one.repository,
                branch = %one.branch,
                revision = one.revision.short(),
                announced_for = other,
                "a poll found a commit that a delivery announced for another repository, which no host \
                 follows; was the repository renamed? Then put the new name and URL into the config"
            );
            continue;
        }
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

#[cfg(test)]
mod tests;
