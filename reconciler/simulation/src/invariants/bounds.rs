//! What has to hold as time goes by: nothing is lost, nobody starves, and nothing grows without end.

use std::time::Duration;

use desired_state::HostName;
use planning::model::host_state::StoredState;
use reconciler::context::ports::Clock as _;
use tokio::time::{Instant, sleep};

use crate::host::Host;
use crate::invariants::accepted;
use crate::invariants::beginning::is_open;
use crate::plan::HostPlan;
use crate::systems::Behaviour;
use crate::world::World;

/// Between two looks.
const BETWEEN: Duration = Duration::from_secs(10 * 60);
/// A person's order has its turn within this, whatever is done to its host before.
const ORDER: Duration = Duration::from_secs(6 * 3600);
/// The longest build, and what one host may take besides.
const BUILD: Duration = Duration::from_secs(20 * 60);
const REST: Duration = Duration::from_secs(15 * 60);
/// A delivery's or a history's rows are fewer than this a day, for each host.
const ROWS_A_DAY: u64 = 2000;

/// Looks from time to time, for ever.
pub async fn are_kept(world: &World) {
    loop {
        sleep(BETWEEN).await;
        accepted::none_is_lost(world).await;
        for (name, host) in &world.hosts {
            orders_are_done(world, name);
            does_not_starve(world, name, host).await;
        }
    }
}

/// How long a host may wait for its turn when nothing is in its way.
pub fn turn(world: &World) -> Duration {
    let plan = &world.plan;
    let hosts = u32::try_from(plan.hosts.len()).unwrap_or(u32::MAX);
    let [builds, copies, activations, _] = plan.limits.map(|limit| limit as u32);
    let queues = BUILD * hosts / builds + REST * hosts / copies + REST * hosts / activations;
    plan.interval + plan.poll + plan.backoff_max * 2 + queues + BUILD + REST * 4
}

/// A person's order that was queued is done while the controller lives.
fn orders_are_done(world: &World, host: &HostName) {
    let known = world.ledger.of(host);
    let late = known
        .orders
        .iter()
        .find(|(_, order)| order.since.elapsed() > ORDER + turn(world));
    let late =
        late.map(|(id, order)| format!("order {id} was queued {:?} ago", order.since.elapsed()));
    drop(known);
    if let Some(what) = late {
        world.ledger.breaks("orders_are_done", Some(host), what);
    }
}

/// A host that differs from what is wanted, with nothing in its way, has its turn within a bound.
async fn does_not_starve(world: &World, name: &HostName, host: &Host) {
    let waits = waits_for_nothing(world, name, host).await;
    let mut known = world.ledger.of(name);
    if !waits {
        known.idle_since = None;
        return;
    }
    let waited = known.idle_since.get_or_insert_with(Instant::now).elapsed();
    drop(known);
    if waited > turn(world) {
        let what = format!("it waits since {waited:?}, and for nothing");
        world.ledger.breaks("does_not_starve", Some(name), what);
    }
}

async fn waits_for_nothing(world: &World, name: &HostName, host: &Host) -> bool {
    let Some(plan) = world
        .plan
        .hosts
        .get(name)
        .filter(|plan| may_be_changed(world, plan))
    else {
        return false;
    };
    let is_in_the_way = {
        let known = world.ledger.of(name);
        known.suspended.is_some() || !known.banned.is_empty() || known.failures.is_some()
    };
    let has_lived = world
        .lives_since()
        .is_some_and(|since| since.elapsed() > BETWEEN);
    let has_a_wrong_config = world.edits.lock().wrong_attribute.contains_key(name);
    if is_in_the_way || !has_lived || has_a_wrong_config || !host.is_well() || plan.is_intermittent
    {
        return false;
    }
    let Ok(record) = world.witness.host_record(name).await else {
        return false;
    };
    let pin = record.pin.as_ref().map(|pin| &pin.revision);
    let wish = record.wish.as_ref().and_then(|wish| wish.revision.as_ref());
    let Some(wanted) = pin
        .or(wish)
        .and_then(|revision| world.system(name, revision))
    else {
        return false;
    };
    let state = StoredState::read(record.document.as_deref().unwrap_or("{}"))
        .unwrap_or_default()
        .state;
    let is_kept_back = state.quarantine.is_some()
        || state.progress.waits.is_some()
        || state.progress.outcome.is_some();
    let (is_there, is_at_work) = {
        let state = host.state();
        (
            state.running == wanted.toplevel,
            state.at_work().is_some() || state.slowness > 1,
        )
    };
    wanted.behaviour == Behaviour::Good
        && record.suspension.is_none()
        && record.in_flight.is_none()
        && world.ledger.is_calm_for(BETWEEN)
        && !is_kept_back
        && !is_there
        && !is_at_work
}

fn may_be_changed(world: &World, plan: &HostPlan) -> bool {
    !plan.is_observed && is_open(plan, world.clock.now())
}

/// The state on disk, what is kept of builds, and what is left on hosts stay within bounds.
pub fn nothing_grows_without_end(world: &World, state: &std::path::Path) {
    let hosts = world.plan.hosts.len() as u64;
    let rows = ROWS_A_DAY * hosts * u64::from(world.plan.days + 1);
    let most = (1 << 20) + rows * 512;
    let size = std::fs::metadata(state).map_or(0, |metadata| metadata.len());
    if size > most {
        let what = format!("the state has {size} bytes, more than {most}");
        world.ledger.breaks("nothing_grows_without_end", None, what);
    }
    for (name, host) in &world.hosts {
        let traces = host.state().units.len();
        if traces > 2 {
            let what = format!("{traces} deployments have left their traces");
            world
                .ledger
                .breaks("nothing_grows_without_end", Some(name), what);
        }
    }
}
