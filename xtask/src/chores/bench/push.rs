//! From a push to four switched hosts, beside the pipeline that a person writes by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::report::{median, say};
use crate::daemon::Daemon;
use crate::flake::System;
use crate::fleet::{Fleet, HOSTS, Host};
use crate::forge::{Forge, Repository};
use crate::process::{finish, said};
use crate::wait::wait_until;

/// Rounds, an odd number: the two take turns, so that a slow minute of the machine hits both.
const ROUNDS: usize = 7;
/// Our time may be this many times the pipeline's.
const BOUND: f64 = 2.0;
/// What a toplevel of the hosts weighs in the measurement, in MiB.
const MEGABYTES: u32 = 2;
/// Something is broken when a push takes longer.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at a link: far below what is measured.
const LOOK: Duration = Duration::from_millis(2);
/// The pipeline, as a person would write it.
const PIPELINE: &str = include_str!("../../../testbed/bench/pipeline.sh");

/// What was measured, in seconds.
#[derive(Debug)]
pub struct Push {
    ours: Vec<f64>,
    pipeline: Vec<f64>,
}

impl Push {
    fn ratio(&self) -> f64 {
        median(self.ours.clone()) / median(self.pipeline.clone())
    }

    /// Whether we are fast enough.
    pub fn is_kept(&self) -> bool {
        self.ratio() <= BOUND
    }

    /// What to print.
    pub fn text(&self) -> String {
        format!(
            "push to {} hosts, median of {ROUNDS}: {:.2} s; by hand {:.2} s; ratio {:.2}, at most {BOUND}\n  \
             ours {:.2?}\n  by hand {:.2?}",
            HOSTS.len(),
            median(self.ours.clone()),
            median(self.pipeline.clone()),
            self.ratio(),
            self.ours,
            self.pipeline
        )
    }
}

/// Measures both, in turn.
pub fn measure() -> Result<Push> {
    let fleet = Fleet::boot(&HOSTS)?;
    let hosts = fleet.hosts(&HOSTS)?;
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &hosts)?;
    // Both log in as root: what sudo costs is not what is measured here. The hosts are looked at
    // rarely, or the daemon would undo what the pipeline has just done.
    for host in &hosts {
        *daemon.config.host(&host.name) = format!("destinations = [\"{}\"]", host.root_alias);
    }
    "branch = \"main\"\ninterval = \"1h\"".clone_into(&mut daemon.config.defaults);
    // The pipeline proves nothing either.
    "acknowledge = \"none\"\non_degraded = \"keep\"".clone_into(&mut daemon.config.proof);
    let first = commit(&repository, "first")?;
    repository.push("main")?;
    daemon.start()?;
    wait_for_all(&repository, &hosts, &first)?;
    wait_until_done(&daemon, hosts.len())?;

    let pipeline = daemon.directory().join("pipeline.sh");
    fs::write(&pipeline, PIPELINE)?;
    fs::set_permissions(&pipeline, fs::Permissions::from_mode(0o755))?;
    let control = daemon.directory().join("c");
    fs::create_dir(&control)?;

    let mut push = Push {
        ours: Vec::new(),
        pipeline: Vec::new(),
    };
    // One round before the first warms both: connections, and Nix's caches.
    for round in 0..=ROUNDS {
        let by_hand = by_hand(&pipeline, &control, &repository, &hosts, round)?;
        let revision = commit(&repository, &format!("ours-{round}"))?;
        let began = Instant::now();
        repository.push("main")?;
        wait_for_all(&repository, &hosts, &revision)?;
        let ours = began.elapsed().as_secs_f64();
        say(&format!(
            "  round {round}: ours {ours:.2} s, by hand {by_hand:.2} s"
        ));
        wait_until_done(&daemon, hosts.len() * (round + 2))?;
        if round > 0 {
            push.ours.push(ours);
            push.pipeline.push(by_hand);
        }
    }
    Ok(push)
}

/// Commits new systems for all hosts; the forge delivers before a `git push` of it returns.
fn commit(repository: &Repository, version: &str) -> Result<String> {
    repository.write_systems(&systems(version))?;
    repository.commit(version)
}

fn systems(version: &str) -> Vec<(&'static str, System)> {
    HOSTS
        .iter()
        .map(|host| {
            let system = System {
                megabytes: MEGABYTES,
                ..System::new(version)
            };
            (*host, system)
        })
        .collect()
}

/// The pipeline works from the checkout where the commit was made: it has nothing to fetch.
fn by_hand(
    pipeline: &Path,
    control: &Path,
    repository: &Repository,
    hosts: &[&Host],
    round: usize,
) -> Result<f64> {
    repository.write_systems(&systems(&format!("by-hand-{round}")))?;
    repository.commit(&format!("by hand {round}"))?;
    let ssh_config = &hosts.first().context("no hosts")?.ssh_config;
    let began = Instant::now();
    let output = finish(
        Command::new(pipeline)
            .arg(format!("git+file://{}", repository.work().display()))
            .arg(ssh_config)
            .arg(control)
            .args(
                hosts
                    .iter()
                    .map(|host| format!("{}:{}", host.name, host.root_alias)),
            ),
    )?;
    let took = began.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", said(&output));
    // It ends when all hosts are switched: a pipeline that failed would be a fast one.
    for host in hosts {
        let init = host.init()?.context("a host that is off")?;
        let root = PathBuf::from(format!("/proc/{init}/root"));
        ensure!(
            is_on(&root, &host.name, &format!("-by-hand-{round}")),
            "the pipeline has not switched {}: {}",
            host.name,
            said(&output)
        );
    }
    Ok(took)
}

/// Waits until the daemon has read back and cleaned up so many deployments, or that would slow the pipeline down.
fn wait_until_done(daemon: &Daemon, deployments: usize) -> Result<()> {
    let done = || Ok(daemon.metrics()?.sum("reconcile_deployments_total", &[]) as usize);
    wait_until("the daemon to be done", DEADLINE, done, |done| {
        *done >= deployments
    })?;
    Ok(())
}

/// Waits until every host runs its system of `revision` and has it as its profile.
fn wait_for_all(repository: &Repository, hosts: &[&Host], revision: &str) -> Result<()> {
    let began = Instant::now();
    let mut waiting: Vec<(PathBuf, &Host)> = Vec::new();
    for host in hosts {
        let init = host.init()?.context("a host that is off")?;
        waiting.push((PathBuf::from(format!("/proc/{init}/root")), host));
    }
    // The version is in the path; asking Nix for the whole path would cost us its time.
    let version = repository.git(&["log", "-1", "--format=%s", revision])?;
    let suffix = format!("-{}", version.trim());
    while !waiting.is_empty() {
        waiting.retain(|(root, host)| !is_on(root, &host.name, &suffix));
        ensure!(
            began.elapsed() < DEADLINE,
            "{} did not get there in {DEADLINE:?}",
            waiting
                .iter()
                .map(|(_, host)| host.name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        );
        thread::sleep(LOOK);
    }
    Ok(())
}

fn is_on(root: &Path, host: &str, suffix: &str) -> bool {
    let read = |path: PathBuf| fs::read_link(path).ok();
    let profiles = root.join("nix/var/nix/profiles");
    let running = read(root.join("run/current-system"));
    let profile =
        read(profiles.join("system")).and_then(|generation| read(profiles.join(generation)));
    running.is_some()
        && running == profile
        && running.is_some_and(|path| {
            path.to_string_lossy()
                .ends_with(&format!("-nixos-system-{host}{suffix}"))
        })
}
