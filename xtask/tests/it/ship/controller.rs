//! A host of the test bed that runs the daemon itself, as a unit of its own systemd, and deploys another host.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::daemon::Metrics;
use xtask::flake::System;
use xtask::fleet::{Fleet, Host};
use xtask::forge::{Forge, Repository};
use xtask::http::{self, Answer};
use xtask::process::run;
use xtask::wait::wait_until;
use xtask::workspace::root;

/// How long anything may take that takes some seconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(120);

/// How long a page of the operator may take.
const PAGE: Duration = Duration::from_secs(10);

/// Where our files lie in the controller.
const FILES: [&str; 4] = [
    "/usr/bin/reconcile",
    "/usr/lib/systemd/system/reconcile.service",
    "/usr/lib/sysusers.d/reconcile.conf",
    "/usr/lib/tmpfiles.d/reconcile.conf",
];

/// The controller until it is dropped; then nothing of it is left on the host.
pub struct Controller<'a> {
    host: &'a Host,
}

impl<'a> Controller<'a> {
    /// A host that is to become one.
    pub fn of(host: &'a Host) -> Self {
        Self { host }
    }

    /// Puts the program and the files of `packaging/systemd` where a package would, and makes what they ask for.
    pub fn install(&self, program: &Path) -> Result<()> {
        let packaging = root().join("packaging/systemd");
        self.put(program, FILES[0])?;
        self.put(&packaging.join("reconcile.service"), FILES[1])?;
        self.put(&packaging.join("sysusers.conf"), FILES[2])?;
        self.put(&packaging.join("tmpfiles.conf"), FILES[3])?;
        self.host.console(
            "systemd-sysusers reconcile.conf && systemd-tmpfiles --create reconcile.conf && systemctl daemon-reload",
        )?;
        Ok(())
    }

    /// Writes a config for one host, whose repository lies on the controller as in a forge that it reaches by `file://`.
    pub fn configure(&self, fleet: &Fleet, repository: &Repository, target: &Host) -> Result<()> {
        let known = fleet.description();
        let config = format!(
            "[webhook]\nlisten = \"0.0.0.0:9080\"\nsecret_files = [\"/etc/reconcile/webhook-secret\"]\n\
             [operator]\nlisten = \"0.0.0.0:9090\"\n\
             [ssh]\nconfig_file = \"/etc/reconcile/ssh_config\"\n\
             [repositories.\"infra-team/infra\"]\nurl = \"file:///srv/infra.git\"\n\
             [defaults]\ninterval = \"2s\"\n\
             [hosts.{}]\ndestinations = [\"{}\"]\n",
            target.name, target.root_alias
        );
        let ssh_config = fs::read_to_string(&known.ssh_config)?
            .replace(
                &known.identity.display().to_string(),
                "/etc/reconcile/login-key",
            )
            .replace(
                &known.known_hosts.display().to_string(),
                "/etc/reconcile/hosts_known",
            );
        self.write("/etc/reconcile/reconcile.toml", &config)?;
        self.write("/etc/reconcile/ssh_config", &ssh_config)?;
        self.write(
            "/etc/reconcile/webhook-secret",
            "0123456789abcdef0123456789abcdef\n",
        )?;
        self.put(&known.known_hosts, "/etc/reconcile/hosts_known")?;
        self.put(&known.identity, "/etc/reconcile/login-key")?;
        run(Command::new("cp")
            .arg("-r")
            .arg(repository.bare())
            .arg(self.outside("/srv/infra.git")))?;
        self.host.console(
            "chown -R reconcile:reconcile /srv/infra.git && cd /etc/reconcile && chmod 0640 * && chgrp reconcile *",
        )?;
        Ok(())
    }

    /// What it says of a unit's property.
    pub fn property(&self, name: &str) -> Result<String> {
        let line = format!("systemctl show --property={name} --value reconcile.service");
        Ok(self.host.console(&line)?.trim().to_owned())
    }

    /// Starts the unit; with `Type=notify` that returns when the daemon has said that it is ready.
    pub fn start(&self) -> Result<()> {
        let started = self.host.console("systemctl start reconcile.service");
        started.map(drop).with_context(|| self.journal())
    }

    /// A page of its operator's listener.
    pub fn page(&self, path: &str) -> Result<Answer> {
        http::get(&format!("http://{}:9090{path}", self.host.address), PAGE)
    }

    /// Waits until the other host runs what a commit gives it, by this controller's work.
    pub fn wait_until_deployed(&self, target: &Host, toplevel: &str) -> Result<()> {
        let look = || target.running_toplevel();
        wait_until("the deployed system", SOON, look, |seen| seen == toplevel)
            .with_context(|| self.journal())?;
        let in_sync = || {
            let metrics = Metrics::parse(&self.page("/metrics")?.body)?;
            let labels = [("host", target.name.as_str())];
            Ok(metrics.value("reconcile_host_drifted", &labels))
        };
        wait_until("the host in sync", SOON, in_sync, |drifted| {
            *drifted == Some(0.0)
        })
        .map(drop)
        .with_context(|| self.journal())
    }

    /// The end of the unit's journal, for an error.
    pub fn journal(&self) -> String {
        let line = "systemctl status --no-pager reconcile.service; journalctl --no-pager --lines=60 --unit=reconcile.service";
        self.host.try_console(line).map_or_else(
            |error| error.to_string(),
            |said| String::from_utf8_lossy(&said.stdout).into_owned(),
        )
    }

    /// Writes a file of the controller.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let outside = self.outside(path);
        let folder = outside.parent().context("a file without a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&outside, text).with_context(|| format!("cannot write {}", outside.display()))
    }

    /// Copies a file of this machine into the controller.
    pub fn put(&self, from: &Path, path: &str) -> Result<()> {
        fs::copy(from, self.outside(path))
            .with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }

    fn outside(&self, path: &str) -> std::path::PathBuf {
        self.host
            .directory
            .join("root")
            .join(path.trim_start_matches('/'))
    }
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        let _ = self.host.try_console(&format!(
            "systemctl disable --now reconcile.service; dpkg --purge reconcile; rm -rf {} /etc/systemd/system/reconcile.service.d /etc/reconcile \
             /srv/infra.git /var/lib/reconcile; userdel reconcile; systemctl daemon-reload; systemctl reset-failed",
            FILES.join(" ")
        ));
    }
}

/// A repository with a first system for one host; gives it with its forge, which has to outlive it, and the toplevel.
pub fn first_system(host: &Host, version: &str) -> Result<(Forge, Repository, String)> {
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let revision = repository.deploy("main", "First", &[(&host.name, System::new(version))])?;
    let toplevel = repository.toplevel(&host.name, &revision)?;
    ensure!(host.running_toplevel()? != toplevel, "it runs it already");
    Ok((forge, repository, toplevel))
}
