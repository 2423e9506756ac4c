//! The context: what all reconciliations share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use desired_state::{HostName, Revision, Store};
use jiff::Timestamp;
use planning::model::report::{Step, What};

use crate::config::Config;
use crate::context::changes::{Changes, ChangesSince};
use crate::context::clients::{Clients, make_folder};
use crate::context::error::ContextError;
use crate::context::orders::Orders;
use crate::context::outside::Machine;
use crate::context::ports::{Clock, Outside};
use crate::context::registries::Registries;
use crate::context::waker::Waker;
use crate::telemetry::events::Events;
use crate::telemetry::liveness::Liveness;
use crate::telemetry::metrics::Metrics;

/// Everything that reconciliations of hosts share.
#[derive(Debug)]
pub struct Context {
    /// What is wished and remembered.
    pub store: Store,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// What persons asked for.
    pub orders: Orders,
    /// Asks for reconciliations.
    pub waker: Waker,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// Who follows what happens.
    pub events: Events,
    /// Whether the loop turns.
    pub liveness: Liveness,
    /// What is known while the process runs.
    pub registries: Registries,
    outside: Arc<dyn Outside>,
    clients: ArcSwap<Clients>,
    changes: Arc<Changes>,
}

impl Context {
    /// Opens the state and sets the clients up on this machine; reaches no host and fetches nothing.
    ///
    /// # Errors
    /// When the state or a mirror cannot be used.
    pub async fn open(config: Arc<Config>) -> Result<Arc<Self>, ContextError> {
        make_folder(&config.state_directory)?;
        let store = Store::open(&config.state_directory.join("state.db")).await?;
        Self::over(config, store, Arc::new(Machine::default()))
    }

    /// Sets the clients up over this state and this outside.
    ///
    /// # Errors
    /// When a mirror cannot be used.
    pub fn over(
        config: Arc<Config>,
        store: Store,
        outside: Arc<dyn Outside>,
    ) -> Result<Arc<Self>, ContextError> {
        let clients = Clients::new(config, outside.as_ref(), None)?;
        Ok(Arc::new(Self {
            store,
            clock: outside.clock(),
            orders: Orders::default(),
            waker: Waker::default(),
            metrics: Metrics::new()?,
            events: Events::default(),
            liveness: Liveness::default(),
            registries: Registries::default(),
            outside,
            clients: ArcSwap::from_pointee(clients),
            changes: Arc::default(),
        }))
    }

    /// The clients as they are set up now. A reconciliation keeps what it began with.
    pub fn clients(&self) -> Arc<Clients> {
        self.clients.load_full()
    }

    /// What the time is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes up a new config.
    ///
    /// # Errors
    /// When a new repository's mirror cannot be opened; then everything stays as it was.
    pub fn take_up(&self, config: Arc<Config>) -> Result<(), ContextError> {
        let clients = Clients::new(config, self.outside.as_ref(), Some(&self.clients()))?;
        self.clients.store(Arc::new(clients));
        self.wishes_changed();
        Ok(())
    }

    /// Sets the clients up anew from the same config: files that it names have changed.
    ///
    /// # Errors
    /// When a mirror cannot be opened; then everything stays as it was.
    pub fn set_up_again(&self) -> Result<(), ContextError> {
        self.outside.renew();
        let config = Arc::clone(&self.clients().config);
        let clients = Clients::new(config, self.outside.as_ref(), None)?;
        self.clients.store(Arc::new(clients));
        Ok(())
    }

    /// Has every reconciliation look whether it still does what is wanted.
    pub fn wishes_changed(&self) {
        self.changes.tell();
    }

    /// Notices of [`Context::wishes_changed`] from now on.
    pub fn wish_changes(&self) -> ChangesSince {
        self.changes.from_now_on()
    }

    /// Tells followers what happened to a host.
    pub fn tell(&self, host: &HostName, what: What) {
        self.events.tell(self.now(), host, what);
    }

    /// Tells followers that a step has begun.
    pub fn tell_step(&self, host: &HostName, step: Step, of: Option<&Revision>) {
        self.events.tell_step(self.now(), host, step, of);
    }
}
