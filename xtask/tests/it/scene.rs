//! A forge, hosts and a daemon in between that has brought them to a first commit.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::daemon::{Config, Daemon};
use xtask::flake::System;
use xtask::fleet::{Fleet, Host, Lease, count_begun};
use xtask::forge::{Delivery, Event, Forge, Repository};
use xtask::wait::wait_until;

/// How long a push may take to be run: evaluating, building, copying and activating take about 2 s on an idle machine
/// and many times that on one that runs every other test too.
pub const SOON: Duration = Duration::from_secs(90);

/// What every test's repository is called.
pub const REPOSITORY: &str = "infra-team/infra";

/// What the first commit of every test gives its hosts.
pub const FIRST: &str = "1";

/// Dropped in this order: the daemon before what it works on.
pub struct Scene {
    pub daemon: Daemon,
    pub repository: Repository,
    pub forge: Forge,
    pub hosts: Vec<Lease>,
    fleet: Arc<Fleet>,
}

impl Scene {
    /// Hosts as they were made, a first commit of `main` for them, and a daemon that does not run yet.
    pub fn prepare(names: &[&str]) -> Result<Self> {
        Self::prepare_on("main", names, |_| ())
    }

    /// Hosts on the first commit of `main`, and a daemon that from now on hears deliveries and polls once an hour.
    pub fn start(names: &[&str]) -> Result<Self> {
        Self::start_on("main", names, |_| ())
    }

    /// The same, for another branch and with a config of the test's own.
    pub fn start_on(branch: &str, names: &[&str], change: impl Fn(&mut Config)) -> Result<Self> {
        let mut scene = Self::prepare_on(branch, names, change)?;
        scene.daemon.start()?;
        let first = scene.repository.tip(branch)?;
        for host in &scene.hosts {
            scene.wait_for_revision(host, &first)?;
        }
        Ok(scene)
    }

    fn prepare_on(branch: &str, names: &[&str], change: impl Fn(&mut Config)) -> Result<Self> {
        let fleet = Fleet::obtain()?;
        let hosts = fleet.lease(names)?;
        let forge = Forge::start()?;
        let repository = forge.create(REPOSITORY)?;
        let systems: Vec<_> = names
            .iter()
            .map(|name| (*name, System::new(FIRST)))
            .collect();
        // Before there is a hook: nothing of this is delivered.
        repository.deploy(branch, "First", &systems)?;
        let listed: Vec<&Host> = hosts.iter().map(|lease| &**lease).collect();
        let mut daemon = Daemon::prepare(&forge, &repository, &listed)?;
        daemon.config.never_poll();
        daemon.config.defaults = format!("branch = \"{branch}\"\ninterval = \"2s\"");
        change(&mut daemon.config);
        Ok(Self {
            daemon,
            repository,
            forge,
            hosts,
            fleet,
        })
    }

    /// The only host, in scenes that have one.
    pub fn host(&self) -> &Host {
        &self.hosts[0]
    }

    /// The private key that may log in to every host.
    pub fn identity(&self) -> PathBuf {
        self.fleet.description().identity.clone()
    }

    /// Pushes a commit that gives every host of the scene this version.
    pub fn deploy(&self, branch: &str, version: &str) -> Result<String> {
        let systems: Vec<_> = self
            .hosts
            .iter()
            .map(|host| (host.name.as_str(), System::new(version)))
            .collect();
        self.repository.deploy(branch, version, &systems)
    }

    /// Pushes a commit that gives each host of the scene a system of its own, in the scene's order.
    pub fn deploy_each<'a>(
        &self,
        message: &str,
        systems: impl IntoIterator<Item = &'a System>,
    ) -> Result<String> {
        let systems: Vec<_> = self
            .hosts
            .iter()
            .zip(systems)
            .map(|(host, system)| (host.name.as_str(), system.clone()))
            .collect();
        self.repository.deploy("main", message, &systems)
    }

    /// What every host of the scene runs, in the scene's order.
    pub fn running_toplevels(&self) -> Result<Vec<String>> {
        self.hosts
            .iter()
            .map(|host| host.running_toplevel())
            .collect()
    }

    /// Waits until a host runs what a commit gives it, and then looks as a person would: by ssh, without the product.
    pub fn wait_for_revision(&self, host: &Host, revision: &str) -> Result<()> {
        let toplevel = self.repository.toplevel(&host.name, revision)?;
        self.daemon.wait_until_running(host, &toplevel, SOON)?;
        let running = running(host)?;
        ensure!(running == toplevel, "{} runs {running}", host.name);
        Ok(())
    }

    /// Waits until a host runs what a commit gives it and the daemon knows it; gives the toplevel.
    pub fn wait_for_convergence(&self, host: &Host, revision: &str) -> Result<String> {
        let toplevel = self.repository.toplevel(&host.name, revision)?;
        self.daemon.wait_until_running(host, &toplevel, SOON)?;
        self.wait_for_status(&host.name, "the host to be in sync", |status| {
            status["drift"] == "in_sync" && status["desired_toplevel"] == toplevel
        })?;
        Ok(toplevel)
    }

    /// Waits until the daemon's status of a host is as it should be.
    pub fn wait_for_status(
        &self,
        host: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        wait_until(what, SOON, || status_of(&self.daemon, host), holds)
            .with_context(|| self.daemon.last_words())
    }

    /// Waits until the last attempt for what is wanted of a host ended so; gives its status.
    pub fn wait_for_outcome(&self, host: &str, revision: &str, outcome: &str) -> Result<Value> {
        self.wait_for_status(host, outcome, |status| {
            status["outcome"]["outcome"] == outcome && status["desired_revision"] == revision
        })
    }

    /// Waits until the daemon has looked at a host twice more: whatever it wants to do there, it has begun by then.
    pub fn wait_for_two_looks(&self, host: &str) -> Result<()> {
        for _ in 0..2 {
            let seen = status_of(&self.daemon, host)?["last_seen"].clone();
            self.wait_for_status(host, "another look at the host", |status| {
                status["last_seen"] != seen
            })?;
        }
        Ok(())
    }

    /// The newest delivery that told of a push.
    pub fn last_push(&self) -> Result<Delivery> {
        let deliveries = self.repository.deliveries()?;
        let push = deliveries.into_iter().rfind(|one| one.event == Event::Push);
        push.context("no push has been delivered")
    }
}

/// What `/run/current-system` is, by plain ssh.
pub fn running(host: &Host) -> Result<String> {
    Ok(host
        .ssh("readlink -f /run/current-system")?
        .trim()
        .to_owned())
}

/// What runs on a host, what its profile says, and what a reboot would run.
pub fn places(host: &Host) -> Result<[String; 3]> {
    Ok([
        host.running_toplevel()?,
        host.profile_toplevel()?,
        host.boot_default()?,
    ])
}

/// Waits until a host has begun to activate a system.
pub fn wait_for_activation(host: &Host, toplevel: &str) -> Result<()> {
    let begun = || Ok(count_begun(&host.activations()?, "test", toplevel));
    wait_until("an activation to begin", SOON, begun, |count| *count > 0).map(drop)
}

/// One host of `reconcile status --json`.
pub fn status_of(daemon: &Daemon, host: &str) -> Result<Value> {
    let status = daemon.status()?;
    let hosts = status["hosts"].as_array().context("no hosts")?;
    let found = hosts.iter().find(|one| one["host"] == host);
    found
        .cloned()
        .with_context(|| format!("no status of {host}"))
}

/// A host's history of one kind, the newest first.
pub fn history(daemon: &Daemon, host: &str, kind: &str) -> Result<Vec<Value>> {
    let past = daemon.cli_json(&["history", "--host", host, "--kind", kind, "--limit", "1000"])?;
    Ok(past["entries"].as_array().context("no entries")?.clone())
}

/// What made the daemon want what it wants of a host now: `delivery <uuid>`, `poll`, ….
pub fn cause(daemon: &Daemon, host: &str) -> Result<String> {
    let wishes = history(daemon, host, "wish")?;
    let newest = wishes.first().context("nothing was ever wanted")?;
    Ok(newest["cause"].as_str().unwrap_or_default().to_owned())
}

/// How often the repository was asked so far.
pub fn looks(daemon: &Daemon) -> Result<f64> {
    Ok(daemon.metrics()?.sum("reconcile_polls_total", &[]))
}

/// Waits until the repository was asked at least so many times more than `before`.
pub fn wait_for_looks(daemon: &Daemon, before: f64, more: f64) -> Result<()> {
    let enough = |looks: &f64| *looks >= before + more;
    wait_until("looks at the repository", SOON, || looks(daemon), enough)
        .map(drop)
        .with_context(|| daemon.last_words())
}

/// Waits until no look is under way or due, so that a ring of the bell is answered at once by a look of its own: a
/// look that was rung for during the last one begins a second after it, and takes a part of a second.
pub fn wait_until_idle(daemon: &Daemon) -> Result<()> {
    const LONGER_THAN_TO_THE_NEXT_LOOK: Duration = Duration::from_millis(2500);
    let mut last = (looks(daemon)?, Instant::now());
    let idle_for = || {
        let now = looks(daemon)?;
        if now > last.0 {
            last = (now, Instant::now());
        }
        Ok(last.1.elapsed())
    };
    wait_until("quiet", SOON, idle_for, |idle| {
        *idle > LONGER_THAN_TO_THE_NEXT_LOOK
    })
    .map(drop)
}

/// Runs `reconcile` and gives its standard output; the command has to succeed.
pub fn says(daemon: &Daemon, arguments: &[&str]) -> Result<String> {
    let output = daemon.cli(arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until the daemon's log holds some words.
pub fn wait_for_log(daemon: &Daemon, words: &str) -> Result<()> {
    let holds = |log: &String| log.contains(words);
    wait_until(
        &format!("{words:?} in the log"),
        SOON,
        || Ok(daemon.log()),
        holds,
    )
    .map(drop)
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
