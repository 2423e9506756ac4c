//! Two write what is known of one host.

use super::*;

/// Somebody changes the host as often.
const OFTEN: Duration = Duration::from_secs(37);
/// So long.
const LONG: Duration = Duration::from_secs(2 * 3600);

#[test]
fn what_is_known_of_a_host_is_never_overwritten_with_what_was_known_before() {
    let mut plan = plain(4);
    plan.interval = Duration::from_secs(5);
    plan.slow_turns = (1.0, Duration::from_secs(2));
    plan.is_watched_closely = true;
    // So that what is found is recorded, and nothing is done about it.
    for host in plan.hosts.values_mut() {
        host.is_observed = true;
    }
    let ended = happens(plan, Crashes::Never, async |world, _| {
        let began = Instant::now();
        let wanted = commit(&world, Kind::Perfect);
        while began.elapsed() < LONG && world.ledger.broken().is_none() {
            sleep(OFTEN).await;
            for (name, host) in &world.hosts {
                let right = world.system(name, &wanted).unwrap().toplevel;
                host.change(|state| {
                    state.running = if state.running == right {
                        state.booted.clone()
                    } else {
                        right.clone()
                    };
                    state.set_profile(&right);
                });
            }
        }
    });
    assert_eq!(ended.broken, None, "{}", ended.story.text());
    assert!(ended.counts.looks > 1000, "{:?}", ended.counts);
}
