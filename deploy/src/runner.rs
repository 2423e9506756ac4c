//! Nix on this machine: its settings, its private files and its environment.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::command::{Command, Finished};
use crate::nix::platforms::Platforms;
use crate::nix::{arguments, environment};
use crate::trouble::NixTrouble;

/// Reading Nix's configuration takes 30 ms; on a machine that swaps, seconds.
const CONFIGURATION_TIMEOUT: Duration = Duration::from_secs(30);
/// A token or a netrc file is a few lines; what is larger is another file by mistake.
const PRIVATE_FILE_LIMIT: u64 = 64 * 1024;
/// The file name of the netrc file in the scratch directory.
const NETRC: &str = "netrc";
/// Only we may look into the directory of the token, and into that of fetched inputs.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// How Nix is used on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixSettings {
    /// Where the GC roots of built systems are: `<gc_roots>/<host>/<revision>`. Absolute.
    pub gc_roots: PathBuf,
    /// The `ssh_config` file for everything that Nix does over SSH.
    pub ssh_config: Option<PathBuf>,
    /// How the flake's private inputs are fetched.
    pub access: InputAccess,
    /// The key that signs what is copied to hosts, as `nix-store --generate-binary-cache-key` writes it;
    /// nothing is signed without one.
    pub secret_key: Option<PathBuf>,
    /// A private directory for the file with the token. Absolute; made if missing. No `Nix` with another
    /// access may have the same: a command of the one would go on with the token of the other.
    pub scratch: PathBuf,
    /// A private directory of Nix's caches, which several may share. Absolute; made if missing.
    pub cache: PathBuf,
}

/// How Nix reaches a flake's private inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputAccess {
    /// All inputs are public, or the machine's own configuration has what they need.
    None,
    /// By SSH, with this key.
    SshKey {
        /// The private key's file.
        key: PathBuf,
        /// The host keys to accept; ssh's own files if none.
        known_hosts: Option<PathBuf>,
    },
    /// By HTTP(S), with a token for one server.
    Token {
        /// The server: `gitea.example` or `gitea.example:3000`.
        host: String,
        /// The user name that goes with the token.
        username: String,
        /// The file that has the token in it; read anew for every command.
        file: PathBuf,
    },
}

/// Nix on this machine. Several evaluations, builds and copies may run at once.
pub struct Nix {
    pub(crate) settings: NixSettings,
    /// More lines of nix.conf.
    configuration: String,
    /// What this machine can build for, once it has been asked.
    platforms: Mutex<Option<Platforms>>,
}

impl fmt::Debug for Nix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Nix")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Nix {
    /// Takes the settings; touches nothing yet.
    pub fn new(settings: NixSettings) -> Self {
        Self {
            settings,
            configuration: String::new(),
            platforms: Mutex::new(None),
        }
    }

    /// Adds lines in the syntax of nix.conf(5), which win over the machine's own; what this crate
    /// relies on wins over them.
    #[must_use]
    pub fn configured(mut self, lines: &str) -> Self {
        self.configuration.push('\n');
        self.configuration.push_str(lines);
        self
    }

    /// Runs one of Nix's programs in our environment, with some variables more.
    pub(crate) async fn run(
        &self,
        program: &str,
        arguments: Vec<String>,
        more: Vec<environment::Variable>,
        timeout: Duration,
    ) -> Result<Finished, NixTrouble> {
        let command = Command::new(program, timeout).arguments(arguments);
        self.run_command(command, more).await
    }

    /// The same, where up to `limit` bytes of output are wanted.
    pub(crate) async fn run_with_output(
        &self,
        program: &str,
        arguments: Vec<String>,
        more: Vec<environment::Variable>,
        timeout: Duration,
        limit: usize,
    ) -> Result<Finished, NixTrouble> {
        let mut command = Command::new(program, timeout).arguments(arguments);
        command.stdout_limit = limit;
        self.run_command(command, more).await
    }

    async fn run_command(
        &self,
        mut command: Command,
        more: Vec<environment::Variable>,
    ) -> Result<Finished, NixTrouble> {
        command.environment = self
            .variables()
            .await?
            .into_iter()
            .chain(more)
            .map(|(name, value)| (name.into(), value.map(Into::into)))
            .collect();
        Ok(command.run().await?)
    }

    /// The environment, with the files that it points to brought up to date.
    async fn variables(&self) -> Result<Vec<environment::Variable>, NixTrouble> {
        let NixSettings { scratch, cache, .. } = &self.settings;
        let netrc = scratch.join(NETRC);
        make_private_directory(cache).await?;
        if let InputAccess::Token {
            host,
            username,
            file,
        } = &self.settings.access
        {
            let token = read_private(file)
                .await
                .map_err(|source| preparation(file, source))?;
            let own = machines_own_netrc().await;
            let content = environment::netrc(host, username, &token, &own).map_err(|source| {
                NixTrouble::Token {
                    path: file.clone(),
                    source,
                }
            })?;
            make_private_directory(scratch).await?;
            write_private(&netrc, content).await?;
        }
        Ok(environment::variables(&environment::Surroundings {
            access: &self.settings.access,
            ssh_config: self.settings.ssh_config.as_deref(),
            cache,
            netrc: &netrc,
            nix_config: &(std::env::var("NIX_CONFIG").unwrap_or_default() + &self.configuration),
            git_config_count: std::env::var("GIT_CONFIG_COUNT")
                .ok()
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
        }))
    }

    /// Whether this machine, or a builder that its Nix has, can build for a system.
    ///
    /// What Nix said once counts until it would be a refusal: then Nix is asked again, because a person
    /// may have set it right meanwhile.
    pub(crate) async fn can_build(&self, system: &str) -> Result<Buildable, NixTrouble> {
        let mut known = self.platforms.lock().await;
        if let Some(platforms) = known.as_ref()
            && platforms.can_build(system, &builder_lines(platforms).await)
        {
            return Ok(Buildable::Yes);
        }
        let platforms = self.ask_platforms().await?;
        let answer = if platforms.can_build(system, &builder_lines(&platforms).await) {
            Buildable::Yes
        } else {
            Buildable::No {
                ours: platforms.system.clone(),
            }
        };
        *known = Some(platforms);
        Ok(answer)
    }

    /// Learns what this machine can build for, if that is not known yet; a failure shows later.
    pub(crate) async fn learn_platforms(&self) {
        let mut known = self.platforms.lock().await;
        if known.is_none() {
            *known = self.ask_platforms().await.ok();
        }
    }

    async fn ask_platforms(&self) -> Result<Platforms, NixTrouble> {
        let ask = |arguments: &[&str]| {
            let arguments = arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect();
            self.run("nix", arguments, Vec::new(), CONFIGURATION_TIMEOUT)
        };
        let mut finished = ask(&arguments::SHOW_CONFIGURATION).await?;
        if !finished.status.success() {
            finished = ask(&arguments::SHOW_CONFIGURATION_OLD).await?;
        }
        if !finished.status.success() {
            return Err(
                NixTrouble::of(&finished).unwrap_or_else(|| NixTrouble::Configuration {
                    detail: crate::nix::diagnosis::summary(&finished.stderr),
                }),
            );
        }
        Platforms::read(&finished.stdout).map_err(|error| NixTrouble::Configuration {
            detail: error.to_string(),
        })
    }
}

/// Whether a system can be built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Buildable {
    /// Here, or on a builder that Nix knows.
    Yes,
    /// Not at all.
    No {
        /// What this machine is instead.
        ours: String,
    },
}

/// The lines of builders: the setting, or the file that it points to (which need not exist).
async fn builder_lines(platforms: &Platforms) -> String {
    match platforms.builders_file() {
        Some(file) => read_private(Path::new(file)).await.unwrap_or_default(),
        None => platforms.builders.clone(),
    }
}

/// What the machine's administrator has in its netrc file, which ours replaces.
async fn machines_own_netrc() -> String {
    let directory =
        std::env::var_os("NIX_CONF_DIR").map_or_else(|| PathBuf::from("/etc/nix"), PathBuf::from);
    read_private(&directory.join("netrc"))
        .await
        .unwrap_or_default()
}

fn preparation(path: &Path, source: std::io::Error) -> NixTrouble {
    NixTrouble::Preparation {
        path: path.to_owned(),
        source,
    }
}

/// Reads a small file.
async fn read_private(path: &Path) -> std::io::Result<String> {
    use tokio::io::AsyncReadExt as _;
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(PRIVATE_FILE_LIMIT + 1)
        .read_to_string(&mut text)
        .await?;
    if text.len() as u64 > PRIVATE_FILE_LIMIT {
        return Err(std::io::Error::other("the file is larger than 64 KiB"));
    }
    Ok(text)
}

/// Writes a file of mode 0600 in one step, so that a command that reads it sees the old or the new one.
async fn write_private(path: &Path, content: String) -> Result<(), NixTrouble> {
    let to = path.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        let directory = to.parent().unwrap_or(Path::new("/"));
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(content.as_bytes())?;
        file.persist(&to)?;
        Ok(())
    })
    .await;
    written
        .map_err(std::io::Error::other)
        .and_then(|result| result)
        .map_err(|source| preparation(path, source))
}

/// Makes a directory for us alone, and the ones above it.
async fn make_private_directory(path: &Path) -> Result<(), NixTrouble> {
    let directory = path.to_owned();
    let made = tokio::task::spawn_blocking(move || {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIRECTORY)
            .create(&directory)?;
        // It may have been made by somebody else, with another mode.
        std::fs::set_permissions(
            &directory,
            std::fs::Permissions::from_mode(PRIVATE_DIRECTORY),
        )
    })
    .await;
    made.map_err(std::io::Error::other)
        .and_then(|result| result)
        .map_err(|source| preparation(path, source))
}
