//! A forge, hosts and a daemon in between, for the tests that take it apart.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::daemon::Daemon;
use xtask::flake::System;
use xtask::fleet::{Fleet, Host, Lease};
use xtask::forge::{Forge, Repository};
use xtask::wait::wait_until;

/// How long anything may take that takes 2 s on an idle machine and many times that on one that runs every other test too.
pub const SOON: Duration = Duration::from_secs(60);

/// What every test's repository is called.
pub const REPOSITORY: &str = "infra-team/infra";

/// Dropped in this order: the daemon before what it works on.
pub struct Stage {
    pub daemon: Daemon,
    pub repository: Repository,
    pub forge: Forge,
    pub hosts: Vec<Lease>,
    fleet: Arc<Fleet>,
}

impl Stage {
    /// Hosts as they were made, a first commit for them, and a daemon that does not run yet.
    pub fn prepare(names: &[&str]) -> Result<Self> {
        let fleet = Fleet::obtain()?;
        let hosts = fleet.lease(names)?;
        let forge = Forge::start()?;
        let repository = forge.create(REPOSITORY)?;
        let systems: Vec<_> = names.iter().map(|name| (*name, System::new("1"))).collect();
        repository.deploy("main", "First", &systems)?;
        let listed: Vec<&Host> = hosts.iter().map(|lease| &**lease).collect();
        let mut daemon = Daemon::prepare(&forge, &repository, &listed)?;
        // Whoever is killed in the middle of the night is not looked for by a poll.
        daemon.config.never_poll();
        Ok(Self {
            daemon,
            repository,
            forge,
            hosts,
            fleet,
        })
    }

    /// The same, with a daemon that has brought the hosts to the first commit.
    pub fn start(names: &[&str]) -> Result<Self> {
        let mut stage = Self::prepare(names)?;
        stage.daemon.start()?;
        let first = stage.repository.tip("main")?;
        for host in &stage.hosts {
            stage.wait_for_convergence(host, &first)?;
        }
        Ok(stage)
    }

    /// The only host, in tests that have one.
    pub fn host(&self) -> &Host {
        &self.hosts[0]
    }

    /// The private key that may log in to every host.
    pub fn identity(&self) -> PathBuf {
        self.fleet.description().identity.clone()
    }

    /// Waits until a host runs what a commit gives it and the daemon knows it; gives the toplevel.
    pub fn wait_for_convergence(&self, host: &Host, revision: &str) -> Result<String> {
        let toplevel = self.repository.toplevel(&host.name, revision)?;
        self.daemon.wait_until_running(host, &toplevel, SOON)?;
        self.wait_for_status(host, |status| {
            status["drift"] == "in_sync" && status["desired_toplevel"] == toplevel
        })?;
        Ok(toplevel)
    }

    /// Waits until the daemon's status of a host is as it should be.
    pub fn wait_for_status(&self, host: &Host, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let look = || self.status_of(host);
        wait_until("the status of the host", SOON, look, holds)
            .with_context(|| self.daemon.last_words())
    }

    /// One host of `reconcile status --json`.
    pub fn status_of(&self, host: &Host) -> Result<Value> {
        let status = self.daemon.status()?;
        let hosts = status["hosts"].as_array().context("no hosts")?;
        let found = hosts.iter().find(|one| one["host"] == host.name);
        found.cloned().context("no status of the host")
    }

    /// A host's history of one kind, the newest first.
    pub fn history(&self, host: &Host, kind: &str) -> Result<Vec<Value>> {
        let arguments = ["history", "--host", &host.name, "--kind", kind];
        let past = self.daemon.cli_json(&arguments)?;
        Ok(past["entries"].as_array().context("no entries")?.clone())
    }
}

/// A good system that no run before this one has built, so that its build and its copy are seen to happen.
pub fn never_built(name: &str) -> Result<System> {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    let id = id.split('-').next().unwrap_or_default();
    Ok(System::new(&format!("{name}-{id}")))
}

/// What a host has of us beside the system itself: units, folders, roots of the garbage collector, locks that are held.
pub fn leftovers(host: &Host) -> Result<String> {
    host.console(
        "systemctl list-units --all --plain --no-legend 'reconcile-*'; \
         find /run/reconcile -mindepth 1 '(' -type d -o -name '.*' ')' 2>/dev/null; \
         find /nix/var/nix/gcroots/reconcile 2>/dev/null; \
         for lock in /run/reconcile/* /run/nixos/switch-to-configuration.lock; do \
         [ ! -f $lock ] || flock -n $lock true || echo $lock is held; done",
    )
}

/// Waits until nothing of ours is left on a host.
pub fn wait_until_clean(host: &Host) -> Result<()> {
    let nothing = |left: &String| left.is_empty();
    wait_until("a clean host", SOON, || leftovers(host), nothing).map(drop)
}

/// The command lines of every process below one, each with its words apart by spaces.
pub fn descendants(ancestor: u32) -> Result<Vec<String>> {
    let (mut known, mut lines) = (BTreeSet::from([ancestor]), Vec::new());
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Processes come and go while they are listed.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let parent = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned());
        let parent = parent.and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        processes.push((pid, parent.context("a process without a parent")?, line));
    }
    loop {
        let before = known.len();
        processes.retain(|(pid, parent, line)| {
            let is_below = known.contains(parent);
            if is_below {
                known.insert(*pid);
                lines.push(line.clone());
            }
            !is_below
        });
        if known.len() == before {
            return Ok(lines);
        }
    }
}
