//! What goes wrong: with hosts, with the Git server, and with the controller's own machine.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::{Instant, sleep};

use crate::generator::Generator;
use crate::host::{Host, power};
use crate::machine::Fault;
use crate::world::World;

/// How often something happens to one host.
const TO_A_HOST: Duration = Duration::from_secs(7 * 3600);
/// How often a host that is usually off goes.
const GOES: Duration = Duration::from_secs(3 * 3600);
/// How often something happens to the controller's machine, or to the Git server.
const TO_US: Duration = Duration::from_secs(5 * 3600);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What happens to one host now and then, for ever.
pub async fn to_a_host(world: Arc<World>, host: Arc<Host>) {
    let mut generator = Generator::new(world.plan.seed, &format!("mishaps {}", host.name));
    let is_intermittent = world
        .plan
        .hosts
        .get(&host.name)
        .is_some_and(|plan| plan.is_intermittent);
    let often = if is_intermittent { GOES } else { TO_A_HOST };
    loop {
        sleep(generator.until_next(often)).await;
        let what = generator.below(if is_intermittent { 12 } else { 8 });
        let until = |generator: &mut Generator, from, to| {
            Some(Instant::now() + generator.between(from, to))
        };
        match what {
            0 => {
                let cut = until(&mut generator, MINUTE / 6, HOUR);
                host.tell("its network is cut");
                host.change(|state| {
                    state.cut_until = cut;
                    state.is_warm = false;
                });
            }
            1 => {
                let refuses = until(&mut generator, 2 * MINUTE, HOUR);
                host.tell("it does not take our key");
                host.change(|state| state.refuses_until = refuses);
            }
            2 => {
                let full = until(&mut generator, 5 * MINUTE, 2 * HOUR);
                host.tell("its disk is full");
                host.change(|state| state.full_until = full);
            }
            3 => is_slow(&host, &mut generator),
            4 | 5 => drifts(&world, &host, &mut generator),
            6 if host.state().is_up => {
                tokio::spawn(power::reboot(Arc::clone(&host)));
            }
            _ if host.state().is_up => {
                // Not ours: it comes back though everything else calms down.
                let long = generator.between(MINUTE / 6, 3 * HOUR);
                tokio::spawn(power::lose_power(Arc::clone(&host), long));
            }
            _ => {}
        }
    }
}

fn is_slow(host: &Arc<Host>, generator: &mut Generator) {
    let times = 2 + generator.below(4) as u32;
    let long = generator.between(5 * MINUTE, 3 * HOUR);
    host.tell(&format!(
        "it is {times} times as slow for {} s",
        long.as_secs()
    ));
    host.change(|state| state.slowness = times);
    let host = Arc::clone(host);
    tokio::spawn(async move {
        sleep(long).await;
        host.change(|state| state.slowness = 1);
    });
}

/// A person switches it to an older system of its own.
fn drifts(world: &World, host: &Arc<Host>, generator: &mut Generator) {
    let others: Vec<_> = host.state().generations.values().cloned().collect();
    let is_permanent = generator.chance(0.5);
    if let Some(system) = generator.pick(&others) {
        world.ledger.disturb();
        tokio::spawn(power::switch_by_hand(
            Arc::clone(host),
            system.clone(),
            is_permanent,
        ));
    }
}

/// What happens to the controller's machine and to the Git server, for ever.
pub async fn to_us(world: Arc<World>) {
    let mut generator = Generator::new(world.plan.seed, "mishaps to us");
    loop {
        sleep(generator.until_next(TO_US)).await;
        match generator.below(6) {
            0 => steps(&world, &mut generator).await,
            1 => {
                let until = Instant::now() + generator.between(MINUTE, 2 * HOUR);
                for repository in world.repositories.values() {
                    repository.go_away_until(Some(until));
                }
                world.ledger.has_trouble_until(until);
                world.story.tell("forge", "the server is away");
            }
            _ => {
                let Some(fault) = generator.pick(&Fault::ALL).copied() else {
                    continue;
                };
                let until = Instant::now() + generator.between(MINUTE / 6, 30 * MINUTE);
                world.machine.has_until(fault, until);
                world.ledger.has_trouble_until(until);
                world
                    .story
                    .tell("controller", &format!("its machine: {fault:?}"));
                // Whoever waits over a connection is to find out.
                for host in world.hosts.values() {
                    host.changed.notify_waiters();
                }
            }
        }
    }
}

/// The clock steps forwards or backwards, and is right again some time later.
async fn steps(world: &World, generator: &mut Generator) {
    let by = SignedDuration::try_from(generator.between(MINUTE / 60, 2 * HOUR)).unwrap_or_default();
    let by = if generator.chance(0.5) { by } else { -by };
    world.clock.step(by);
    world
        .story
        .tell("controller", &format!("its clock steps by {by:#}"));
    sleep(generator.between(MINUTE, 6 * HOUR)).await;
    world.clock.step(SignedDuration::ZERO);
    world.story.tell("controller", "its clock is right again");
}
