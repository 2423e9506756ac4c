//! What could not stay is not tried again.

use super::*;
use crate::systems::Behaviour;

/// So long nothing may come back.
const LONG: Duration = Duration::from_secs(3 * 3600);

/// Brings a host to a good commit, and has it roll the next one back; gives both.
async fn one_good_and_one_rolled_back(world: &World) -> (Revision, Revision) {
    let good = commit(world, Kind::Perfect);
    until_on(world, &host(0), &good).await;
    let bad = commit(world, Kind::Bad(Behaviour::FailsAUnit));
    until(world, "it is rolled back", || {
        !world.ledger.of(&host(0)).banned.is_empty()
    })
    .await;
    (good, bad)
}

/// Somebody switches the host to what was installed there.
fn drifts(world: &World) {
    let installed = world
        .systems
        .of(world.plan.seed, host(0).as_str(), "installed", None);
    world.hosts[&host(0)].change(|state| {
        state.running = installed.toplevel.clone();
        state.set_profile(&installed.toplevel);
    });
}

#[test]
fn drift_is_undone_to_the_last_good_system_and_what_was_rolled_back_stays_away() {
    let ended = happens(plain(1), Crashes::Never, async |world, _| {
        let (good, _) = one_good_and_one_rolled_back(&world).await;
        for _ in 0..3 {
            drifts(&world);
            until_on(&world, &host(0), &good).await;
            sleep(LONG / 3).await;
        }
    });
    assert_eq!(ended.broken, None, "{}", ended.story.text());
    assert_eq!(ended.counts.deployments, 5, "{}", ended.story.text());
}

#[test]
fn what_was_rolled_back_stays_away_though_the_way_back_to_the_last_good_system_fails_too() {
    let ended = happens(plain(1), Crashes::Never, async |world, _| {
        one_good_and_one_rolled_back(&world).await;
        drifts(&world);
        let one = &world.hosts[&host(0)];
        until(&world, "the way back waits for its acknowledgement", || {
            one.state().at_work().is_some_and(|unit| {
                unit.phase == crate::host::unit::Phase::Settling || unit.is_awaiting()
            })
        })
        .await;
        one.change(|state| state.refuses_until = Some(Instant::now() + LONG / 6));
        sleep(LONG).await;
    });
    assert_eq!(ended.broken, None, "{}", ended.story.text());
}
