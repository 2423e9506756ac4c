//! What has to hold whenever a host is looked at.

use std::time::Duration;

use desired_state::HostName;
use planning::model::host_state::{HostState, StoredState};

use crate::world::World;

/// After the clock was corrected, times are compared again once all of them are of the time since.
const STEADY: Duration = Duration::from_secs(3600);

/// Looks at what is known of a host, where there is a reason to.
pub async fn at_a_look(world: &World, host: &HostName) {
    let has_reason = {
        let known = world.ledger.of(host);
        world.plan.is_watched_closely || known.last_seen.is_some() || !known.banned.is_empty()
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
fn does_not_grow_older(world: &World, host: &HostName, state: &HostState) {
    let now = state.presence.last_seen;
    let is_watched = world.plan.is_watched_closely;
    let before = std::mem::replace(
        &mut world.ledger.of(host).last_seen,
        now.filter(|_| is_watched),
    );
    if world.clock.is_steady_for(STEADY)
        && let (Some(before), Some(now)) = (before, now)
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
