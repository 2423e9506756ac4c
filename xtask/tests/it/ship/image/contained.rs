//! The daemon in a container, started by the project's compose.yaml, between a forge and a host.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::scene::never_built;
use anyhow::{Context, Result, ensure};
use xtask::daemon::Daemon;
use xtask::engine::{Engine, WORKSPACE};
use xtask::flake::System;
use xtask::fleet::{Fleet, Host, Lease};
use xtask::forge::{Forge, Repository};
use xtask::process::{finish, run, said};
use xtask::wait::wait_until;

/// How long anything may take that takes seconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(120);

/// Who the daemon is in the image.
const USER: u32 = 1000;

/// Dropped in this order: the containers before what they work on.
pub struct Contained {
    project: Project,
    daemon: Daemon,
    pub repository: Repository,
    forge: Forge,
    hosts: Vec<Lease>,
    fleet: Arc<Fleet>,
}

/// A project of compose, which is gone when this is.
struct Project {
    engine: Arc<Engine>,
    name: String,
    folder: PathBuf,
}

impl Contained {
    /// A host as it was made, a first commit for it, and what compose.yaml reads beside it. Nothing runs yet.
    pub fn prepare(engine: Arc<Engine>, image: &str, names: &[&str]) -> Result<Self> {
        let fleet = Fleet::obtain()?;
        let hosts = fleet.lease(names)?;
        let forge = Forge::start()?;
        let repository = forge.create("infra-team/infra")?;
        let systems: Vec<_> = names.iter().map(|name| (*name, System::new("1"))).collect();
        repository.deploy("main", "First", &systems)?;
        let listed: Vec<&Host> = hosts.iter().map(|lease| &**lease).collect();
        let daemon = Daemon::prepare(&forge, &repository, &listed)?;
        // The claim's number, which nobody else has meanwhile: other tests have hosts of these names too.
        let claim = daemon.directory();
        let number = claim.file_name().context("a claim without a number")?;
        let name = format!("test-{}", number.display());
        let project = Project {
            folder: engine.directory().join(&name),
            engine,
            name,
        };
        let mut contained = Self {
            project,
            daemon,
            repository,
            forge,
            hosts,
            fleet,
        };
        contained.write_files(image)?;
        Ok(contained)
    }

    /// Writes ./config and ./secrets as docs/container.md says, and what differs on this machine.
    fn write_files(&mut self, image: &str) -> Result<()> {
        let (config, secrets) = (self.path("config"), self.path("secrets"));
        let overriding = self.path("override.yaml");
        fs::create_dir_all(&config)?;
        fs::create_dir_all(&secrets)?;
        let fleet = self.fleet.description();
        let (deploy_key, known_hosts) = (self.forge.deploy_key(), self.forge.known_hosts());
        for (from, to) in [
            (fleet.identity.as_path(), "login-key"),
            (deploy_key, "deploy-key"),
            (&self.daemon.config.secret_files[0], "webhook-secret"),
        ] {
            let to = secrets.join(to);
            fs::copy(from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o400))?;
            chown(&to, Some(USER), Some(USER))?;
        }
        fs::copy(&fleet.known_hosts, config.join("hosts_known"))?;
        fs::copy(known_hosts, config.join("known_hosts"))?;
        let ssh_config = fs::read_to_string(&fleet.ssh_config)?
            .replace(&text(&fleet.identity), "/run/secrets/login-key")
            .replace(&text(&fleet.known_hosts), "/etc/reconcile/hosts_known");
        fs::write(config.join("ssh_config"), ssh_config)?;
        let given = &mut self.daemon.config;
        given.state_directory = "/var/lib/reconcile".into();
        given.ssh_config = "/etc/reconcile/ssh_config".into();
        given.secret_files = vec!["/run/secrets/webhook-secret".into()];
        // As long as a test wants an activation to hang.
        given.timeouts = given
            .timeouts
            .replace("activate = \"30s\"", "activate = \"10m\"");
        // Nobody is found by a poll that happened to come by.
        given.never_poll();
        for (_, lines) in &mut given.repositories {
            *lines = lines
                .replace(&text(deploy_key), "/run/secrets/deploy-key")
                .replace(&text(known_hosts), "/etc/reconcile/known_hosts");
        }
        fs::write(config.join("reconcile.toml"), given.toml())?;
        fs::write(
            overriding,
            format!(
                "services:\n  reconcile:\n    image: {image}\n    network_mode: host\n    ports: !reset []\n    environment:\n      \
                 RECONCILE_WEBHOOK_LISTEN: {}\n      RECONCILE_OPERATOR_LISTEN: {}\n      NIX_SUBSTITUTERS: none\n    \
                 healthcheck:\n      interval: 1s\n      timeout: 2s\n      retries: 2\n",
                given.webhook, given.operator
            ),
        )?;
        Ok(())
    }

    /// Starts it, and waits until it is ready.
    pub fn up(&self) -> Result<()> {
        self.compose(&["up", "--detach", "--no-build", "reconcile"])?;
        wait_until(
            "the daemon in the container to be ready",
            SOON,
            || Ok(self.daemon.get("/readyz")?.status),
            |status| *status == 200,
        )
        .map(drop)
        .with_context(|| self.last_words())
    }

    /// Removes the container; the volumes stay.
    pub fn down(&self) -> Result<()> {
        self.compose(&["down"]).map(drop)
    }

    /// Removes the volume with the store.
    pub fn lose_nix(&self) -> Result<()> {
        let volume = format!("{}_nix", self.project.name);
        run(self.project.engine.docker().args(["volume", "rm", &volume])).map(drop)
    }

    /// `docker compose` with arguments, for this project.
    pub fn compose(&self, arguments: &[&str]) -> Result<String> {
        self.project.compose(arguments)
    }

    /// Runs a program in the container, as its user.
    pub fn exec(&self, words: &[&str]) -> Result<String> {
        self.compose(&[&["exec", "-T", "reconcile"], words].concat())
    }

    /// One thing that Docker knows of the container, as a template names it.
    pub fn inspect(&self, template: &str) -> Result<String> {
        let name = format!("{}-reconcile-1", self.project.name);
        let said = run(self
            .project
            .engine
            .docker()
            .args(["inspect", "--format", template, &name]))?;
        Ok(said.trim().to_owned())
    }

    /// Sends the daemon itself a signal, which what waits for it does not see.
    pub fn signal_daemon(&self, signal: &str) -> Result<()> {
        let line = format!("kill -{signal} $(cat /proc/1/task/1/children)");
        self.exec(&["sh", "-c", &line]).map(drop)
    }

    /// What the container has said so far.
    pub fn log(&self) -> Result<String> {
        let output = finish(&mut self.project.command(&["logs", "--no-color", "reconcile"]))?;
        ensure!(output.status.success(), "no log: {}", said(&output));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The end of the log, for an error.
    pub fn last_words(&self) -> String {
        let log = self.log().unwrap_or_else(|error| format!("{error:#}"));
        let start = log.len().saturating_sub(6_000);
        let tail = log.get(start..).unwrap_or(&log);
        format!("the container's log ends:\n{tail}")
    }

    /// The only host.
    pub fn host(&self) -> &Host {
        &self.hosts[0]
    }

    /// Pushes a new system and waits until the host runs it.
    pub fn deploy(&self, version: &str) -> Result<()> {
        let name = self.host().name.clone();
        let systems = [(name.as_str(), never_built(version)?)];
        let revision = self.repository.deploy("main", version, &systems)?;
        self.wait_for_convergence(&revision)
    }

    /// Waits until the host runs what a commit gives it and the daemon knows it.
    pub fn wait_for_convergence(&self, revision: &str) -> Result<()> {
        let toplevel = self.repository.toplevel(&self.host().name, revision)?;
        self.daemon
            .wait_until_running(self.host(), &toplevel, SOON)
            .with_context(|| self.last_words())?;
        let in_sync = |status: &serde_json::Value| {
            let host = &status["hosts"][0];
            host["drift"] == "in_sync" && host["desired_toplevel"] == toplevel
        };
        let look = || {
            Ok(serde_json::from_str(&self.exec(&[
                "reconcile",
                "status",
                "--json",
            ])?)?)
        };
        wait_until("the daemon to know it", SOON, look, in_sync)
            .map(drop)
            .with_context(|| self.last_words())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.project.folder.join(name)
    }
}

impl Project {
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.engine.docker();
        command
            .args(["compose", "--ansi", "never", "--progress", "quiet"])
            .args(["--project-name", &self.name, "--project-directory"])
            .arg(&self.folder)
            .arg("--file")
            .arg(format!("{WORKSPACE}/compose.yaml"))
            .arg("--file")
            .arg(self.folder.join("override.yaml"))
            .args(arguments);
        command
    }

    fn compose(&self, arguments: &[&str]) -> Result<String> {
        run(&mut self.command(arguments))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // What is left over ends with the engine.
        let _ = self.compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
