//! The child process: its start, its end, its files.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::config::Config;
use crate::claim::{Claim, record_process};
use crate::process::{tail, undisturbed};
use crate::wait::{Seen, wait_for};
use crate::workspace::binary;

/// How long it may take to end after SIGTERM; its own grace for activations under way is shorter.
const ENDING: Duration = Duration::from_secs(60);

/// How much of the daemon's log an error repeats.
const LOG_BYTES: usize = 6_000;

/// The folder for temporary files in the claim's: Nix leaves some when it is killed.
const TEMPORARY: &str = "tmp";

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
    /// One that does not run yet, in a claim of its own.
    pub(super) fn new(claim: Claim, config: Config) -> Result<Self> {
        fs::create_dir(claim.directory().join(TEMPORARY))?;
        Ok(Self {
            config,
            program: binary("reconcile")?,
            environment: Vec::new(),
            claim,
            child: None,
        })
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

    /// The end of the log, for an error.
    #[must_use]
    pub fn last_words(&self) -> String {
        format!("the daemon's log ends:\n{}", tail(&self.log(), LOG_BYTES))
    }

    /// `reconcile` in surroundings of its own, begun by words that may come before it.
    pub(super) fn reconcile(&self, through: &[String]) -> Command {
        let mut command = match through.split_first() {
            None => undisturbed(&self.program),
            Some((first, words)) => {
                let mut command = undisturbed(Path::new(first));
                command.args(words).arg(&self.program);
                command
            }
        };
        command
            .env("TMPDIR", self.directory().join(TEMPORARY))
            .envs(self.environment.iter().cloned());
        command
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
