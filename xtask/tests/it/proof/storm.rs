//! Many deployments with many faults: in the end every host is reachable, on a system that somebody asked for, and what
//! was told is true.

use anyhow::{Context, Result};
use xtask::flake::{App, Cut, Exit, Hang, Marker, System};

use super::quick;
use crate::scene::{history, never_built, places, status_of, wait_until_clean};
use crate::settled::{start_with, wait_until_in_sync};

const ALL: [&str; 4] = ["spare", "uConsole", "cyt-pi", "lazyworkhorse"];

/// Four deployments a round.
const ROUNDS: u32 = 50;

/// Another seed finds other storms.
const SEED: u64 = 20_261_122;

/// Numerical Recipes' linear congruential generator: reproducible, and good enough to pick faults.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A system, and how its deployment has to end.
fn system(random: &mut Random, round: u32) -> Result<(System, &'static str)> {
    let mut system = never_built(&format!("storm-{round}"))?;
    let cuts = [Cut::Link, Cut::Address, Cut::Firewall, Cut::Sshd, Cut::Keys];
    let hangs = [Hang::Stop, Hang::Activate, Hang::Start];
    let exits = [Exit::ActivationFails, Exit::Panics, Exit::LosesLogind];
    match random.below(10) {
        0..4 => {
            // Service accounts come and go meanwhile.
            match random.below(4) {
                0 => system.user_gone_times = 1,
                1 => system.user_gone_times = 2,
                2 => system.exit = Exit::UserFails,
                _ => {}
            }
            return Ok((system, "converged"));
        }
        4..6 => system.cut = Some(cuts[random.below(5) as usize]),
        6 => system.hang = Some(hangs[random.below(3) as usize]),
        7 => system.exit = exits[random.below(3) as usize],
        8 if random.below(2) == 0 => system.app = Some(App::Crashes),
        8 => system.marker = Marker::Fails,
        _ => {
            system.exit = Exit::BootLoaderFails;
            "boot".clone_into(&mut system.exit_on);
        }
    }
    Ok((system, "rolled_back"))
}

#[test]
#[ignore = "long"]
fn two_hundred_deployments_with_faults_leave_every_host_reachable_and_truly_told() -> Result<()> {
    println!("seed {SEED}");
    let mut random = Random(SEED);
    let scene = start_with(&ALL, |config| {
        quick(config);
        // Every host of a round may go back.
        config.tail.push_str("\n[limits]\nrollbacks = 5\n");
    })?;
    for round in 0..ROUNDS {
        let before = scene.running_toplevels()?;
        let systems: Vec<_> = ALL
            .iter()
            .map(|_| system(&mut random, round))
            .collect::<Result<_>>()?;
        let given = systems.iter().map(|(system, _)| system);
        let revision = scene.deploy_each(&format!("Round {round}"), given)?;
        for ((host, before), (system, expected)) in scene.hosts.iter().zip(&before).zip(&systems) {
            let name = host.name.as_str();
            let status = scene
                .wait_for_outcome(name, &revision, expected)
                .with_context(|| format!("round {round}: {system:?}"))?;
            let now = match *expected {
                "converged" => scene.repository.toplevel(name, &revision)?,
                _ => before.clone(),
            };
            assert_eq!(
                places(host)?,
                [now.as_str(); 3].map(str::to_owned),
                "round {round}, {name}: {status:#}"
            );
            host.wait_for_login()?;
        }
    }
    let good = never_built("good")?;
    let good = scene
        .repository
        .deploy("main", "Good", &ALL.map(|name| (name, good.clone())))?;
    for host in &scene.hosts {
        wait_until_in_sync(&scene, &host.name, &good)?;
        let status = status_of(&scene.daemon, &host.name)?;
        assert_eq!(status["running_toplevel"], *host.running_toplevel()?);
        let told = history(&scene.daemon, &host.name, "deployment")?;
        println!("{}: {} deployments", host.name, told.len());
        wait_until_clean(host)?;
    }
    Ok(())
}
