//! Invariants that do not hold are told.

use std::time::Duration;

use deploy::{ActivationRequest, MinFree, Proof, RunsAs};

use super::*;
use crate::host::unit::Unit;
use crate::invariants::attempts;

#[test]
fn a_host_that_is_at_work_already_is_no_place_for_a_deployment() {
    let ended = happens(plain(1), Crashes::Never, async |world, _| {
        let wanted = commit(&world, Kind::Perfect);
        let one = &world.hosts[&host(0)];
        let running = one.state().running.clone();
        let foreign = ActivationRequest {
            id: "20270104t000000z-00000000".parse().unwrap(),
            action: deploy::Action::Switch,
            new: running.clone(),
            runs_as: RunsAs::Base,
            observed: running,
            timeout: LONGEST,
            proof: Proof::NONE,
            min_free_boot: MinFree::BOOT,
        };
        one.change(|state| state.units.insert(foreign.id.clone(), Unit::new(foreign)));
        until(&world, "the invariant is broken", || {
            world.ledger.broken().is_some()
        })
        .await;
        drop(wanted);
    });
    assert_eq!(
        ended.broken.map(|broken| broken.invariant),
        Some("is_alone")
    );
}

#[test]
fn an_attempt_that_follows_too_soon_is_told_and_one_that_a_person_asks_for_is_not() {
    let ended = happens(plain(1), Crashes::Never, async |world, _| {
        let commit = commit(&world, Kind::Perfect);
        for _ in 0..3 {
            attempts::failed(&world, &host(0), &commit, Duration::ZERO);
        }
        world.ledger.of(&host(0)).excused = Some(Instant::now());
        attempts::are_spaced(&world, &host(0), &commit);
        assert_eq!(world.ledger.broken(), None);
        world.ledger.of(&host(0)).excused = None;
        sleep(world.plan.backoff_first).await;
        attempts::are_spaced(&world, &host(0), &commit);
    });
    assert_eq!(
        ended.broken.map(|broken| broken.invariant),
        Some("are_spaced")
    );
}
