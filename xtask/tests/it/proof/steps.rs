//! The supervisor killed at each of its steps.

use anyhow::Result;
use serde_json::Value;
use xtask::flake::System;
use xtask::fleet::Host;

use super::patient;
use crate::scene::{Scene, never_built, places, wait_until_clean};
use crate::settled::start_with;

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
    // No process of its own between two looks: a step can be as short as one.
    host.console(&format!(
        "cat >/run/lie-in-wait <<'END'\n\
         while :; do\n\
         for steps in /run/reconcile/*/steps; do\n\
         [ -e \"$steps\" ] || continue\n\
         while read -r _ what which _; do\n\
         if [ \"$what $which\" = 'begin {step}' ]; then\n\
         id=${{steps%/steps}}; unit=reconcile-${{id##*/}}.service; {kill}; exit\n\
         fi\n\
         done <\"$steps\"\n\
         done\n\
         done\n\
         END\n\
         systemd-run --quiet --collect --unit=lie-in-wait /bin/dash /run/lie-in-wait"
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
