//! The supervisor killed at each of its steps.

use anyhow::Result;
use serde_json::Value;
use xtask::flake::System;
use xtask::fleet::Host;
use xtask::wait::wait_until;

use super::patient;
use crate::scene::{SOON, Scene, never_built, places, wait_until_clean};
use crate::settled::{start_with, wait_until_in_sync};

const ALL: [&str; 4] = ["spare", "uConsole", "cyt-pi", "lazyworkhorse"];

/// How it dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// `kill -9` of its main process.
    Main,
    /// `systemctl stop`.
    Stop,
    /// `kill -9` of all of the unit, as the kernel does when memory has run out.
    All,
}

/// Every step, and whether its death can only lead back. What is as quick as a look can end a step later,
/// and what had not begun to change anything is tried again.
const STEPS: [(&str, Leads); 10] = [
    ("keep", Leads::Either),
    ("sync", Leads::Either),
    ("test", Leads::Back),
    ("verify", Leads::Either),
    ("settle", Leads::Back),
    ("acknowledge", Leads::Either),
    ("set-profile", Leads::Either),
    ("sync-profile", Leads::Either),
    ("boot", Leads::Either),
    ("sync-boot", Leads::Either),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Leads {
    Back,
    Either,
}

/// From now on whichever deployment comes to that step dies there, once.
fn lie_in_wait(host: &Host, step: &str, death: Death) -> Result<()> {
    let kill = match death {
        Death::Main => "systemctl kill --kill-whom=main --signal=KILL $unit",
        Death::Stop => "systemctl stop --no-block $unit",
        Death::All => "systemctl kill --kill-whom=all --signal=KILL $unit",
    };
    when_it_comes_to(host, step, kill)
}

/// Once, when a deployment comes to that step, this is done there; `$unit` is the deployment's.
fn when_it_comes_to(host: &Host, step: &str, what: &str) -> Result<()> {
    // No process of its own between two looks: a step can be as short as one.
    host.console(&format!(
        "cat >/var/tmp/lie-in-wait <<'END'\n\
         while :; do\n\
         for steps in /run/reconcile/*/steps; do\n\
         [ -e \"$steps\" ] || continue\n\
         while read -r _ what which _; do\n\
         if [ \"$what $which\" = 'begin {step}' ]; then\n\
         id=${{steps%/steps}}; unit=reconcile-${{id##*/}}.service; {what}; exit\n\
         fi\n\
         done <\"$steps\"\n\
         done\n\
         done\n\
         END\n\
         systemd-run --quiet --collect --unit=lie-in-wait /bin/dash /var/tmp/lie-in-wait"
    ))?;
    Ok(())
}

/// Asserts that the host is wholly where it is said to be, and gives which end that is.
fn end_of(scene: &Scene, host: &Host, old: &str, revision: &str) -> Result<Leads> {
    let name = host.name.as_str();
    let ended = |status: &Value| {
        let outcome = &status["outcome"]["outcome"];
        status["desired_revision"] == revision
            && (outcome == "rolled_back" || status["drift"] == "in_sync")
    };
    let status = scene.wait_for_status(name, "an end", ended)?;
    let new = scene.repository.toplevel(name, revision)?;
    host.wait_for_login()?;
    wait_until_clean(host)?;
    let now = places(host)?;
    if status["outcome"]["outcome"] == "rolled_back" {
        assert_eq!(now, [old; 3].map(str::to_owned), "{name}: {status:#}");
        assert_eq!(status["quarantine"]["toplevel"], *new, "{name}");
        Ok(Leads::Back)
    } else {
        assert_eq!(
            now,
            [new.as_str(); 3].map(str::to_owned),
            "{name}: {status:#}"
        );
        Ok(Leads::Either)
    }
}

#[test]
#[ignore = "long"]
fn a_supervisor_that_is_killed_at_any_step_leaves_the_old_system_or_the_new_one_whole() -> Result<()>
{
    let scene = start_with(&ALL, |config| {
        patient(config);
        config.settle_seconds = 1;
        // Three of four hosts of a round may go back.
        config.tail.push_str("\n[limits]\nrollbacks = 5\n");
    })?;
    let mut ways: Vec<_> = [Death::Main, Death::Stop, Death::All]
        .into_iter()
        .flat_map(|death| STEPS.map(|(step, leads)| (step, leads, death)))
        .collect();
    while !ways.is_empty() {
        let round: Vec<_> = scene
            .hosts
            .iter()
            .filter_map(|host| Some((&**host, ways.pop()?)))
            .collect();
        let mut before = Vec::new();
        for (host, (step, _, death)) in &round {
            before.push(host.running_toplevel()?);
            lie_in_wait(host, step, *death)?;
        }
        let systems: Vec<_> = round
            .iter()
            .map(|(host, _)| {
                let system = System {
                    seconds: 1,
                    ..never_built("killed")?
                };
                Ok((host.name.as_str(), system))
            })
            .collect::<Result<_>>()?;
        let revision = scene.repository.deploy("main", "Next", &systems)?;
        for ((host, (step, leads, death)), old) in round.iter().zip(&before) {
            let end = end_of(&scene, host, old, &revision)?;
            println!("{}: {death:?} at {step}: {end:?}", host.name);
            if *leads == Leads::Back {
                assert_eq!(end, Leads::Back, "{death:?} at {step}");
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_host_whose_run_fills_up_at_any_step_ends_whole_and_takes_the_next_commit() -> Result<()> {
    let scene = start_with(&ALL, |config| {
        patient(config);
        config.settle_seconds = 1;
        config.tail.push_str("\n[limits]\nrollbacks = 5\n");
    })?;
    let steps = [
        ["keep", "test", "verify", "settle"],
        ["acknowledge", "set-profile", "boot", "sync-boot"],
    ];
    for round in steps {
        let mut before = Vec::new();
        for (host, step) in scene.hosts.iter().zip(round) {
            host.console("mount -o remount,size=32M /run")?;
            before.push(host.running_toplevel()?);
            when_it_comes_to(
                host,
                step,
                "/usr/bin/head -c 40000000 /dev/zero >/run/fill 2>/dev/null",
            )?;
        }
        let full = never_built("full")?;
        let systems = ALL.map(|name| (name, full.clone()));
        let revision = scene.repository.deploy("main", "Fills up", &systems)?;
        for ((host, step), old) in scene.hosts.iter().zip(round).zip(&before) {
            let wait = || host.console("ls /run/fill 2>/dev/null || true");
            wait_until("a full /run", SOON, wait, |seen| !seen.is_empty())?;
            let ended = |status: &Value| !status["outcome"]["outcome"].is_null();
            let status = scene.wait_for_status(&host.name, "an end", |status| {
                status["desired_revision"] == revision && ended(status)
            })?;
            println!("{}: full at {step}: {}", host.name, status["outcome"]);
            host.console("rm -f /run/fill")?;
            let new = scene.repository.toplevel(&host.name, &revision)?;
            let now = places(host)?;
            let is_whole = |system: &str| now == [system; 3].map(str::to_owned);
            assert!(
                is_whole(old) || is_whole(&new),
                "{step}: {now:?} {status:#}"
            );
        }
        let good = never_built("good")?;
        let systems = ALL.map(|name| (name, good.clone()));
        let good = scene.repository.deploy("main", "Good", &systems)?;
        for host in &scene.hosts {
            wait_until_in_sync(&scene, &host.name, &good)?;
            wait_until_clean(host)?;
        }
    }
    Ok(())
}
