//! The leaves, set up as one version of the config says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deploy::{Connections, InputAccess, Nix, NixSettings, SshSettings};
use desired_state::{Access, HostName, Mirror, MirrorSettings, RepositoryName};
use tokio::sync::{Mutex, Notify, Semaphore};

use super::error::WorldError;
use super::make_folder;
use crate::config::{Config, HostConfig, RepositoryAccess, RepositoryConfig};
use crate::trust::Trust;

/// Reaching one destination; hosts with a longer `timeouts.connect` try their next one meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

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

impl Setup {
    /// Sets up what `config` wants, keeping of `previous` what is the same, so that a reload does
    /// not drop warm connections.
    pub(super) fn new(config: Arc<Config>, previous: Option<&Self>) -> Result<Self, WorldError> {
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
            nix: Nix::new(nix(&config)),
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
        let access = match &config.access {
            RepositoryAccess::None => Access::None,
            RepositoryAccess::SshKey { key, known_hosts } => Access::SshKey {
                key: key.clone(),
                known_hosts: known_hosts.clone(),
                ssh_config: whole.ssh.config_file.clone(),
            },
            RepositoryAccess::Token { file, user } => Access::Token {
                file: file.clone(),
                username: user.clone(),
            },
        };
        let directory = whole.state_directory.join("mirrors");
        let mirror = Mirror::open(MirrorSettings {
            directory: directory.join(name.as_ref()),
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
            nix: Nix::new(repositorys_nix(name, config, whole)),
            bell: Notify::new(),
            trust: Trust::default(),
            looking: Mutex::new(()),
        })
    }
}

/// How Nix is used for what belongs to no repository.
fn nix(config: &Config) -> NixSettings {
    let state = &config.state_directory;
    let scratch = state.join("scratch");
    NixSettings {
        gc_roots: state.join("gcroots"),
        ssh_config: config.ssh.config_file.clone(),
        access: InputAccess::None,
        secret_key: config.store.secret_key_file.clone(),
        cache: scratch.join("cache"),
        scratch,
    }
}

/// How Nix is used for one repository: with the key or token that opens it, which no other gets to see.
fn repositorys_nix(
    name: &RepositoryName,
    repository: &RepositoryConfig,
    config: &Config,
) -> NixSettings {
    let access = match &repository.access {
        RepositoryAccess::None => InputAccess::None,
        RepositoryAccess::SshKey { key, known_hosts } => InputAccess::SshKey {
            key: key.clone(),
            known_hosts: known_hosts.clone(),
        },
        RepositoryAccess::Token { file, user } => InputAccess::Token {
            host: server_of(&repository.url),
            username: user.clone(),
            file: file.clone(),
        },
    };
    let common = nix(config);
    NixSettings {
        access,
        scratch: common.scratch.join("access").join(name.as_ref()),
        ..common
    }
}

/// The server of an HTTP URL, without user: its name, and the port where one is written, because git gives a
/// credential to no other port than that (gitcredentials(7), "CREDENTIAL CONTEXTS").
fn server_of(url: &str) -> String {
    let uri = url.parse::<http::Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme().is_some());
    let authority = uri.as_ref().and_then(http::Uri::authority);
    let authority = authority.map_or("", |authority| authority.as_str());
    let server = authority.rsplit_once('@').map(|(_, server)| server);
    server.unwrap_or(authority).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Source, parse};

    /// Two repositories of one server, each with a token of its own.
    const TWO: &str = r#"
[repositories."infra-team/infra"]
url = "https://gitea.example:3000/infra-team/infra.git"
token_file = "infra-token"
[repositories."home-team/infra"]
url = "https://gitea.example:3000/home-team/infra.git"
token_file = "home-token"
[hosts.cyt-pi]
repository = "infra-team/infra"
[hosts.uConsole]
repository = "home-team/infra"
"#;

    /// How Nix is used for each of them.
    fn settings() -> Vec<NixSettings> {
        let source = Source {
            file: "/etc/reconcile/reconcile.toml".into(),
            text: TWO.to_owned(),
            working_directory: "/".into(),
        };
        let config = parse(source, &Environment::default()).unwrap().config;
        let repositories = config.repositories.iter();
        repositories
            .map(|(name, repository)| repositorys_nix(name, repository, &config))
            .collect()
    }

    #[test]
    fn repositories_share_nixs_caches_and_never_where_their_tokens_lie() {
        let [one, other] = &settings()[..] else {
            panic!("not two repositories");
        };
        assert_eq!(one.cache, other.cache);
        assert_ne!(one.scratch, other.scratch);
    }

    #[test]
    fn a_repositorys_token_is_for_the_port_of_its_url() {
        let access = settings().into_iter().map(|settings| settings.access);
        let token = |file: &str| InputAccess::Token {
            host: "gitea.example:3000".into(),
            username: "reconcile".into(),
            file: format!("/etc/reconcile/{file}").into(),
        };
        assert_eq!(
            access.collect::<Vec<_>>(),
            [token("home-token"), token("infra-token")]
        );
    }

    #[test]
    fn the_server_of_a_url_has_no_user() {
        for (url, server) in [
            ("https://gitea.example/a/b.git", "gitea.example"),
            ("https://gitea.example:3000/a/b.git", "gitea.example:3000"),
            ("https://u@gitea.example:3000/a/b", "gitea.example:3000"),
            ("http://[::1]:3000/a/b.git", "[::1]:3000"),
            ("nonsense", ""),
        ] {
            assert_eq!(server_of(url), server);
        }
    }
}
