//! What the proof costs: one deployment with it, beside the same without it, to a host that is ever further away.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::report::{median, say};
use crate::daemon::Daemon;
use crate::flake::System;
use crate::fleet::{Fleet, Host};
use crate::forge::{Delivering, Forge, Repository};
use crate::process::said;

/// Deployments of each kind at each distance, an odd number; they take turns.
const ROUNDS: usize = 7;
/// Round-trip times in ms: a network in the house, and what real fleets have.
const DISTANCES: [u64; 4] = [4, 20, 50, 100];
/// At most so much longer in the house, in seconds.
const BOUND: f64 = 0.4;
/// At most so many round trips more as the way grows.
const ROUND_TRIPS: f64 = 12.0;
const HOST: &str = "spare";

/// What was measured: at each distance the medians with and without, in seconds.
#[derive(Debug)]
pub struct Proof(Vec<(Duration, f64, f64)>);

impl Proof {
    /// What the proof costs in the house, in seconds.
    fn near(&self) -> f64 {
        self.0
            .first()
            .map_or(f64::NAN, |(_, with, without)| with - without)
    }

    /// How many round trips the cost grows by, from the shortest way to the longest.
    fn round_trips(&self) -> f64 {
        match (self.0.first(), self.0.last()) {
            (Some(near), Some(far)) => {
                let grown = (far.1 - far.2) - (near.1 - near.2);
                grown / (far.0 - near.0).as_secs_f64()
            }
            _ => f64::NAN,
        }
    }

    /// Whether it is little enough.
    pub fn is_kept(&self) -> bool {
        self.near() <= BOUND && self.round_trips() <= ROUND_TRIPS
    }

    /// What to print.
    pub fn text(&self) -> String {
        let mut text = format!(
            "proof: {:.2} s at {} ms, at most {BOUND}; {:.1} round trips more as the way grows, at most {ROUND_TRIPS}",
            self.near(),
            DISTANCES[0],
            self.round_trips()
        );
        for (distance, with, without) in &self.0 {
            text.push_str(&format!(
                "\n  {} ms: {with:.2} s with, {without:.2} s without",
                distance.as_millis()
            ));
        }
        text
    }
}

/// Measures a healthy host; settle time 0.
pub fn measure() -> Result<Proof> {
    let fleet = Fleet::boot(&[HOST])?;
    let hosts: Vec<&Host> = vec![fleet.host(HOST)?];
    let far = fleet.far_away(Duration::ZERO)?;
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &hosts)?;
    daemon.config.ssh_config = far.ssh_config();
    // Nothing happens but what is measured.
    "branch = \"main\"\ninterval = \"1h\"".clone_into(&mut daemon.config.defaults);
    repository.set_delivering(Delivering::Lost)?;
    commit(&repository, "first")?;
    with_proof(&mut daemon, Acknowledging::Yes)?;
    daemon.start()?;
    deployment(&daemon)?;
    let mut measured = Vec::new();
    for distance in DISTANCES.map(Duration::from_millis) {
        far.proxy(HOST)
            .context("no proxy")?
            .set_round_trip(distance);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        // One round before the first warms both.
        for round in 0..=ROUNDS {
            for (acknowledging, times) in [
                (Acknowledging::Yes, &mut with),
                (Acknowledging::No, &mut without),
            ] {
                with_proof(&mut daemon, acknowledging)?;
                commit(
                    &repository,
                    &format!("{}-{round}-{acknowledging:?}", distance.as_millis()),
                )?;
                let took = deployment(&daemon)?;
                if round > 0 {
                    times.push(took);
                }
            }
        }
        let (with, without) = (median(with), median(without));
        say(&format!(
            "  {} ms: {with:.2} s with, {without:.2} s without",
            distance.as_millis()
        ));
        measured.push((distance, with, without));
    }
    Ok(Proof(measured))
}

/// Whether the host asks for an acknowledgement.
#[derive(Debug, Clone, Copy)]
enum Acknowledging {
    Yes,
    No,
}

/// Changes the config, and waits until the daemon has taken it up: it says so in a metric.
fn with_proof(daemon: &mut Daemon, acknowledging: Acknowledging) -> Result<()> {
    daemon.config.proof = match acknowledging {
        Acknowledging::Yes => String::new(),
        Acknowledging::No => "acknowledge = \"none\"\non_degraded = \"keep\"".to_owned(),
    };
    let text = daemon.config.toml();
    if fs::read_to_string(daemon.config_file()).is_ok_and(|now| now == text) {
        return Ok(());
    }
    let Ok(before) = reloads(daemon) else {
        // It does not run yet.
        return Ok(());
    };
    daemon.rewrite_config()?;
    let taken_up = |now: &f64| *now > before;
    crate::wait::wait_until(
        "the config to be taken up",
        DEADLINE,
        || reloads(daemon),
        taken_up,
    )?;
    Ok(())
}

/// Something is broken when a reload takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

fn reloads(daemon: &Daemon) -> Result<f64> {
    Ok(daemon.metrics()?.sum("reconcile_config_reloads_total", &[]))
}

fn commit(repository: &Repository, version: &str) -> Result<()> {
    repository
        .deploy("main", version, &[(HOST, System::new(version))])
        .map(drop)
}

/// A person asks for the newest commit; gives how long that took, in seconds.
fn deployment(daemon: &Daemon) -> Result<f64> {
    let began = Instant::now();
    let output = daemon.cli(&["--host", HOST])?;
    let took = began.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", said(&output));
    Ok(took)
}
