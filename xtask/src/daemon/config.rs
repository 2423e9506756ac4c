//! A `reconcile.toml` for a fleet and a forge, every part of it open to a test's changes.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything that a test's `reconcile.toml` says. The `lines` are TOML, written as they are into their table.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the daemon keeps its store.
    pub state_directory: PathBuf,
    /// Where it hears deliveries.
    pub webhook: SocketAddr,
    /// Files with the webhook's secrets.
    pub secret_files: Vec<PathBuf>,
    /// Further lines of `[webhook]`.
    pub webhook_lines: String,
    /// Where metrics and health are.
    pub operator: SocketAddr,
    /// How hosts are reached.
    pub ssh_config: PathBuf,
    /// Further lines of `[ssh]`.
    pub ssh_lines: String,
    /// A tracing filter.
    pub log_level: String,
    /// How often each repository is asked without a delivery, if not as often as the product does by itself.
    pub poll_interval: Option<String>,
    /// Repositories by full name, each with its further lines.
    pub repositories: Vec<(String, String)>,
    /// Lines of `[defaults]`.
    pub defaults: String,
    /// Lines of `[defaults.timeouts]`.
    pub timeouts: String,
    /// Lines of `[defaults.backoff]`.
    pub backoff: String,
    /// Lines of `[defaults.proof]`.
    pub proof: String,
    /// How long a system runs before it is looked at, in seconds: the product's own default would be the longest part
    /// of nearly every test.
    pub settle_seconds: u32,
    /// Hosts by name, each with its lines.
    pub hosts: Vec<(String, String)>,
    /// Anything else, whole tables.
    pub tail: String,
    /// The beginning of the command line that starts the daemon, if it is not its program: one that makes the
    /// surroundings in which it runs.
    pub through: Vec<String>,
}

impl Config {
    /// Nobody's config yet, whose settings are quick ones.
    pub(super) fn quick() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            state_directory: PathBuf::new(),
            webhook: nowhere,
            secret_files: Vec::new(),
            webhook_lines: "delivery_grace = \"3s\"".to_owned(),
            operator: nowhere,
            ssh_config: PathBuf::new(),
            ssh_lines: String::new(),
            log_level: "info".to_owned(),
            poll_interval: Some("60s".to_owned()),
            repositories: Vec::new(),
            defaults: "branch = \"main\"\ninterval = \"2s\"".to_owned(),
            timeouts: "connect = \"3s\"\nobserve = \"10s\"\nactivate = \"30s\"".to_owned(),
            backoff: "first = \"1s\"\nmax = \"4s\"".to_owned(),
            proof: String::new(),
            settle_seconds: 0,
            hosts: Vec::new(),
            tail: String::new(),
            through: Vec::new(),
        }
    }

    /// A host's lines, to be changed. A host that is not there yet is added.
    pub fn host(&mut self, name: &str) -> &mut String {
        entry(&mut self.hosts, name)
    }

    /// Lets no repository be asked without a delivery for as long as any test runs.
    pub fn never_poll(&mut self) {
        self.poll_interval = Some("1h".to_owned());
    }

    /// A repository's lines, to be changed.
    pub fn repository(&mut self, full_name: &str) -> &mut String {
        entry(&mut self.repositories, full_name)
    }

    /// The file's text.
    #[must_use]
    pub fn toml(&self) -> String {
        let secrets: Vec<String> = self
            .secret_files
            .iter()
            .map(|file| format!("\"{}\"", file.display()))
            .collect();
        let mut text = format!(
            "state_directory = \"{}\"\n\n[webhook]\nlisten = \"{}\"\nsecret_files = [{}]\n{}\n\n[operator]\nlisten = \"{}\"\n\n\
             [log]\nformat = \"text\"\nlevel = \"{}\"\n\n[ssh]\nconfig_file = \"{}\"\n{}\n\n",
            self.state_directory.display(),
            self.webhook,
            secrets.join(", "),
            self.webhook_lines,
            self.operator,
            self.log_level,
            self.ssh_config.display(),
            self.ssh_lines,
        );
        let poll_interval = self.poll_interval.as_ref();
        let poll = poll_interval.map(|interval| format!("poll_interval = \"{interval}\"\n"));
        let poll = poll.unwrap_or_default();
        for (name, lines) in &self.repositories {
            text.push_str(&format!("[repositories.\"{name}\"]\n{poll}{lines}\n\n"));
        }
        text.push_str(&format!(
            "[defaults]\n{}\n\n[defaults.timeouts]\n{}\n\n[defaults.backoff]\n{}\n\n[defaults.proof]\nsettle = \"{}s\"\n{}\n\n",
            self.defaults, self.timeouts, self.backoff, self.settle_seconds, self.proof
        ));
        for (name, lines) in &self.hosts {
            text.push_str(&format!("[hosts.\"{name}\"]\n{lines}\n\n"));
        }
        text.push_str(&self.tail);
        text
    }
}

fn entry<'a>(entries: &'a mut Vec<(String, String)>, name: &str) -> &'a mut String {
    let index = entries
        .iter()
        .position(|(known, _)| known == name)
        .unwrap_or_else(|| {
            entries.push((name.to_owned(), String::new()));
            entries.len() - 1
        });
    &mut entries[index].1
}
