use planning::model::order::Trigger;

use super::*;
use crate::testing::{host, scene};

const HOST: &str = "[hosts.cyt-pi]";

#[tokio::test(start_paused = true)]
async fn there_is_none_of_a_host_that_is_of_no_fleet() {
    let scene = scene(HOST).await;
    let none = Reconciliation::new(&scene.context, &host("spare"), None);
    assert!(none.is_none());
}

#[tokio::test(start_paused = true)]
async fn it_goes_by_the_config_that_it_began_with_but_for_windows() {
    let scene = scene(HOST).await;
    let one = scene.one(None);
    assert_eq!(one.openness(one.now()), Openness::Open);
    let closed = "windows = [{ from = \"22:00\", to = \"05:00\", time_zone = \"UTC\" }]";
    scene.reconfigure(&format!("{HOST}\ninterval = \"5m\"\n{closed}"));
    assert_ne!(one.openness(one.now()), Openness::Open);
    assert_eq!(one.config.reach.interval.as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_names_the_order_that_was_carried_out() {
    let scene = scene(HOST).await;
    let order = Order {
        id: 7,
        ..scene.order(Trigger::Manual)
    };
    let one = scene.one(Some(order));
    assert_eq!(one.report(Decision::UpToDate).order, Some(7));
    let superseded = one.superseded(&scene.goal());
    assert_eq!(superseded.order, Some(7));
    assert_eq!(superseded.outcome, Some(Outcome::Superseded));
}
