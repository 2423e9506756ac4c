//! The configuration as values, each within its range.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use desired_state::{HostName, RepositoryName};
use planning::model::spec::{CareConfig, HostConfig, RepositoryConfig};

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

/// Table `[store]`.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreConfig {
    /// When this machine's garbage is collected, and what is kept.
    pub care: CareConfig,
    /// The key that signs what is copied to hosts; nothing is signed without one.
    pub secret_key_file: Option<PathBuf>,
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
        Some((host, self.repositories.get(&host.follows.repository)))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, SMALL, config};

    #[test]
    fn changed_hosts_are_those_for_which_anything_differs() {
        let two = format!(
            "{SMALL}[hosts.b]\n[hosts.c]\nrepository = \"x/y\"\n[repositories.\"x/y\"]\nurl = \"file:///y\"\n[defaults]\nrepository = \"infra-team/infra\"\n"
        );
        let before = config(&two);
        let changed = |text: &str| -> Vec<String> {
            let after = config(text);
            let names = before.changed_hosts(&after);
            assert_eq!(
                names,
                after.changed_hosts(&before),
                "it does not matter which is which"
            );
            names.iter().map(ToString::to_string).collect()
        };
        assert!(changed(&two).is_empty());
        assert!(changed(&format!("{two}[operator]\nlisten = \"off\"\n")).is_empty());
        assert_eq!(
            changed(&two.replace("[hosts.b]", "[hosts.b]\ninterval = \"2m\"")),
            ["b"]
        );
        assert_eq!(
            changed(&two.replace("[hosts.b]", "[hosts.new]")),
            ["b", "new"]
        );
        assert_eq!(changed(&two.replace("file:///y", "file:///z")), ["c"]);
        assert_eq!(
            changed(&format!("{two}[ssh]\nmax_sessions = 3\n")),
            ["b", "c", "cyt-pi"]
        );
    }

    #[test]
    fn a_key_that_signs_makes_every_hosts_failures_worth_another_try() {
        let with = |lines: &str| config(&format!("{BASE}[store]\n{lines}\n"));
        let changed = with("").changed_hosts(&with("secret_key_file = \"k\""));
        assert_eq!(changed.len(), 1);
        let changed = with("").changed_hosts(&with("collect_every = \"1d\""));
        assert_eq!(changed, []);
    }
}
