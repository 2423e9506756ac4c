//! The world that a pass works on: the leaves, set up as the config says.

mod error;

pub use error::WorldError;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use deploy::{Connections, InputAccess, Nix, NixSettings, SshSettings};
use desired_state::{Access, HostName, Mirror, MirrorSettings, RepositoryName, Store};
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, broadcast, watch};

use crate::api::{Event, Step, What};
use crate::clock;
use crate::config::{Config, HostConfig, RepositoryAccess, RepositoryConfig};
use crate::evaluations::Evaluations;
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::proof::Attended;
use crate::pulse::Pulse;
use crate::runner::Waker;
use crate::supersede::Starving;
use crate::trust::Trust;

/// A follower that is this many events behind misses some; the deployment does not wait for it.
const EVENTS_KEPT: usize = 1024;

/// Reaching one destination; hosts with a longer `timeouts.connect` try their next one meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

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

/// The leaves, as one version of the config wants them.
#[derive(Debug)]
pub struct Setup {
    /// That config.
    pub config: Arc<Config>,
    /// The way to hosts.
    pub connections: Connections,
    /// The repositories, by name.
    pub repositories: BTreeMap<RepositoryName, Arc<Repository>>,
    /// Nix, for what belongs to no repository.
    pub nix: Nix,
    /// Evaluations that may run at once. Not the builds' permits: hours of building for one host
    /// must not keep another from being looked at.
    pub evaluations: Arc<Semaphore>,
    /// Builds that may run at once.
    pub builds: Arc<Semaphore>,
    /// Copies that may run at once.
    pub copies: Arc<Semaphore>,
    /// Activations that may run at once.
    pub activations: Arc<Semaphore>,
}

/// One repository that hosts follow.
#[derive(Debug)]
pub struct Repository {
    /// Its name on the server.
    pub name: RepositoryName,
    /// Its table in the config.
    pub config: RepositoryConfig,
    /// Our copy of it.
    pub mirror: Mirror,
    /// Nix, with what private inputs of this repository need.
    pub nix: Nix,
    /// Rung by deliveries, persons and config changes.
    pub bell: Notify,
    /// What is known of its commits' signatures.
    pub trust: Trust,
    /// Held while the repository is looked at, so that two looks do not mix up their findings.
    pub looking: Mutex<()>,
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

impl Setup {
    /// Sets up what `config` wants, keeping of `previous` what is the same, so that a reload does
    /// not drop warm connections.
    fn new(config: Arc<Config>, previous: Option<&Self>) -> Result<Self, WorldError> {
        let state = &config.state_directory;
        let ssh = state.join("ssh");
        for folder in [&ssh, &state.join("gcroots"), &state.join("scratch")] {
            make_folder(folder)?;
        }
        let connections = match previous.filter(|previous| previous.config.ssh == config.ssh) {
            Some(previous) => previous.connections.clone(),
            None => Connections::new(SshSettings {
                config_file: config.ssh.config_file.clone(),
                control_directory: ssh,
                connect_timeout: CONNECT_TIMEOUT,
                max_sessions: config.ssh.max_sessions,
            }),
        };
        let mut repositories = BTreeMap::new();
        for (name, wanted) in &config.repositories {
            let kept = previous
                .filter(|previous| {
                    previous.config.ssh == config.ssh
                        && previous.config.nix == config.nix
                        && previous.config.store.secret_key_file == config.store.secret_key_file
                })
                .and_then(|previous| previous.repositories.get(name))
                .filter(|repository| repository.config == *wanted);
            let repository = match kept {
                Some(repository) => Arc::clone(repository),
                None => Arc::new(Repository::new(name, wanted, &config)?),
            };
            repositories.insert(name.clone(), repository);
        }
        let limits = &config.limits;
        let semaphore = |permits: usize, kept: fn(&Self) -> &Arc<Semaphore>| {
            previous
                .filter(|previous| previous.config.limits == config.limits)
                .map_or_else(
                    || Arc::new(Semaphore::new(permits)),
                    |previous| Arc::clone(kept(previous)),
                )
        };
        Ok(Self {
            connections,
            repositories,
            nix: nix_with(InputAccess::None, &config),
            evaluations: semaphore(limits.builds, |setup| &setup.evaluations),
            builds: semaphore(limits.builds, |setup| &setup.builds),
            copies: semaphore(limits.copies, |setup| &setup.copies),
            activations: semaphore(limits.activations, |setup| &setup.activations),
            config,
        })
    }

    /// The host's table in the config, if it is of the fleet.
    pub fn host(&self, host: &HostName) -> Option<&HostConfig> {
        self.config.hosts.get(host)
    }

    /// The repository that a host follows. The config is checked, so it is there.
    pub fn repository(&self, name: &RepositoryName) -> Option<&Arc<Repository>> {
        self.repositories.get(name)
    }
}

impl Repository {
    /// Sets it up as the config says; touches neither network nor disk.
    ///
    /// # Errors
    /// When the mirror's settings cannot be right.
    pub fn new(
        name: &RepositoryName,
        config: &RepositoryConfig,
        whole: &Config,
    ) -> Result<Self, WorldError> {
        let (access, inputs) = match &config.access {
            RepositoryAccess::None => (Access::None, InputAccess::None),
            RepositoryAccess::SshKey { key, known_hosts } => (
                Access::SshKey {
                    key: key.clone(),
                    known_hosts: known_hosts.clone(),
                    ssh_config: whole.ssh.config_file.clone(),
                },
                InputAccess::SshKey {
                    key: key.clone(),
                    known_hosts: known_hosts.clone(),
                },
            ),
            RepositoryAccess::Token { file, user } => (
                Access::Token {
                    file: file.clone(),
                    username: user.clone(),
                },
                InputAccess::Token {
                    host: host_of(&config.url),
                    username: user.clone(),
                    file: file.clone(),
                },
            ),
        };
        let state = &whole.state_directory;
        let mirror = Mirror::open(MirrorSettings {
            directory: state.join("mirrors").join(name.as_ref()),
            url: config.url.clone(),
            access,
            timeout: config.fetch_timeout,
        })
        .map_err(|source| WorldError::Mirror {
            repository: name.clone(),
            source,
        })?;
        Ok(Self {
            name: name.clone(),
            config: config.clone(),
            mirror,
            nix: nix_with(inputs, whole),
            bell: Notify::new(),
            trust: Trust::default(),
            looking: Mutex::new(()),
        })
    }
}

/// Nix, as the config says it is used.
fn nix_with(access: InputAccess, config: &Config) -> Nix {
    let state = &config.state_directory;
    Nix::new(NixSettings {
        gc_roots: state.join("gcroots"),
        ssh_config: config.ssh.config_file.clone(),
        access,
        secret_key: config.store.secret_key_file.clone(),
        scratch: state.join("scratch"),
    })
}

/// The host of an HTTP URL, without user and port.
fn host_of(url: &str) -> String {
    let uri = url.parse::<http::Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme().is_some());
    uri.and_then(|uri| uri.host().map(ToOwned::to_owned))
        .unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_has_no_user_and_no_port() {
        assert_eq!(
            host_of("https://gitea.example:3000/a/b.git"),
            "gitea.example"
        );
        assert_eq!(host_of("nonsense"), "");
    }
}
