//! Work that is not wanted any more ends at once.

use super::*;
use crate::people;

/// Work that is not wanted any more ends within this, once that is known.
const AT_ONCE: Duration = Duration::from_secs(1);

fn is_built(world: &World, host: &HostName, commit: &Revision) -> bool {
    let build = format!("build {host} {commit}");
    world.machine.at_work().contains(&build)
}

async fn is_wished(world: &World, host: &HostName) -> Option<Revision> {
    world.witness.wish(host).await.ok()??.revision
}

#[test]
fn a_push_ends_the_build_of_the_commit_before_whenever_it_comes() {
    // A store that always takes its time, so that a push can come in between any two of its turns.
    let mut plan = plain(1);
    plan.slow_turns = (1.0, Duration::from_millis(40));
    for delay in (0..1200).step_by(100).map(Duration::from_millis) {
        let ended = happens(plan.clone(), Crashes::Never, async |world, _| {
            let first = commit(&world, Kind::Perfect);
            let name = host(0);
            let running = world.running();
            assert!(running.is_none(), "the controller has not begun");
            until(&world, "it lives", || world.running().is_some()).await;
            let context = world.running().unwrap().context;
            while is_wished(&world, &name).await != Some(first.clone()) {
                sleep(BETWEEN).await;
            }
            sleep(delay).await;
            let second = commit(&world, Kind::Perfect);
            for repository in context.clients().repositories.values() {
                repository.bell.notify_one();
            }
            while is_wished(&world, &name).await != Some(second.clone()) {
                sleep(BETWEEN).await;
            }
            sleep(AT_ONCE).await;
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(120) {
                assert!(
                    !is_built(&world, &name, &first),
                    "{delay:?}:\n{}",
                    world.story.text()
                );
                sleep(BETWEEN).await;
            }
            until_on(&world, &name, &second).await;
        });
        assert_eq!(ended.broken, None, "{}", ended.story.text());
    }
}

#[test]
fn a_corrected_attribute_ends_the_deployment_of_the_wrong_system() {
    let ended = happens(plain(2), Crashes::Never, async |world, state| {
        let wrong = host(1).to_string();
        people::edit(&world, &state, |edits| {
            edits.wrong_attribute.insert(host(0), wrong);
        });
        let wanted = commit(&world, Kind::Perfect);
        until(&world, "the wrong system is built", || {
            is_built(&world, &host(0), &wanted)
        })
        .await;
        people::edit(&world, &state, |edits| edits.wrong_attribute.clear());
        sleep(AT_ONCE).await;
        until_on(&world, &host(0), &wanted).await;
        let right = world.system(&host(0), &wanted).unwrap().toplevel;
        let begun = world.ledger.of(&host(0)).begun.clone();
        assert!(begun.values().all(|one| one.toplevel == right), "{begun:?}");
    });
    assert_eq!(ended.broken, None, "{}", ended.story.text());
}
