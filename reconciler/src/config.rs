//! What the operator wrote in `reconcile.toml`, read once and whole.
//!
//! [`locate`] finds the file, [`Source::read`] reads it, [`parse`] turns it into a [`Config`] or
//! into every [`Mistake`](Mistakes) that it holds, [`check`] looks at the files it names, and
//! [`watch`] takes up later changes.
//! Only `locate`, `Source::read`, `check`, `load_secrets` and `watch` touch the disk, and whatever reads a time zone;
//! the environment is an argument everywhere.

mod bytes;
mod check;
mod complaint;
mod destinations;
mod environment;
mod files;
mod folders;
mod follower;
mod hosts;
mod locate;
mod mistake;
mod named;
mod parse;
mod proof;
mod reboot;
mod repositories;
mod repository_url;
mod secrets;
mod section;
mod source;
mod store;
mod values;
mod watch;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use deploy::{Action, Attribute, BuildOn, Destination, MinFree};
use desired_state::{BranchName, HostName, RepositoryName, Signers};

use crate::window::{Freeze, Window};

pub use check::check;
pub use environment::{Environment, environment};
pub use locate::{LocateError, locate};
pub use mistake::{Mistakes, Origin, Place, Remark, Warnings};
pub use named::{NamedPath, PathRole};
pub use parse::{Loaded, load, parse};
pub use proof::{Acknowledge, ProbeConfig, ProbeKind, ProofConfig, Viewpoint};
pub use reboot::{RebootConfig, RebootPolicy};
pub use secrets::{LoadSecretsError, load_secrets};
pub use source::Source;
pub use store::{CareConfig, StoreConfig};
pub use watch::{Change, WatchSettings, watch};

/// The whole configuration, checked: every value is within its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the store, the mirrors and the GC roots live.
    pub state_directory: PathBuf,
    /// The unix socket through which the command line talks to the daemon.
    pub control_socket: PathBuf,
    /// The receiver of Gitea's deliveries; `None` means polling only.
    pub webhook: Option<WebhookConfig>,
    /// Where metrics and health are served; `None` means nowhere.
    pub operator_listen: Option<SocketAddr>,
    /// How the daemon logs.
    pub log: LogConfig,
    /// How the OpenSSH client is run.
    pub ssh: SshConfig,
    /// How Nix is run.
    pub nix: NixConfig,
    /// What becomes of this machine's store, and what signs what leaves it.
    pub store: StoreConfig,
    /// How much is done at once.
    pub limits: LimitsConfig,
    /// The repositories that hosts follow, by their name on the server.
    pub repositories: BTreeMap<RepositoryName, RepositoryConfig>,
    /// The hosts, by name.
    pub hosts: BTreeMap<HostName, HostConfig>,
}

/// Table `[webhook]`.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookConfig {
    /// The address that Gitea (or the proxy before us) reaches.
    pub listen: SocketAddr,
    /// The path of the hook; begins with `/` and does not end with one.
    pub path: String,
    /// One or more files, each with one secret: the new one and, while it is rotated, the old one.
    pub secret_files: Vec<PathBuf>,
    /// The largest accepted body in bytes.
    pub body_limit: u64,
    /// How long a poll's finding waits for its delivery before it counts as missed.
    pub delivery_grace: Duration,
}

/// Table `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// A `tracing_subscriber::EnvFilter` directive string.
    pub level: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Journald under systemd, text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
    /// Straight to systemd's journal with fields.
    Journald,
}

/// Table `[ssh]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SshConfig {
    /// An `ssh_config(5)` file on the controller, given to the client with `-F`.
    pub config_file: Option<PathBuf>,
    /// How many sessions share one connection, 1..=10.
    pub max_sessions: usize,
}

/// Table `[nix]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NixConfig {
    /// How many builds of each host stay rooted against garbage collection, at least 1.
    pub keep_builds: usize,
}

/// Table `[limits]`: how many of each run at once, each at least 1.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsConfig {
    /// Evaluations and builds.
    pub builds: usize,
    /// Copies of closures to hosts.
    pub copies: usize,
    /// Activations.
    pub activations: usize,
    /// Hosts that may roll a commit back until the others wait for a person or another commit.
    pub rollbacks: usize,
}

/// Table `[repositories."owner/name"]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryConfig {
    /// Where the mirror fetches from; holds no password.
    pub url: String,
    /// How the server knows us.
    pub access: RepositoryAccess,
    /// The folder of `flake.nix` within the repository; `.` for its root.
    pub flake_folder: String,
    /// How often branches are fetched though no delivery came.
    pub poll_interval: Duration,
    /// How long one fetch may take.
    pub fetch_timeout: Duration,
    /// What happens when a branch was rewound.
    pub forced_push: ForcedPush,
    /// Whose signature a commit has to carry; `None` where it need not carry any.
    pub signers: Option<Signers>,
}

/// How the Git server knows us.
#[derive(Debug, Clone, PartialEq)]
pub enum RepositoryAccess {
    /// A local or public repository.
    None,
    /// By an SSH key.
    SshKey {
        /// The private key.
        key: PathBuf,
        /// The server's host keys; `None` leaves it to the OpenSSH client's own files.
        known_hosts: Option<PathBuf>,
    },
    /// By a token over HTTP.
    Token {
        /// The file that holds the token.
        file: PathBuf,
        /// The user name sent with it; Gitea accepts any with a token.
        user: String,
    },
}

/// What happens when a branch was rewound by a forced push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedPush {
    /// The host keeps its revision, and we say so.
    Refuse,
    /// The host follows.
    Follow,
}

/// Table `[hosts.NAME]`, with `[defaults]` filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct HostConfig {
    /// The repository that the host follows; always one of [`Config::repositories`].
    pub repository: RepositoryName,
    /// The branch that the host follows.
    pub branch: BranchName,
    /// The name under `nixosConfigurations`; the host's own name unless said otherwise.
    pub attribute: Attribute,
    /// One or more ways to reach the host, tried in order.
    pub destinations: Vec<Destination>,
    /// What a deployment does.
    pub action: Action,
    /// Whether drift is corrected.
    pub policy: Policy,
    /// How often the host is looked at, at least 1 s.
    pub interval: Duration,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// What a system has to prove before it stays.
    pub proof: ProofConfig,
    /// Whether and when it is rebooted.
    pub reboot: RebootConfig,
    /// How long to wait after a failure.
    pub backoff: BackoffConfig,
    /// Where the host's system is built.
    pub build_on: BuildOn,
    /// Whether the host is expected to be up.
    pub availability: Availability,
    /// After how long without an answer its absence is trouble.
    pub overdue_after: Duration,
    /// When the host may be changed without force; at any time where there are none.
    pub windows: Vec<Window>,
    /// When it may not, in a window or not.
    pub freezes: Vec<Freeze>,
    /// What has to stay free in the host's store.
    pub min_free: MinFree,
    /// When its garbage is collected, and what is kept.
    pub store: CareConfig,
}

/// Whether drift is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Drift is corrected.
    Enforce,
    /// Drift is reported only.
    Observe,
}

impl Policy {
    /// As the config spells it.
    pub fn label(self) -> &'static str {
        match self {
            Policy::Enforce => "enforce",
            Policy::Observe => "observe",
        }
    }
}

/// Whether a host is expected to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It is: an unreachable host is trouble at once.
    Always,
    /// An unreachable host is usual, and no trouble for some days.
    Intermittent,
}

/// How long each phase of one pass may take, each at least 1 s.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// To reach the host by SSH.
    pub connect: Duration,
    /// To see what the host runs.
    pub observe: Duration,
    /// To evaluate the flake.
    pub evaluate: Duration,
    /// To build the system.
    pub build: Duration,
    /// To copy the closure.
    pub copy: Duration,
    /// To activate the system.
    pub activate: Duration,
}

/// How long to wait after a failure: `first`, then times `factor`, at most `max`, each ± `jitter`.
#[derive(Debug, Clone, PartialEq)]
pub struct BackoffConfig {
    /// The wait after the first failure, at most `max`.
    pub first: Duration,
    /// The growth per further failure, at least 1.
    pub factor: f64,
    /// The longest wait.
    pub max: Duration,
    /// The random share of each wait, 0..=1.
    pub jitter: f64,
}

impl Config {
    /// The hosts for which anything differs between `self` and `other`, in order: those that only one of them has,
    /// those whose own settings differ, those whose repository's do, and all where SSH's, Nix's or the signing key does. Pure.
    pub fn changed_hosts(&self, other: &Config) -> Vec<HostName> {
        let everywhere = self.ssh != other.ssh
            || self.nix != other.nix
            || self.store.secret_key_file != other.store.secret_key_file;
        let names: BTreeSet<&HostName> = self.hosts.keys().chain(other.hosts.keys()).collect();
        let changed = |name: &&HostName| everywhere || self.view_of(name) != other.view_of(name);
        names.into_iter().filter(changed).cloned().collect()
    }

    /// All that concerns one host alone.
    fn view_of(&self, name: &HostName) -> Option<(&HostConfig, Option<&RepositoryConfig>)> {
        let host = self.hosts.get(name)?;
        Some((host, self.repositories.get(&host.repository)))
    }
}

#[cfg(test)]
mod tests;
