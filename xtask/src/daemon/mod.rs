//! The daemon under test: `reconcile serve` as a child process, with a config for a fleet and a forge.

mod command;
mod config;
mod metrics;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use config::Config;
pub use metrics::{Metrics, Sample};

use crate::claim::{Claim, record_process};
use crate::fleet::Host;
use crate::forge::{Forge, Hook, Repository, free_port};
use crate::http::{self, Answer};
use crate::process::tail;
use crate::wait::{Seen, wait_for, wait_until};
use crate::workspace::binary;

/// How long the daemon may take from its start to `/readyz`: it opens its store and clones a small repository.
const READY: Duration = Duration::from_secs(30);

/// How long it may take to end after SIGTERM; its own grace for activations under way is shorter.
const ENDING: Duration = Duration::from_secs(60);

/// How long a page of the operator may take.
const PAGE: Duration = Duration::from_secs(10);

/// How much of the daemon's log an error repeats.
const LOG_BYTES: usize = 6_000;

/// The folder for temporary files in the claim's: Nix leaves some when it is killed.
const TEMPORARY: &str = "tmp";

/// The secret that the daemon and the forge's hook share.
pub const SECRET: &str = "test-bed-secret";

/// A `reconcile serve` of one's own until it is dropped.
#[derive(Debug)]
pub struct Daemon {
    /// What the next start, or [`Daemon::rewrite_config`], puts into `reconcile.toml`.
    pub config: Config,
    /// The `reconcile` that runs; the one that was built with the test unless a test sets another.
    pub program: PathBuf,
    /// Further variables of everything that is started as `reconcile`, as a unit's `Environment=` sets them.
    pub environment: Vec<(String, String)>,
    claim: Claim,
    child: Option<Child>,
}

impl Daemon {
    /// Prepares a daemon for one repository and some hosts, and has the forge tell it of pushes. Nothing runs yet.
    ///
    /// The settings are quick ones: hosts are looked at every 2 s, git every 60 s, so that what a test sees within
    /// seconds came from a delivery.
    ///
    /// # Errors
    /// When ports or files cannot be had, or there is no binary.
    pub fn prepare(forge: &Forge, repository: &Repository, hosts: &[&Host]) -> Result<Self> {
        let claim = Claim::new()?;
        let folder = claim.directory();
        fs::create_dir(folder.join(TEMPORARY))?;
        let secret_file = folder.join("webhook-secret");
        fs::write(&secret_file, SECRET)?;
        let webhook = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        repository.add_hook(Hook::new(&format!("http://{webhook}/hook"), SECRET))?;
        let lines = format!(
            "url = \"{}\"\nssh_key_file = \"{}\"\nknown_hosts_file = \"{}\"",
            repository.ssh_url()?,
            forge.deploy_key().display(),
            forge.known_hosts().display()
        );
        let ssh_config = match hosts.first() {
            Some(host) => host.ssh_config.clone(),
            None => {
                let empty = folder.join("ssh_config");
                fs::write(&empty, "")?;
                empty
            }
        };
        let config = Config {
            state_directory: folder.join("state"),
            webhook,
            secret_files: vec![secret_file],
            webhook_lines: "delivery_grace = \"3s\"".to_owned(),
            operator: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
            ssh_config,
            ssh_lines: String::new(),
            log_level: "info".to_owned(),
            poll_interval: Some("60s".to_owned()),
            repositories: vec![(repository.full_name()?, lines)],
            defaults: "branch = \"main\"\ninterval = \"2s\"".to_owned(),
            timeouts: "connect = \"3s\"\nobserve = \"10s\"\nactivate = \"30s\"".to_owned(),
            backoff: "first = \"1s\"\nmax = \"4s\"".to_owned(),
            proof: String::new(),
            hosts: hosts
                .iter()
                .map(|host| (host.name.clone(), destinations(host)))
                .collect(),
            tail: String::new(),
            through: Vec::new(),
        };
        Ok(Self {
            config,
            program: binary("reconcile")?,
            environment: Vec::new(),
            claim,
            child: None,
        })
    }

    /// Writes the config, starts the daemon and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error holds the end of its log.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        wait_for("the daemon to be ready", READY, || {
            if let Some(status) = self.ended()? {
                return Ok(Seen::Yes(Err(status)));
            }
            let answer = self.get("/readyz")?;
            Ok(if answer.status == 200 {
                Seen::Yes(Ok(()))
            } else {
                Seen::NotYet(answer)
            })
        })
        .and_then(|end| end.map_err(|status| anyhow::anyhow!("the daemon ended with {status}")))
        .with_context(|| self.last_words())
    }

    /// Writes the config and starts the daemon, without waiting for anything.
    ///
    /// # Errors
    /// When it runs already, or does not start.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the daemon runs already");
        self.rewrite_config()?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let mut command = self.reconcile(&self.config.through);
        command.arg("serve").arg("--config").arg(self.config_file());
        // Ctrl-C at the terminal is for the owner, who then cleans up in order.
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = command.spawn().context("cannot start the daemon")?;
        record_process(&self.claim.directory(), child.id())?;
        self.child = Some(child);
        Ok(())
    }

    /// `kill -9`: the daemon does not get to say anything.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the daemon does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it does not run, or does not end within a minute.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let status = wait_for("the daemon to end", ENDING, || {
            Ok(self
                .ended()?
                .map_or_else(|| Seen::NotYet("it runs"), Seen::Yes))
        })
        .with_context(|| self.last_words())?;
        self.child = None;
        Ok(status)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.pid()?)?), signal)?)
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the daemon does not run")?.id())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the kernel does not know it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(Some(ExitStatus::from_raw(0))),
        }
    }

    /// Its resident memory, in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("a process without VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// Puts [`Daemon::config`] into the file that a running daemon watches, at once and whole.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn rewrite_config(&self) -> Result<()> {
        let new = self.claim.directory().join("reconcile.toml.new");
        fs::write(&new, self.config.toml())?;
        fs::rename(new, self.config_file())?;
        Ok(())
    }

    /// Where the config is.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.claim.directory().join("reconcile.toml")
    }

    /// A folder of this daemon's, for what a test writes beside the config.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.claim.directory()
    }

    /// Everything that the daemon has logged since the first start.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// A page of the operator's listener.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn get(&self, path: &str) -> Result<Answer> {
        http::get(&format!("http://{}{path}", self.config.operator), PAGE)
    }

    /// The daemon's metrics now.
    ///
    /// # Errors
    /// When nobody answers, or not with metrics.
    pub fn metrics(&self) -> Result<Metrics> {
        let answer = self.get("/metrics")?;
        ensure!(
            answer.status == 200,
            "/metrics answered {}: {}",
            answer.status,
            answer.body
        );
        Metrics::parse(&answer.body)
    }

    /// Waits until a host runs a toplevel. When it does not, the error says what runs, and the end of the daemon's log.
    ///
    /// # Errors
    /// When the deadline passes.
    pub fn wait_until_running(
        &self,
        host: &Host,
        toplevel: &str,
        deadline: Duration,
    ) -> Result<()> {
        let what = format!("{} to run {toplevel}", host.name);
        wait_until(
            &what,
            deadline,
            || host.running_toplevel(),
            |running| running == toplevel,
        )
        .map(drop)
        .with_context(|| self.last_words())
    }

    /// Waits until a metric of the daemon is as it should be.
    ///
    /// # Errors
    /// When the deadline passes; the error tells the last value.
    pub fn wait_for_metric(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        deadline: Duration,
        holds: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let look = || Ok(self.metrics()?.value(name, labels));
        let seen = wait_until(&format!("{name}{labels:?}"), deadline, look, |value| {
            value.is_some_and(&holds)
        });
        seen.with_context(|| self.last_words())?
            .context("a metric that was there")
    }

    /// The end of the log, for an error.
    #[must_use]
    pub fn last_words(&self) -> String {
        format!("the daemon's log ends:\n{}", tail(&self.log(), LOG_BYTES))
    }

    fn log_file(&self) -> PathBuf {
        self.claim.directory().join("daemon.log")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Before the claim is swept: nobody else waits for the child.
        if self.child.is_some() {
            let _ = self.kill();
        }
    }
}

/// How a host of the fleet is reached, as its lines in the config say it.
fn destinations(host: &Host) -> String {
    if host.root_alias == host.name {
        return format!("destinations = [\"{}\"]", host.root_alias);
    }
    format!(
        "destinations = [\"{}\", {{ ssh = \"{}\", sudo = true }}]",
        host.root_alias, host.worker_alias
    )
}
