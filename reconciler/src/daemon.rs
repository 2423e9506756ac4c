//! `reconcile serve`: the loop, the receiver and the operator's surface, until a signal.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use desired_state::RepositoryName;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhook::{Limits, Listener, ReceiverSettings};

use crate::clock;
use crate::collecting;
use crate::config::{
    Change, Config, Environment, LoadSecretsError, Loaded, WatchSettings, load_secrets, watch,
};
use crate::doorbell::Bell;
use crate::http::{control, operator};
use crate::lock::{LockError, lock};
use crate::metrics::ConfigChange;
use crate::pass::pass;
use crate::repository::{self, words};
use crate::room;
use crate::runner::{self, Heartbeat};
use crate::service_manager::{self, ServiceManager};
use crate::status;
use crate::world::{Setup, World, WorldError};

/// Between two rounds of removing what is too old from the store.
const BETWEEN_UPKEEPS: Duration = Duration::from_secs(6 * 3600);

/// Why the daemon could not start.
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
}

impl ServeError {
    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Lock(error) => error.is_worth_retrying(),
            Self::World(error) => error.is_worth_retrying(),
            Self::Secrets(error) => error.is_worth_retrying(),
            Self::Listen { .. } => true,
        }
    }
}

/// Runs until `shutdown`; then answers what it has begun to answer, and ends. Activations that run
/// on hosts go on by themselves, and the next start finds them.
///
/// # Errors
/// When it cannot start: nothing has been done to any host then.
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

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    surfaces.start(&mut tasks, &world, bell.as_ref(), &config, &stop);
    let watched = Arc::new(Watched::default());
    watched.watch_all(&world, &stop);
    tasks.spawn(take_up_changes(
        changes,
        Arc::clone(&world),
        bell,
        watched,
        stop.clone(),
    ));
    tasks.spawn(upkeep(Arc::clone(&world), stop.clone()));
    tasks.spawn(collecting::look_after(Arc::clone(&world), stop.clone()));
    tasks.spawn(room::watch(Arc::clone(&world), stop.clone()));
    for host in config.hosts.keys() {
        if let Ok(status) = status::of_host(&world.store, host, &config.hosts[host]).await {
            world.metrics.show_host(&status);
        }
        world.waker.wake(host);
    }
    {
        let (world, stop) = (Arc::clone(&world), stop.clone());
        tasks.spawn(async move {
            let one_pass = {
                let world = Arc::clone(&world);
                move |host| pass(Arc::clone(&world), host)
            };
            let mut manager = ServiceManager::default();
            let heartbeat = Heartbeat {
                turned: || {
                    world.metrics.loop_turned(clock::now());
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

    shutdown.await;
    service_manager::stopping();
    tracing::info!("stopping; what runs on hosts goes on there, and is taken up at the next start");
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    // Left behind it would do no harm, and a person would wonder who listens there.
    let _ = std::fs::remove_file(&config.control_socket);
    world.store.close().await;
    Ok(())
}

/// The listeners, bound before anything starts, so that a taken port stops the start and nothing
/// else.
struct Surfaces {
    webhook: Option<TcpListener>,
    operator: Option<TcpListener>,
    control: UnixListener,
}

impl Surfaces {
    async fn bind(config: &Config) -> Result<Self, ServeError> {
        let webhook = match &config.webhook {
            Some(webhook) => Some(tcp("webhook", webhook.listen).await?),
            None => None,
        };
        let operator = match config.operator_listen {
            Some(address) => Some(tcp("operator", address).await?),
            None => None,
        };
        Ok(Self {
            webhook,
            operator,
            control: unix(&config.control_socket)?,
        })
    }

    fn start(
        self,
        tasks: &mut JoinSet<()>,
        world: &Arc<World>,
        bell: Option<&Arc<Bell>>,
        config: &Config,
        stop: &CancellationToken,
    ) {
        if let (Some(listener), Some(bell), Some(webhook)) = (self.webhook, bell, &config.webhook) {
            let settings = ReceiverSettings {
                path: webhook.path.clone(),
                body_limit: webhook.body_limit,
            };
            tasks.spawn(webhook::serve(
                Listener::Tcp(listener),
                webhook::routes(settings, Arc::clone(bell)),
                Limits::HOOK,
                stop.clone().cancelled_owned(),
            ));
        }
        if let Some(listener) = self.operator {
            tasks.spawn(webhook::serve(
                Listener::Tcp(listener),
                operator::routes(Arc::clone(world)),
                operator::LIMITS,
                stop.clone().cancelled_owned(),
            ));
        }
        tasks.spawn(webhook::serve(
            Listener::Unix(self.control),
            control::routes(Arc::clone(world)),
            control::LIMITS,
            stop.clone().cancelled_owned(),
        ));
    }
}

async fn tcp(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen {
            what,
            address: address.to_string(),
            source,
        })
}

/// We hold the state's lock, so a socket that is there belongs to nobody.
fn unix(path: &Path) -> Result<UnixListener, ServeError> {
    let bound = || -> std::io::Result<UnixListener> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // Whoever may connect may deploy.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bound().map_err(|source| ServeError::Listen {
        what: "control socket",
        address: path.display().to_string(),
        source,
    })
}

/// The repositories that are being watched.
#[derive(Debug, Default)]
struct Watched(Mutex<BTreeSet<RepositoryName>>);

impl Watched {
    /// Watches every repository of the config that is not watched yet.
    fn watch_all(self: &Arc<Self>, world: &Arc<World>, stop: &CancellationToken) {
        for name in world.setup().repositories.keys() {
            if !self.names().insert(name.clone()) {
                continue;
            }
            let (this, world, name) = (Arc::clone(self), Arc::clone(world), name.clone());
            let stop = stop.clone();
            tokio::spawn(async move {
                stop.run_until_cancelled(repository::watch(world, name.clone()))
                    .await;
                this.names().remove(&name);
            });
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<RepositoryName>> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take_up_changes(
    mut changes: tokio::sync::mpsc::Receiver<Change>,
    world: Arc<World>,
    bell: Option<Arc<Bell>>,
    watched: Arc<Watched>,
    stop: CancellationToken,
) {
    while let Some(Some(change)) = stop.run_until_cancelled(changes.recv()).await {
        match change {
            Change::Reloaded(loaded) => {
                reload(&world, &loaded);
                watched.watch_all(&world, &stop);
                reload_secrets(&world, bell.as_deref());
            }
            Change::Refused(mistakes) => {
                world.metrics.config_changed(ConfigChange::Refused);
                tracing::error!(
                    "the changed config is refused and the old one stays in force:\n{mistakes}"
                );
            }
            Change::SecretsChanged(files) => {
                tracing::info!(?files, "secret files have changed");
                reload_secrets(&world, bell.as_deref());
                ring_all(&world.setup());
            }
            Change::SshFilesChanged(files) => {
                tracing::info!(
                    ?files,
                    "files that the config names have changed; they count from now on"
                );
                let before = world.setup();
                if let Err(error) = world.set_up_again() {
                    tracing::error!(error = words(&error), "the files as they were stay in use");
                }
                ring_all(&before);
                for host in world.setup().config.hosts.keys() {
                    world.waker.wake(host);
                }
            }
        }
    }
}

fn reload(world: &Arc<World>, loaded: &Loaded) {
    let before = world.setup();
    let after = &loaded.config;
    if let Err(error) = world.take_up(Arc::clone(after)) {
        world.metrics.config_changed(ConfigChange::Refused);
        tracing::error!(
            error = words(&error),
            "the changed config cannot be used and the old one stays in force"
        );
        return;
    }
    world.metrics.config_changed(ConfigChange::Reloaded);
    let needs_restart = before
        .config
        .webhook
        .as_ref()
        .map(|webhook| (webhook.listen, &webhook.path, webhook.body_limit))
        != after
            .webhook
            .as_ref()
            .map(|webhook| (webhook.listen, &webhook.path, webhook.body_limit))
        || before.config.operator_listen != after.operator_listen
        || before.config.control_socket != after.control_socket
        || before.config.state_directory != after.state_directory
        || before.config.log != after.log;
    if needs_restart {
        tracing::warn!("changed listeners, log and state directory count from the next start");
    }
    let changed = before.config.changed_hosts(after);
    for host in &changed {
        if after.hosts.contains_key(host) {
            // A change of the config is a reason to try again what failed.
            world.forgive(host);
            world.waker.wake(host);
        } else {
            world.waker.forget(host);
            world.metrics.forget_host(host);
        }
    }
    ring_all(&before);
    tracing::info!(changed = ?changed, "the changed config is taken up");
}

fn reload_secrets(world: &World, bell: Option<&Bell>) {
    let setup = world.setup();
    let (Some(bell), Some(webhook)) = (bell, &setup.config.webhook) else {
        return;
    };
    match load_secrets(webhook) {
        Ok(secrets) => bell.take_up_secrets(secrets),
        Err(error) => {
            tracing::error!(
                error = words(&error),
                "the old webhook secrets stay in force"
            );
        }
    }
}

/// Has every repository looked at. After a change of the setup it is the setup before that is to be
/// rung: whoever watches waits for a bell of that one, and goes on with the new one.
fn ring_all(setup: &Setup) {
    for repository in setup.repositories.values() {
        repository.bell.notify_one();
    }
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
