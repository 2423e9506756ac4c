//! `reconcile serve`: the loop, the receiver and the operator's surface, until a signal.

mod changes;
mod parts;
mod surfaces;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::collecting;
use crate::config::{Environment, LoadSecretsError, Loaded, WatchSettings, load_secrets, watch};
use crate::doorbell::Bell;
use crate::lock::{LockError, lock};
use crate::pass::pass;
use crate::repository::words;
use crate::room;
use crate::runner::{self, Heartbeat};
use crate::service_manager::{self, ServiceManager};
use crate::status;
use crate::world::{World, WorldError};
use changes::{Watched, take_up_changes};
pub use parts::PartEnded;
use parts::Parts;
use surfaces::Surfaces;

/// Between two rounds of removing what is too old from the store.
const BETWEEN_UPKEEPS: Duration = Duration::from_secs(6 * 3600);

/// Why the daemon could not start, or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another process works on the state.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state or a mirror cannot be used.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The webhook's secrets cannot be read.
    #[error(transparent)]
    Secrets(#[from] LoadSecretsError),
    /// An address is taken, or not ours.
    #[error("cannot listen on {address} ({what})")]
    Listen {
        /// For what.
        what: &'static str,
        /// Which address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part of it has ended.
    #[error(transparent)]
    Part(#[from] PartEnded),
}

impl ServeError {
    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Lock(error) => error.is_worth_retrying(),
            Self::World(error) => error.is_worth_retrying(),
            Self::Secrets(error) => error.is_worth_retrying(),
            Self::Listen { .. } | Self::Part(_) => true,
        }
    }
}

/// Runs until `shutdown`; then answers what it has begun to answer, and ends. Activations that run
/// on hosts go on by themselves, and the next start finds them.
///
/// # Errors
/// When it cannot start: nothing has been done to any host then. When a part of it ends before `shutdown`:
/// whoever started it is to start it again.
pub async fn serve(
    loaded: Arc<Loaded>,
    environment: Environment,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let config = Arc::clone(&loaded.config);
    let _lock = lock(&config.state_directory)?;
    let world = World::open(Arc::clone(&config)).await?;
    // Watched from before the secrets are read, so that no change falls in between.
    let changes = watch(loaded, environment, WatchSettings::default());
    let bell = match &config.webhook {
        Some(webhook) => Some(Arc::new(Bell::new(
            Arc::clone(&world),
            load_secrets(webhook)?,
        ))),
        None => None,
    };
    let surfaces = Surfaces::bind(&config).await?;

    let (parts, mut ended) = Parts::new();
    let stop = || parts.stop.clone();
    surfaces.start(&parts, &world, bell.as_ref(), &config);
    let watched = Arc::new(Watched::default());
    watched.watch_all(&world, &parts);
    let changes = take_up_changes(changes, Arc::clone(&world), bell, watched, parts.clone());
    parts.run("the watch over the config", changes);
    parts.run("the state's upkeep", upkeep(Arc::clone(&world), stop()));
    let care = collecting::look_after(Arc::clone(&world), stop());
    parts.run("the store's care", care);
    parts.run(
        "the look at the room",
        room::watch(Arc::clone(&world), stop()),
    );
    for host in config.hosts.keys() {
        if let Ok(status) = status::of_host(&world.store, host, &config.hosts[host]).await {
            world.metrics.show_host(&status);
        }
        world.waker.wake(host);
    }
    {
        let (world, stop) = (Arc::clone(&world), stop());
        parts.run("the loop", async move {
            let one_pass = {
                let world = Arc::clone(&world);
                move |host| pass(Arc::clone(&world), host)
            };
            let mut manager = ServiceManager::default();
            let heartbeat = Heartbeat {
                turned: || {
                    world.metrics.loop_turned(clock::now());
                    world.pulse.turned();
                    manager.turned(&world.setup().config);
                },
                every: service_manager::turn_interval(),
            };
            runner::run(&world.waker, one_pass, heartbeat, stop.cancelled_owned()).await;
        });
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        hosts = config.hosts.len(),
        repositories = config.repositories.len(),
        webhook = config.webhook.as_ref().map(|webhook| webhook.listen.to_string()),
        operator = config.operator_listen.map(|address| address.to_string()),
        control = %config.control_socket.display(),
        "ready"
    );

    let fault = tokio::select! {
        () = shutdown => None,
        fault = ended.recv() => fault,
    };
    service_manager::stopping();
    tracing::info!("stopping; what runs on hosts goes on there, and is taken up at the next start");
    parts.end(ended).await;
    // Left behind it would do no harm, and a person would wonder who listens there.
    let _ = std::fs::remove_file(&config.control_socket);
    world.store.close().await;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

async fn upkeep(world: Arc<World>, stop: CancellationToken) {
    loop {
        if let Err(error) = world.store.prune(clock::now()).await {
            tracing::warn!(
                error = words(&error),
                "cannot remove what is too old from the state"
            );
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(BETWEEN_UPKEEPS))
            .await
            .is_none()
        {
            return;
        }
    }
}
