//! What has to hold whenever a host is looked at.

use desired_state::HostName;
use planning::model::host_state::StoredState;

use crate::world::World;

/// Looks at what is known of a host, where there is a reason to.
pub async fn at_a_look(world: &World, host: &HostName) {
    let has_reason = {
        let known = world.ledger.of(host);
        known.last_seen.is_some() || !known.banned.is_empty()
    };
    if !has_reason {
        return;
    }
    let Ok(record) = world.witness.host_record(host).await else {
        return;
    };
    let document = record.document.as_deref().unwrap_or("{}");
    let state = StoredState::read(document).unwrap_or_default().state;
    does_not_grow_older(world, host, &state);
    lift_bans(world, host, &record);
}

/// What is recorded of a host is never overwritten with what was known of it before.
fn does_not_grow_older(
    world: &World,
    host: &HostName,
    state: &planning::model::host_state::HostState,
) {
    let before = world.ledger.of(host).last_seen.take();
    let is_steady = world
        .clock
        .is_steady_for(std::time::Duration::from_secs(3600));
    if is_steady
        && let (Some(before), Some(now)) = (before, state.presence.last_seen)
        && now < before
    {
        let what = format!("it was last seen at {before}, and now that is said to be at {now}");
        world.ledger.breaks("does_not_grow_older", Some(host), what);
    }
}

/// A ban ends when the host is found on another system that is wanted of it.
fn lift_bans(world: &World, host: &HostName, record: &desired_state::HostRecord) {
    let pin = record.pin.as_ref().map(|pin| &pin.revision);
    let wish = record.wish.as_ref().and_then(|wish| wish.revision.as_ref());
    let Some(wanted) = pin
        .or(wish)
        .and_then(|revision| world.system(host, revision))
    else {
        return;
    };
    let Some(one) = world.hosts.get(host) else {
        return;
    };
    let is_there = {
        let state = one.state();
        state.running == wanted.toplevel && state.profile().as_ref() == Some(&wanted.toplevel)
    };
    if is_there {
        world.ledger.of(host).banned.clear();
    }
}
