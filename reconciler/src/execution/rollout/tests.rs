use deploy::Action;
use planning::model::goal::GoalKind;

use super::*;
use crate::testing::{host, scene};

const FLEET: &str = "[hosts.cyt-pi]\n[hosts.kiosk]\n[hosts.spare]\n[limits]\nrollbacks = 2";

#[tokio::test(start_paused = true)]
async fn a_commit_that_as_many_hosts_as_are_allowed_rolled_back_is_kept_from_the_others() {
    let scene = scene(FLEET).await;
    let (one, goal) = (scene.one(None), scene.goal());
    scene.could_not_stay_on(&host("kiosk"), 'a');
    assert_eq!(one.halted_by(&goal).await.unwrap(), []);
    scene.could_not_stay_on(&host("spare"), 'a');
    let both = [host("kiosk"), host("spare")];
    assert_eq!(one.halted_by(&goal).await.unwrap(), both);
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision.label(), "braked");
    assert!(scene.is_on('0'));
}

#[tokio::test(start_paused = true)]
async fn another_commit_and_what_a_person_asks_for_once_are_not_held_up() {
    let scene = scene(FLEET).await;
    for other in ["kiosk", "spare"] {
        scene.could_not_stay_on(&host(other), 'a');
    }
    let (one, goal) = (scene.one(None), scene.goal());
    scene.push('b');
    assert_eq!(one.halted_by(&scene.goal()).await.unwrap(), []);
    let once = Goal {
        kind: GoalKind::OneOff,
        ..goal.clone()
    };
    assert_eq!(one.halted_by(&once).await.unwrap(), []);
    let mut built = goal;
    built.target.action = Action::Build;
    assert_eq!(one.halted_by(&built).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_got_over_it_halts_nothing_any_more() {
    let scene = scene(FLEET).await;
    for other in ["kiosk", "spare"] {
        scene.could_not_stay_on(&host(other), 'a');
    }
    scene.remember_of(&host("spare"), |state| state.quarantine = None);
    let halted = scene.one(None).halted_by(&scene.goal()).await.unwrap();
    assert_eq!(halted, []);
}
