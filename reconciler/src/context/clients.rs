//! The clients of the outside, set up as one version of the config says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use desired_state::{HostName, MirrorError, RepositoryName};
use planning::model::spec::{HostConfig, RepositoryConfig};
use tokio::sync::{Mutex, Notify, Semaphore};

use crate::config::Config;
use crate::context::error::ContextError;
use crate::context::evaluations::Evaluations;
use crate::context::ports::{Hosts, Nix, Outside, Source};

/// The clients, as one version of the config wants them.
#[derive(Debug)]
pub struct Clients {
    /// That config.
    pub config: Arc<Config>,
    /// The way to hosts.
    pub hosts: Arc<dyn Hosts>,
    /// The repositories, by name.
    pub repositories: BTreeMap<RepositoryName, Arc<Repository>>,
    /// Nix, for what belongs to no repository.
    pub nix: Arc<dyn Nix>,
    /// How much may be done at once.
    pub permits: Permits,
}

/// How much may be done at once. The semaphores are never closed.
#[derive(Debug, Clone)]
pub struct Permits {
    /// Evaluations. Not the builds' permits: hours of building for one host must not keep another from being looked
    /// at.
    pub evaluations: Arc<Semaphore>,
    /// Builds.
    pub builds: Arc<Semaphore>,
    /// Copies.
    pub copies: Arc<Semaphore>,
    /// Activations.
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
    pub source: Arc<dyn Source>,
    /// Nix, with what private inputs of this repository need.
    pub nix: Arc<dyn Nix>,
    /// Rung by deliveries, persons and config changes.
    pub bell: Notify,
    /// Held while it is fetched, so that two fetches do not mix up their findings.
    pub fetching: Mutex<()>,
    /// Evaluations of its commits that run now, by its settings as they are here.
    pub evaluations: Evaluations,
}

/// The folders of the state that clients work in.
const FOLDERS: [&str; 3] = ["ssh", "gcroots", "scratch"];

impl Clients {
    /// Sets up what `config` wants, keeping of `previous` what is the same.
    ///
    /// # Errors
    /// When a folder cannot be made, or a mirror's settings cannot be right.
    pub(super) fn new(
        config: Arc<Config>,
        outside: &dyn Outside,
        previous: Option<&Self>,
    ) -> Result<Self, ContextError> {
        for folder in FOLDERS {
            make_folder(&config.state_directory.join(folder))?;
        }
        let has_same_tools = |previous: &&Self| {
            previous.config.ssh == config.ssh
                && previous.config.nix == config.nix
                && previous.config.store.secret_key_file == config.store.secret_key_file
        };
        let mut repositories = BTreeMap::new();
        for (name, wanted) in &config.repositories {
            let kept = previous
                .filter(has_same_tools)
                .and_then(|previous| previous.repositories.get(name))
                .filter(|repository| repository.config == *wanted);
            let repository = match kept {
                Some(repository) => Arc::clone(repository),
                None => Arc::new(Repository::new(name, wanted, &config, outside)?),
            };
            repositories.insert(name.clone(), repository);
        }
        let kept = previous.filter(|previous| previous.config.limits == config.limits);
        let permits = kept.map_or_else(
            || Permits::new(&config),
            |previous| previous.permits.clone(),
        );
        Ok(Self {
            hosts: outside.hosts(&config),
            nix: outside.nix(&config),
            repositories,
            permits,
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

impl Permits {
    fn new(config: &Config) -> Self {
        let limits = &config.limits;
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            evaluations: semaphore(limits.builds),
            builds: semaphore(limits.builds),
            copies: semaphore(limits.copies),
            activations: semaphore(limits.activations),
        }
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
        outside: &dyn Outside,
    ) -> Result<Self, ContextError> {
        let mirror_error = |source: MirrorError| ContextError::Mirror {
            repository: name.clone(),
            source,
        };
        Ok(Self {
            name: name.clone(),
            config: config.clone(),
            source: outside.source(name, config, whole).map_err(mirror_error)?,
            nix: outside.nix_of(name, config, whole),
            bell: Notify::new(),
            fetching: Mutex::new(()),
            evaluations: Evaluations::default(),
        })
    }
}

/// Makes a folder of the state, for its owner alone: it holds the keys to what runs on every host.
pub(super) fn make_folder(path: &Path) -> Result<(), ContextError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| ContextError::Folder {
            path: path.to_owned(),
            source,
        })
}
