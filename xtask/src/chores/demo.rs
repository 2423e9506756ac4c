//! `cargo xtask demo`: the product at work on three hosts, told as it happens.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bootstrap;
use crate::daemon::Daemon;
use crate::flake::System;
use crate::fleet::{Fleet, Host};
use crate::forge::{Forge, Repository};
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
    bootstrap::bootstrap()?;
    let status = Command::new("cargo")
        .current_dir(workspace::root())
        .args(["build", "--quiet", "--package", "reconciler", "--bins"])
        .status()?;
    ensure!(status.success(), "the daemon does not build");
    let start = Instant::now();
    say(
        start,
        "booting three hosts: sshd, Nix, systemd and a NixOS-like toplevel, each with its own network …",
    );
    let fleet = Fleet::boot(&HOSTS)?;
    let hosts: Vec<&Host> = HOSTS
        .iter()
        .map(|name| fleet.host(name))
        .collect::<Result<_>>()?;
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

    let host = fleet.host("cyt-pi")?;
    let (old, wanted) = (
        repository.toplevel("cyt-pi", &first)?,
        repository.toplevel("cyt-pi", &second)?,
    );
    host.console(&format!("{old}/bin/switch-to-configuration test"))?;
    say(
        start,
        &format!("somebody switches cyt-pi by hand, back to {}", name(&old)),
    );
    daemon.wait_until_running(host, &wanted, STEP)?;
    say(
        start,
        &format!(
            "cyt-pi has drifted, was found and brought back to {}",
            name(&wanted)
        ),
    );

    if afterwards == Afterwards::Stay {
        stay(start, &daemon, &repository, &fleet);
    }
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

fn stay(start: Instant, daemon: &Daemon, repository: &Repository, fleet: &Fleet) {
    say(start, "it is all yours until Ctrl-C:");
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
                "edit {}, then git commit and git push origin HEAD:main",
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
