//! `reconcile serve`: the loop, the receiver and the operator's surface, until a signal.

mod changes;
mod disk_usage;
mod error;
mod parts;
mod service_manager;
mod surfaces;

pub use error::ServeError;

use std::future::Future;
use std::sync::Arc;

use planning::status::host_status;

use crate::config::{Environment, Loaded, WatchSettings, load_secrets, watch};
use crate::context::Context;
use crate::controller::deliveries::Receiver;
use crate::controller::reconcile::reconcile;
use crate::controller::runner::{self, Heartbeat};
use crate::controller::{own_store, upkeep};
use crate::state::host::Stored;
use crate::state::lock::lock;
use changes::{Watched, take_up_changes};
use parts::Parts;
use service_manager::ServiceManager;
use surfaces::Surfaces;

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
    let context = Context::open(Arc::clone(&config)).await?;
    // Watched from before the secrets are read, so that no change falls in between.
    let changes = watch(loaded, environment, WatchSettings::default());
    let receiver = match &config.webhook {
        Some(webhook) => {
            let secrets = load_secrets(webhook)?;
            Some(Arc::new(Receiver::new(Arc::clone(&context), secrets)))
        }
        None => None,
    };
    let surfaces = Surfaces::bind(&config).await?;

    let (parts, mut ended) = Parts::new();
    surfaces.start(&parts, &context, receiver.as_ref(), &config);
    let watched = Arc::new(Watched::default());
    watched.watch_all(&context, &parts);
    let changes = take_up_changes(
        changes,
        Arc::clone(&context),
        receiver,
        watched,
        parts.clone(),
    );
    parts.run("the watch over the config", changes);
    start_upkeep(&parts, &context);
    show_and_wake_all(&context).await;
    start_loop(&parts, &context);
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
    context.store.close().await;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

fn start_upkeep(parts: &Parts, context: &Arc<Context>) {
    let with = || (Arc::clone(context), parts.stop.clone());
    let (shared, stop) = with();
    parts.run("the state's upkeep", upkeep::prune(shared, stop));
    let (shared, stop) = with();
    parts.run(
        "the record of who was seen",
        upkeep::keep_last_seen(shared, stop),
    );
    let (shared, stop) = with();
    parts.run("the store's care", own_store::look_after(shared, stop));
    let (shared, stop) = with();
    parts.run("the look at the room", disk_usage::watch(shared, stop));
}

/// Shows every host as it was left, says what of that this version does not understand, and has all reconciled.
async fn show_and_wake_all(context: &Context) {
    for (host, config) in &context.clients().config.hosts {
        if let Ok(stored) = Stored::load(context, host).await {
            context
                .metrics
                .show_host(&host_status(&stored.known(host, config)));
            let unread: Vec<&str> = stored.remembered.unread.names().collect();
            if !unread.is_empty() {
                tracing::warn!(%host, ?unread, "another version of this program has remembered what this one does not understand; it is kept as it is");
            }
        }
        context.waker.wake(host);
    }
}

fn start_loop(parts: &Parts, context: &Arc<Context>) {
    let (context, stop) = (Arc::clone(context), parts.stop.clone());
    parts.run("the loop", async move {
        let mut manager = ServiceManager::default();
        let heartbeat = Heartbeat {
            turned: || {
                context.metrics.loop_turned(context.now());
                context.liveness.turned();
                manager.turned(&context.clients().config);
            },
            every: service_manager::turn_interval(),
        };
        let one = |host| reconcile(Arc::clone(&context), host);
        runner::run(&context.waker, one, heartbeat, stop.cancelled_owned()).await;
    });
}
