//! What has to hold when a host is told to reboot.

use std::time::Duration;

use reconciler::context::ports::Clock as _;
use tokio::time::Instant;

use crate::host::Host;
use crate::invariants::beginning::is_open;
use crate::world::World;

/// How long a host may take to be back, unless the config says otherwise.
const DEADLINE: Duration = Duration::from_secs(10 * 60);
/// Between the decision to reboot and the telling.
const BETWEEN: Duration = Duration::from_secs(120);

/// Looks whether a host may be told to reboot.
pub async fn begins(world: &World, host: &Host) {
    world.ledger.count(|counts| counts.reboots += 1);
    is_alone(world, host);
    is_written_down_first(world, host).await;
    is_asked_for(world, host);
    let boot = host.state().boot_id();
    let now = Instant::now();
    world.ledger.of(&host.name).reboots = Some((boot, now, now + DEADLINE));
}

/// No host is told to reboot while another that was told to is not back, until its deadline.
fn is_alone(world: &World, host: &Host) {
    for (name, other) in &world.hosts {
        if *name == host.name {
            continue;
        }
        let Some((boot, _, deadline)) = world.ledger.of(name).reboots.clone() else {
            continue;
        };
        let is_down = other.state().boot_id() == boot || !other.state().is_up;
        if is_down && Instant::now() < deadline && world.clock.is_steady_for(DEADLINE) {
            let what = format!("it is told to reboot while {name} is not back");
            world
                .ledger
                .breaks("reboots_are_alone", Some(&host.name), what);
        }
    }
}

/// A host is told to reboot only once that is written down.
async fn is_written_down_first(world: &World, host: &Host) {
    let state = world.remembered(&host.name).await;
    let is_written = state
        .reboot
        .is_some_and(|reboot| reboot.is_under_way() && reboot.boot_id == host.state().boot_id());
    if !is_written {
        let what = "it is told to reboot, and that is not written down".to_owned();
        world
            .ledger
            .breaks("reboots_are_written_down_first", Some(&host.name), what);
    }
}

/// A host is rebooted by its policy and in its window only, or by a person.
fn is_asked_for(world: &World, host: &Host) {
    let Some(plan) = world.plan.hosts.get(&host.name) else {
        return;
    };
    let now = world.clock.now();
    let has_lived = world
        .lives_since()
        .is_some_and(|since| since.elapsed() > BETWEEN * 5);
    let is_open = is_open(plan, now) || is_open(plan, now - BETWEEN) || !has_lived;
    let is_ordered = world.ledger.of(&host.name).is_ordered();
    let may = plan.is_rebooted && !plan.is_observed && is_open;
    if !may && !is_ordered && has_lived && world.clock.is_steady_for(BETWEEN) {
        let what = format!("it is told to reboot at {now}, and nobody asked for it");
        world
            .ledger
            .breaks("reboots_are_asked_for", Some(&host.name), what);
    }
}
