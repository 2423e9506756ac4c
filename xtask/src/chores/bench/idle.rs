//! What the daemon costs while nothing happens.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::daemon::Daemon;
use crate::flake::System;
use crate::fleet::Fleet;
use crate::forge::Forge;

/// Hosts in sync.
const HOSTS: [&str; 3] = ["lazyworkhorse", "cyt-pi", "uConsole"];
/// How long to watch: two looks at each host at the default interval, and no poll of git.
const WATCH: Duration = Duration::from_secs(125);
/// Between two looks at the process list; `nix` takes 30 ms to say its version.
const LOOK: Duration = Duration::from_millis(10);
/// Until the first looks are over and memory that they needed has been given back.
const SETTLE: Duration = Duration::from_secs(5);
/// At most this much resident memory, in MB.
const MEMORY_BOUND: f64 = 40.0;
/// At most this share of one core, in percent.
const CPU_BOUND: f64 = 0.5;
/// Ticks of `/proc/<pid>/stat` in a second (`proc(5)`, `sysconf(_SC_CLK_TCK)`): 100 on Linux.
const TICKS: f64 = 100.0;

/// What was measured.
#[derive(Debug)]
pub struct Idle {
    megabytes: f64,
    cpu_percent: f64,
    children: Vec<String>,
}

impl Idle {
    /// Whether it is little enough.
    pub fn is_kept(&self) -> bool {
        self.megabytes < MEMORY_BOUND && self.cpu_percent < CPU_BOUND && self.children.is_empty()
    }

    /// What to print.
    pub fn text(&self) -> String {
        format!(
            "idle with {} hosts in sync, {} s: {:.1} MB resident, under {MEMORY_BOUND}; {:.2} % of a core, under \
             {CPU_BOUND}; nix and git processes: {}",
            HOSTS.len(),
            WATCH.as_secs(),
            self.megabytes,
            self.cpu_percent,
            if self.children.is_empty() {
                "none".to_owned()
            } else {
                self.children.join(", ")
            }
        )
    }
}

/// Measures a daemon with the default interval.
pub fn measure() -> Result<Idle> {
    let fleet = Fleet::boot(&HOSTS)?;
    let hosts = fleet.hosts(&HOSTS)?;
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &hosts)?;
    "branch = \"main\"".clone_into(&mut daemon.config.defaults);
    daemon.config.poll_interval = None;
    let systems = HOSTS.map(|host| (host, System::new("idle")));
    repository.deploy("main", "idle", &systems)?;
    daemon.start()?;
    let revision = repository.tip("main")?;
    for host in &hosts {
        let toplevel = repository.toplevel(&host.name, &revision)?;
        daemon.wait_until_running(host, &toplevel, Duration::from_secs(60))?;
    }
    thread::sleep(SETTLE);

    let pid = daemon.pid()?;
    let before = cpu_ticks(pid)?;
    let began = Instant::now();
    let mut children = Vec::new();
    while began.elapsed() < WATCH {
        for name in children_of(pid) {
            let concerns = name.starts_with("nix") || name.starts_with("git");
            if concerns && !children.contains(&name) {
                children.push(name);
            }
        }
        thread::sleep(LOOK);
    }
    let spent = (cpu_ticks(pid)? - before) / TICKS;
    Ok(Idle {
        megabytes: megabytes(daemon.memory()?),
        cpu_percent: 100.0 * spent / began.elapsed().as_secs_f64(),
        children,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a process has no 2^53 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// User and system time of a process and of its ended children (`proc(5)`, fields 14 to 17).
fn cpu_ticks(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat
        .rsplit_once(") ")
        .context("a strange /proc/<pid>/stat")?;
    Ok(fields
        .split(' ')
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum())
}

/// The names of the processes that a process has started and that still run.
fn children_of(pid: u32) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|children| {
            children
                .split_whitespace()
                .filter_map(|child| fs::read_to_string(format!("/proc/{child}/comm")).ok())
                .map(|name| name.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}
