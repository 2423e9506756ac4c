//! The world that a pass works on: the leaves, what is remembered, and who is told.

mod error;
mod setup;

pub use error::WorldError;
pub use setup::{Repository, Setup};

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use desired_state::{HostName, Store};
use tokio::sync::{Mutex, RwLock, broadcast, watch};

use crate::api::{Event, Step, What};
use crate::clock;
use crate::config::Config;
use crate::evaluations::Evaluations;
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::proof::Attended;
use crate::pulse::Pulse;
use crate::runner::Waker;
use crate::supersede::Starving;

/// A follower that is this many events behind misses some; the deployment does not wait for it.
const EVENTS_KEPT: usize = 1024;

/// Everything that passes over hosts share.
#[derive(Debug)]
pub struct World {
    /// What is wished and remembered.
    pub store: Store,
    /// What persons asked for.
    pub orders: Orders,
    /// Asks for passes.
    pub waker: Waker,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// Whether the loop turns.
    pub pulse: Pulse,
    /// Evaluations that run now, shared by the hosts that wait for them.
    pub evaluations: Evaluations,
    /// Hosts whose work is superseded again and again.
    pub starving: Starving,
    /// Held while it is looked whether any host reboots and a reboot is written down.
    pub reboots: Mutex<()>,
    /// Deployments under way that this process has attended to.
    pub attended: Attended,
    /// Shared by whoever has something in this machine's store that no GC root keeps yet: what was
    /// evaluated, until it is built, and what is built, until it is copied. Held alone by the collection of
    /// garbage, which only ever tries to have it: a build waits for no collection but the one that runs.
    pub nix_store: Arc<RwLock<()>>,
    forgiven: std::sync::Mutex<BTreeSet<HostName>>,
    setup: ArcSwap<Setup>,
    events: broadcast::Sender<Event>,
    changed: watch::Sender<()>,
}

impl World {
    /// Opens the state and sets the leaves up; reaches no host and fetches nothing.
    pub async fn open(config: Arc<Config>) -> Result<Arc<Self>, WorldError> {
        make_folder(&config.state_directory)?;
        let store = Store::open(&config.state_directory.join("state.db")).await?;
        let setup = Setup::new(config, None)?;
        Ok(Arc::new(Self {
            store,
            orders: Orders::default(),
            waker: Waker::default(),
            metrics: Metrics::new()?,
            pulse: Pulse::default(),
            evaluations: Evaluations::default(),
            starving: Starving::default(),
            reboots: Mutex::default(),
            attended: Attended::default(),
            nix_store: Arc::default(),
            forgiven: std::sync::Mutex::default(),
            setup: ArcSwap::from_pointee(setup),
            events: broadcast::Sender::new(EVENTS_KEPT),
            changed: watch::Sender::new(()),
        }))
    }

    /// The leaves as they are set up now. A pass keeps what it began with.
    pub fn setup(&self) -> Arc<Setup> {
        self.setup.load_full()
    }

    /// Takes up a new config.
    ///
    /// # Errors
    /// When a new repository's mirror cannot be opened; then everything stays as it was.
    pub fn take_up(&self, config: Arc<Config>) -> Result<(), WorldError> {
        let setup = Setup::new(config, Some(&self.setup()))?;
        self.setup.store(Arc::new(setup));
        self.wishes_changed();
        Ok(())
    }

    /// Sets the leaves up anew from the same config: files that it names have changed.
    ///
    /// # Errors
    /// When a mirror cannot be opened; then everything stays as it was.
    pub fn set_up_again(&self) -> Result<(), WorldError> {
        let setup = Setup::new(Arc::clone(&self.setup().config), None)?;
        self.setup.store(Arc::new(setup));
        Ok(())
    }

    /// Lets the next pass over `host` start with a clean slate: its config has changed.
    pub fn forgive(&self, host: &HostName) {
        self.forgiven_hosts().insert(host.clone());
    }

    /// Whether the host's slate is to be cleaned; asked once by each pass.
    pub fn take_forgiveness(&self, host: &HostName) -> bool {
        self.forgiven_hosts().remove(host)
    }

    fn forgiven_hosts(&self) -> std::sync::MutexGuard<'_, BTreeSet<HostName>> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.forgiven
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Tells every pass to look whether it still does what is wanted.
    pub fn wishes_changed(&self) {
        self.changed.send_replace(());
    }

    /// Notices of [`World::wishes_changed`] from now on.
    pub fn wish_changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Tells followers what happened to a host.
    pub fn tell(&self, host: &HostName, what: What) {
        // Nobody listening is usual.
        let _ = self.events.send(Event {
            at: clock::now(),
            host: host.clone(),
            what,
        });
    }

    /// Tells followers that a step has begun.
    pub fn tell_step(
        &self,
        host: &HostName,
        step: Step,
        revision: Option<&desired_state::Revision>,
    ) {
        tracing::debug!(%host, %step, "began");
        self.tell(
            host,
            What::Step {
                step,
                revision: revision.cloned(),
            },
        );
    }

    /// What happens to hosts from now on.
    pub fn follow(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

fn make_folder(path: &Path) -> Result<(), WorldError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        // It holds the keys to what runs on every host.
        .mode(0o700)
        .create(path)
        .map_err(|source| WorldError::Folder {
            path: path.to_owned(),
            source,
        })
}
