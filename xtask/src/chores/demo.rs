//! `cargo xtask demo`: the product at work on three hosts, told as it happens.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bootstrap;
use crate::daemon::Daemon;
use crate::flake::System;
use crate::fleet::{Fleet, Host};
use crate::forge::{Forge, Repository};
use crate::wait::wait_until;
use crate::workspace;

/// The demo's hosts: the first user's.
const HOSTS: [&str; 3] = ["lazyworkhorse", "cyt-pi", "uConsole"];

/// How long one step may take before the demo says that it failed; each takes a second or two.
const STEP: Duration = Duration::from_secs(60);

/// What happens after the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// Everything stays, to be played with, until Ctrl-C.
    Stay,
    /// Everything goes.
    Leave,
}

/// Boots three hosts, a forge and the daemon; pushes; shows each host being switched; then changes one by hand and shows it being found and undone.
///
/// # Errors
/// At the first thing that does not happen.
pub fn demo(afterwards: Afterwards) -> Result<()> {
    let start = Instant::now();
    say(
        start,
        "making this machine ready and building the program; the first time both take minutes …",
    );
    bootstrap::bootstrap()?;
    build()?;
    say(
        start,
        "booting three hosts: sshd, Nix, systemd and a NixOS-like toplevel, each with its own network; \
         the first time their file system is made …",
    );
    let fleet = Fleet::boot(&HOSTS)?;
    let hosts = fleet.hosts(&HOSTS)?;
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &hosts)?;
    deploy(&repository, "1")?;
    daemon.start()?;
    say(
        start,
        "the daemon is up; it has cloned infra-team/infra and looks at the hosts",
    );
    let first = repository.tip("main")?;
    watch(start, &daemon, &repository, &hosts, &first)?;

    let second = deploy(&repository, "2")?;
    say(
        start,
        &format!(
            "pushed {} to main; the forge has delivered the webhook",
            short(&second)
        ),
    );
    watch(start, &daemon, &repository, &hosts, &second)?;

    wait_until_settled(&daemon, &second)?;
    say(start, "every host is read back and in sync");

    let drifting = fleet.host("cyt-pi")?;
    let [old, wanted] =
        [&first, &second].map(|revision| repository.toplevel(&drifting.name, revision));
    drift(start, &daemon, drifting, &old?, &wanted?)?;
    wait_until_settled(&daemon, &second)?;

    if afterwards == Afterwards::Stay {
        stay(start, &daemon, &repository, &fleet)?;
    }
    Ok(())
}

fn build() -> Result<()> {
    let status = Command::new("cargo")
        .current_dir(workspace::root())
        .args(["build", "--package", "reconciler", "--bins"])
        .status()?;
    ensure!(status.success(), "the daemon does not build");
    Ok(())
}

/// Changes a host by hand, and tells how that is found and undone.
fn drift(start: Instant, daemon: &Daemon, host: &Host, old: &str, wanted: &str) -> Result<()> {
    say(
        start,
        &format!(
            "somebody switches {} by hand, back to {}",
            host.name,
            name(old)
        ),
    );
    host.console(&format!("{old}/bin/switch-to-configuration test"))?;
    wait_for_drift(daemon, &host.name)?;
    say(
        start,
        &format!("the daemon has found that {} drifted", host.name),
    );
    daemon.wait_until_running(host, wanted, STEP)?;
    say(
        start,
        &format!("{} is brought back to {}", host.name, name(wanted)),
    );
    Ok(())
}

fn deploy(repository: &Repository, version: &str) -> Result<String> {
    let systems = HOSTS.map(|host| (host, System::new(version)));
    repository.deploy("main", &format!("Version {version}"), &systems)
}

/// Tells of each host when it runs what the revision says.
fn watch(
    start: Instant,
    daemon: &Daemon,
    repository: &Repository,
    hosts: &[&Host],
    revision: &str,
) -> Result<()> {
    let pushed = Instant::now();
    for host in hosts {
        let toplevel = repository.toplevel(&host.name, revision)?;
        daemon.wait_until_running(host, &toplevel, STEP)?;
        let took = pushed.elapsed().as_secs_f64();
        say(
            start,
            &format!("{} runs {} ({took:.1} s)", host.name, name(&toplevel)),
        );
    }
    Ok(())
}

/// Waits until the daemon has read every host back on a revision: a host runs it before its deployment is over, and
/// what changes there until then is no drift.
fn wait_until_settled(daemon: &Daemon, revision: &str) -> Result<()> {
    let is_settled = |host: &Value| {
        host["drift"] == "in_sync"
            && host["desired_revision"] == revision
            && host["outcome"]["outcome"] == "converged"
    };
    let all_settled = |status: &Value| {
        let hosts = status["hosts"].as_array();
        hosts.is_some_and(|hosts| hosts.iter().all(is_settled))
    };
    let what = format!("every host to be in sync with {}", short(revision));
    wait_until(&what, STEP, || daemon.status(), all_settled)
        .map(drop)
        .with_context(|| daemon.last_words())
}

/// Waits until the history says that a host drifted.
fn wait_for_drift(daemon: &Daemon, host: &str) -> Result<()> {
    let look = || daemon.cli_json(&["history", "--host", host, "--kind", "drift"]);
    let is_found = |history: &Value| {
        let entries = history["entries"].as_array();
        entries.is_some_and(|entries| !entries.is_empty())
    };
    wait_until(&format!("{host} to have drifted"), STEP, look, is_found)
        .map(drop)
        .with_context(|| daemon.last_words())
}

fn stay(start: Instant, daemon: &Daemon, repository: &Repository, fleet: &Fleet) -> Result<()> {
    // Whoever plays here may have told git no name, and could not commit.
    repository.git(&["config", "user.name", "Ada Ops"])?;
    repository.git(&["config", "user.email", "ada@example.org"])?;
    say(
        start,
        "it is all yours until Ctrl-C, which ends and removes all of it in a few seconds:",
    );
    let ssh = fleet.description().ssh_config.display().to_string();
    let config = daemon.config_file();
    for (what, how) in [
        (
            "metrics",
            format!("http://{}/metrics", daemon.config.operator),
        ),
        (
            "status",
            format!(
                "target/debug/reconcile status --config {}",
                config.display()
            ),
        ),
        (
            "history",
            format!(
                "target/debug/reconcile history --config {}",
                config.display()
            ),
        ),
        (
            "push",
            format!(
                "cd {}, give `version` in hosts/cyt-pi/default.nix another value, then \
                 git commit --all --message Another && git push origin HEAD:main",
                repository.work().display()
            ),
        ),
        ("a host", format!("ssh -F {ssh} cyt-pi")),
        ("the log", log_file(&config)),
    ] {
        say(start, &format!("  {what}: {how}"));
    }
    loop {
        std::thread::park();
    }
}

fn log_file(config: &Path) -> String {
    config.with_file_name("daemon.log").display().to_string()
}

fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

/// A toplevel without its folder and hash.
fn name(toplevel: &str) -> &str {
    toplevel
        .rsplit('/')
        .next()
        .and_then(|base| base.split_once('-'))
        .map_or(toplevel, |(_, name)| name)
}

#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
fn say(start: Instant, what: &str) {
    println!("{:6.1}s  {what}", start.elapsed().as_secs_f64());
}
