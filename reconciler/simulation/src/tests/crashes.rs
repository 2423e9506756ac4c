//! The controller is killed once in the middle of a deployment.

use super::*;
use crate::calm;

/// How many points the first deployment has, a life without a crash through.
fn points_of_a_deployment() -> u64 {
    let mut points = 0;
    happens(plain(1), Crashes::Never, async |world, _| {
        let wanted = commit(&world, Kind::Perfect);
        until_on(&world, &host(0), &wanted).await;
        // What follows, until it is quiet again.
        sleep(Duration::from_secs(30)).await;
        points = world.running().unwrap().life.points();
    });
    points
}

#[test]
fn a_host_ends_on_the_right_system_and_one_row_stands_for_it_wherever_the_controller_is_killed() {
    let points = points_of_a_deployment();
    assert!(points > 50, "{points} points");
    let mut crashes = 0;
    for point in (0..points).step_by(3) {
        let ended = happens(plain(1), Crashes::OnceAt(point), async |world, _| {
            let wanted = commit(&world, Kind::Perfect);
            until_on(&world, &host(0), &wanted).await;
            sleep(Duration::from_secs(600)).await;
            calm::every_deployment_is_told_once(&world).await;
            let begun = world.ledger.of(&host(0)).begun.len();
            assert!(begun > 0, "killed at {point}: {begun} deployments");
        });
        assert_eq!(
            ended.broken,
            None,
            "killed at {point}:\n{}",
            ended.story.text()
        );
        crashes += ended.counts.crashes;
    }
    assert!(crashes >= points / 4, "{crashes} crashes");
}
