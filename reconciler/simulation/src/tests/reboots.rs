//! Hosts that need a reboot.

use super::*;

#[test]
fn hosts_that_all_need_a_reboot_make_it_one_after_another() {
    let mut plan = plain(6);
    plan.hosts
        .values_mut()
        .for_each(|host| host.is_rebooted = true);
    let ended = happens(plan, Crashes::Never, async |world, _| {
        for _ in 0..4 {
            let wanted = commit(&world, Kind::Perfect);
            for host in world.hosts.keys() {
                until_on(&world, host, &wanted).await;
            }
        }
        until(&world, "every host has booted what it runs", || {
            let is_whole =
                |host: &Arc<crate::host::Host>| host.observation().reboot_reasons.is_empty();
            world.hosts.values().all(is_whole)
        })
        .await;
    });
    assert!(ended.counts.reboots >= 3, "{:?}", ended.counts);
    assert_eq!(ended.broken, None, "{}", ended.story.text());
}
