//! The daemon, the network and the power of neither are there for ever: whatever dies in the middle of a deployment,
//! every host ends on the system that is wanted, and was switched to it once.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::scene::{
    SOON, Scene, history, never_built, status_of, wait_for_activation, wait_until_clean,
};
use crate::settled::start;
use anyhow::{Context, Result, ensure};
use xtask::daemon::Daemon;
use xtask::flake::{Exit, Hang, Source, System};
use xtask::fleet::{Host, count_begun};
use xtask::process::finish;
use xtask::wait::wait_until;

/// Asserts that a host got to a system in one go: activated once, made the boot default once, nothing left behind.
fn assert_switched_once(scene: &Scene, host: &Host, revision: &str) -> Result<()> {
    let toplevel = scene.wait_for_convergence(host, revision)?;
    assert_eq!(host.profile_toplevel()?, toplevel);
    assert_eq!(host.boot_default()?, toplevel);
    let log = host.activations()?;
    for action in ["test", "boot"] {
        assert_eq!(
            count_begun(&log, action, &toplevel),
            1,
            "{action}: {log:#?}"
        );
    }
    wait_until_clean(host)
}

/// The outcomes of the host's deployments, the newest first.
fn outcomes(scene: &Scene, host: &Host) -> Result<Vec<String>> {
    let entries = history(&scene.daemon, &host.name, "deployment")?;
    let outcome = |entry: &serde_json::Value| entry["outcome"].as_str().map(str::to_owned);
    Ok(entries.iter().filter_map(outcome).collect())
}

/// Waits until the daemon runs a program with these words.
fn wait_for_child(daemon: &Daemon, words: &str) -> Result<()> {
    let pid = daemon.pid()?;
    let runs = |lines: &Vec<String>| lines.iter().any(|line| line.contains(words));
    wait_until(words, SOON, || descendants(pid), runs)
        .map(drop)
        .with_context(|| daemon.last_words())
}

/// Waits until the host itself has done what it can with a system, whoever watches: from then on it waits for a login.
fn wait_for_end(host: &Host, toplevel: &str) -> Result<()> {
    let ended = |log: &Vec<xtask::fleet::Activation>| {
        log.iter().any(|one| {
            one.action == "test" && one.toplevel == toplevel && one.event.starts_with("end")
        })
    };
    wait_until(
        "the end of an activation",
        SOON,
        || host.activations(),
        ended,
    )
    .map(drop)
}

#[test]
fn a_push_that_was_answered_is_deployed_although_the_daemon_was_killed_before_it_fetched()
-> Result<()> {
    let mut scene = start(&["cyt-pi"])?;
    scene.forge.stop_ssh()?;
    let system = never_built("answered")?;
    let revision = scene
        .repository
        .deploy("main", "Second", &[("cyt-pi", system)])?;
    scene.daemon.kill()?;
    let deliveries = scene.repository.deliveries()?;
    let push = deliveries.last().context("no delivery")?;
    assert_eq!(push.status, Some(202));
    scene.forge.start_ssh()?;
    scene.daemon.start()?;
    assert_switched_once(&scene, scene.host(), &revision)?;
    // Not a poll that happened to come by: the delivery itself was kept.
    let wishes = history(&scene.daemon, &scene.host().name, "wish")?;
    assert_eq!(wishes[0]["cause"], format!("delivery {}", push.uuid));
    Ok(())
}

#[test]
fn a_build_under_way_when_the_daemon_is_killed_is_finished_after_its_start() -> Result<()> {
    let mut scene = start(&["spare"])?;
    let system = System {
        source: Source::BuildsSlowly(4),
        ..never_built("slow-build")?
    };
    let revision = scene
        .repository
        .deploy("main", "Second", &[("spare", system)])?;
    wait_for_child(&scene.daemon, "sleep 4")?;
    scene.daemon.kill()?;
    scene.daemon.start()?;
    assert_switched_once(&scene, scene.host(), &revision)?;
    assert_eq!(outcomes(&scene, scene.host())?[0], "converged");
    Ok(())
}

#[test]
fn a_copy_under_way_when_the_daemon_is_killed_is_finished_after_its_start() -> Result<()> {
    let mut scene = start(&["lazyworkhorse"])?;
    let system = System {
        megabytes: 150,
        ..never_built("big")?
    };
    let systems = [("lazyworkhorse", system)];
    let revision = scene.repository.deploy("main", "Second", &systems)?;
    wait_for_child(&scene.daemon, "copy")?;
    scene.daemon.kill()?;
    let toplevel = scene.repository.toplevel("lazyworkhorse", &revision)?;
    let is_whole = format!("nix-store --check-validity {toplevel}");
    ensure!(
        !scene.host().try_console(&is_whole)?.status.success(),
        "the copy was over before the daemon was killed"
    );
    scene.daemon.start()?;
    assert_switched_once(&scene, scene.host(), &revision)
}

#[test]
fn an_activation_goes_on_while_no_daemon_runs_and_the_next_one_takes_it_up() -> Result<()> {
    let mut scene = start(&["uConsole"])?;
    let system = System {
        seconds: 3,
        ..never_built("slow-activation")?
    };
    let revision = scene
        .repository
        .deploy("main", "Second", &[("uConsole", system)])?;
    let toplevel = scene.repository.toplevel("uConsole", &revision)?;
    wait_for_activation(scene.host(), &toplevel)?;
    scene.daemon.kill()?;
    // Once while it still runs on the host, and killed again, and once when it waits there.
    scene.daemon.start()?;
    scene.daemon.kill()?;
    wait_for_end(scene.host(), &toplevel)?;
    scene.daemon.start()?;
    assert_switched_once(&scene, scene.host(), &revision)?;
    assert_eq!(outcomes(&scene, scene.host())?, ["converged", "converged"]);
    Ok(())
}

#[test]
fn a_daemon_that_is_told_to_end_during_an_activation_does_and_the_next_one_takes_it_up()
-> Result<()> {
    let mut scene = Scene::prepare(&["spare"])?;
    // Longer than any patience with the daemon's end.
    scene.daemon.config.timeouts = "activate = \"10m\"".to_owned();
    scene.daemon.start()?;
    let first = scene.repository.tip("main")?;
    scene.wait_for_convergence(scene.host(), &first)?;
    let system = System {
        hang: Some(Hang::Stop),
        ..never_built("terminated")?
    };
    let revision = scene
        .repository
        .deploy("main", "Second", &[("spare", system)])?;
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    scene.host().wait_for_hang(&toplevel, SOON)?;
    assert!(scene.daemon.stop()?.success());
    scene.daemon.start()?;
    scene.host().end_hang()?;
    assert_switched_once(&scene, scene.host(), &revision)?;
    assert_eq!(outcomes(&scene, scene.host())?, ["converged", "converged"]);
    Ok(())
}

#[test]
fn a_host_that_is_unplugged_during_its_activation_is_read_back_when_it_is_plugged_in_again()
-> Result<()> {
    let scene = start(&["cyt-pi"])?;
    let system = System {
        seconds: 2,
        ..never_built("unplugged")?
    };
    let revision = scene
        .repository
        .deploy("main", "Second", &[("cyt-pi", system)])?;
    let toplevel = scene.repository.toplevel("cyt-pi", &revision)?;
    wait_for_activation(scene.host(), &toplevel)?;
    scene.host().cut_network()?;
    wait_for_end(scene.host(), &toplevel)?;
    // It runs there, and nobody here can know it yet.
    assert_eq!(outcomes(&scene, scene.host())?, ["converged"]);
    scene.host().restore_network()?;
    assert_switched_once(&scene, scene.host(), &revision)?;
    assert_eq!(outcomes(&scene, scene.host())?, ["converged", "converged"]);
    Ok(())
}

#[test]
fn an_activation_that_fails_while_its_host_is_unplugged_is_told_as_rolled_back() -> Result<()> {
    let mut scene = Scene::prepare(&["uConsole"])?;
    scene.daemon.config.backoff = "first = \"1h\"\nmax = \"1h\"".to_owned();
    scene.daemon.start()?;
    let first = scene.repository.tip("main")?;
    scene.wait_for_convergence(scene.host(), &first)?;
    let system = System {
        seconds: 2,
        exit: Exit::ActivationFails,
        ..never_built("fails-alone")?
    };
    let revision = scene
        .repository
        .deploy("main", "Second", &[("uConsole", system)])?;
    let toplevel = scene.repository.toplevel("uConsole", &revision)?;
    wait_for_activation(scene.host(), &toplevel)?;
    scene.host().cut_network()?;
    let ended = |log: &Vec<xtask::fleet::Activation>| log.iter().any(|one| one.event == "end 2");
    wait_until("the failure", SOON, || scene.host().activations(), ended)?;
    scene.host().restore_network()?;
    scene.wait_for_status(&scene.host().name, "the status of the host", |status| {
        status["consecutive_failures"] == 1
    })?;
    assert_eq!(
        outcomes(&scene, scene.host())?,
        ["rolled_back", "converged"]
    );
    let first = scene.repository.toplevel("uConsole", &first)?;
    assert_eq!(scene.host().running_toplevel()?, first);
    assert_eq!(
        status_of(&scene.daemon, &scene.host().name)?["drift"],
        "drifted"
    );
    wait_until_clean(scene.host())
}

#[test]
fn a_failure_and_its_backoff_outlive_the_daemon_that_saw_it() -> Result<()> {
    let mut scene = Scene::prepare(&["spare"])?;
    scene.daemon.config.backoff = "first = \"1h\"\nmax = \"1h\"".to_owned();
    let bad = System {
        exit: Exit::BusIsGone,
        ..never_built("bad")?
    };
    let revision = scene.repository.deploy("main", "Bad", &[("spare", bad)])?;
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    scene.daemon.start()?;
    let one = |outcomes: &Vec<String>| outcomes.len() == 1;
    wait_until("a failure", SOON, || outcomes(&scene, scene.host()), one)?;
    scene.daemon.kill()?;
    scene.daemon.start()?;
    let seen = status_of(&scene.daemon, &scene.host().name)?["last_seen"].clone();
    let status = scene.wait_for_status(&scene.host().name, "the status of the host", |status| {
        status["last_seen"] != seen
    })?;
    assert_eq!(status["consecutive_failures"], 1, "{status:#}");
    assert!(status["next_attempt"].is_string(), "{status:#}");
    let log = scene.host().activations()?;
    assert_eq!(count_begun(&log, "test", &toplevel), 1, "{log:#?}");
    wait_until_clean(scene.host())
}

#[test]
fn a_second_daemon_on_the_same_state_refuses_and_names_the_first() -> Result<()> {
    let mut scene = Scene::prepare(&["cyt-pi"])?;
    scene.daemon.start()?;
    let second = scene.daemon.cli(&["serve"])?;
    assert_eq!(second.status.code(), Some(7), "{second:?}");
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    let holder = format!("process {}", scene.daemon.pid()?);
    assert!(complaint.contains(&holder), "{complaint}");
    // The first goes on as if nothing had been.
    let first = scene.repository.tip("main")?;
    scene.wait_for_convergence(scene.host(), &first)?;
    scene.daemon.kill()?;
    // A lock whose holder was killed holds nobody up.
    scene.daemon.start()
}

#[test]
fn nothing_of_a_daemon_that_has_ended_runs_on() -> Result<()> {
    let mut scene = start(&["lazyworkhorse"])?;
    let state = scene.daemon.config.state_directory.display().to_string();
    let running = || {
        let mut command = std::process::Command::new("pgrep");
        let output = finish(command.args(["--full", "--list-full", &state]))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    ensure!(!running()?.is_empty(), "nothing to end");
    scene.daemon.stop()?;
    wait_until("everything to have ended", SOON, running, String::is_empty)?;
    assert!(
        !scene
            .daemon
            .config
            .state_directory
            .join("control.sock")
            .exists()
    );
    Ok(())
}

/// The seed of the instants at which the daemon is killed; another finds others.
const SEED: u64 = 20_261_122;

#[test]
#[ignore = "long"]
fn whenever_the_daemon_is_killed_every_push_is_deployed_once() -> Result<()> {
    let mut scene = start(&["cyt-pi", "uConsole", "spare"])?;
    println!("seed {SEED}");
    let mut random = SEED;
    for round in 0..20_u32 {
        let system = System {
            seconds: 1,
            source: Source::BuildsSlowly(1),
            megabytes: 20,
            ..never_built(&format!("round-{round}"))?
        };
        let systems: Vec<_> = ["cyt-pi", "uConsole", "spare"]
            .map(|name| (name, system.clone()))
            .into();
        let revision = scene
            .repository
            .deploy("main", &format!("Round {round}"), &systems)?;
        // Numerical Recipes' linear congruential generator: reproducible, and good enough to spread instants.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let instant = Duration::from_millis((random >> 33) % 8_000);
        println!("round {round}: killed after {instant:?}");
        std::thread::sleep(instant);
        scene.daemon.kill()?;
        scene.daemon.start()?;
        for host in &scene.hosts {
            assert_switched_once(&scene, host, &revision)
                .with_context(|| format!("round {round}, {instant:?}"))?;
        }
    }
    Ok(())
}

/// The command lines of every process below one, each with its words apart by spaces.
fn descendants(ancestor: u32) -> Result<Vec<String>> {
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
