//! Nix on this machine: evaluates, builds, copies to hosts and collects garbage; Nix 2.8 and newer.
//!
//! What Nix is asked and how its answers are read is pure, text in and text out: `arguments`,
//! `environment`, `netrc`, `output`, `platforms`, `diagnosis` and `fetch`.

pub(crate) mod access;
mod arguments;
pub(crate) mod build;
mod buildable;
pub(crate) mod collect;
pub(crate) mod copy;
mod diagnosis;
mod download;
mod environment;
pub(crate) mod evaluate;
pub(crate) mod fetch;
mod netrc;
pub(crate) mod output;
mod platforms;
mod private_files;
mod sign;
mod space;
pub(crate) mod trouble;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::command::{Command, Finished, ShortOfMemory};
use access::InputAccess;
use environment::{Surroundings, Variable};
use platforms::Platforms;
use trouble::NixTrouble;

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
        more: Vec<Variable>,
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
        more: Vec<Variable>,
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
        more: Vec<Variable>,
    ) -> Result<Finished, NixTrouble> {
        command.short_of_memory = ShortOfMemory::EndItFirst;
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
    async fn variables(&self) -> Result<Vec<Variable>, NixTrouble> {
        let NixSettings { scratch, cache, .. } = &self.settings;
        let netrc = scratch.join(netrc::FILE);
        private_files::make_directory(cache)
            .await
            .map_err(|source| preparation(cache, source))?;
        self.renew_netrc(&netrc).await?;
        environment::variables(&Surroundings {
            access: &self.settings.access,
            ssh_config: self.settings.ssh_config.as_deref(),
            cache,
            netrc: &netrc,
            nix_config: &(std::env::var("NIX_CONFIG").unwrap_or_default() + &self.configuration),
            git_config_count: std::env::var("GIT_CONFIG_COUNT")
                .ok()
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
        })
        .map_err(NixTrouble::NulByte)
    }

    /// Writes the netrc file, if the access needs one.
    async fn renew_netrc(&self, netrc: &Path) -> Result<(), NixTrouble> {
        let InputAccess::Token {
            host,
            username,
            file,
        } = &self.settings.access
        else {
            return Ok(());
        };
        let token = private_files::read(file)
            .await
            .map_err(|source| preparation(file, source))?;
        let own = netrc::machines_own().await;
        let content =
            netrc::content(host, username, &token, &own).map_err(|source| NixTrouble::Token {
                path: file.clone(),
                source,
            })?;
        let scratch = &self.settings.scratch;
        private_files::make_directory(scratch)
            .await
            .map_err(|source| preparation(scratch, source))?;
        private_files::write(netrc, content)
            .await
            .map_err(|source| preparation(netrc, source))
    }
}

fn preparation(path: &Path, source: std::io::Error) -> NixTrouble {
    NixTrouble::Preparation {
        path: path.to_owned(),
        source,
    }
}
