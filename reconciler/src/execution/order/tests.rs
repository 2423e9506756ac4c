use deploy::Transience;
use planning::model::order::Order;

use super::*;
use crate::testing::{Scene, scene};

const HOST: &str = "[hosts.cyt-pi]";

/// How far a host is whose last attempt ended just now.
fn ended(scene: &Scene, outcome: Outcome) -> Progress {
    Progress {
        outcome: Some(outcome),
        outcome_at: Some(scene.context.now()),
        ..Progress::default()
    }
}

fn failed() -> Outcome {
    Outcome::BuildFailed {
        detail: "broken".into(),
        transience: Transience::Permanent,
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_been_tried_since_a_person_asked_is_the_answer_and_not_tried_again_unless_forced()
{
    let scene = scene(HOST).await;
    let progress = ended(&scene, failed());
    for (trigger, counts_as) in [
        (Trigger::Manual, Trigger::Scheduled),
        (Trigger::Forced, Trigger::Forced),
    ] {
        let one = scene.one(Some(scene.order(trigger)));
        assert_eq!(one.meanwhile(&progress), Some(failed()));
        assert_eq!(one.trigger(&progress), counts_as);
        assert_eq!(one.asked(), trigger);
        assert_eq!(one.trigger(&Progress::default()), trigger);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_before_a_person_asked_is_no_answer() {
    let scene = scene(HOST).await;
    let progress = ended(&scene, failed());
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let one = scene.one(Some(scene.order(Trigger::Manual)));
    assert_eq!(one.meanwhile(&progress), None);
    assert_eq!(one.trigger(&progress), Trigger::Manual);
}

#[tokio::test(start_paused = true)]
async fn nobodys_order_asks_for_nothing() {
    let scene = scene(HOST).await;
    let one = scene.one(None);
    let progress = ended(&scene, failed());
    assert_eq!(one.meanwhile(&progress), None);
    assert_eq!(one.trigger(&progress), Trigger::Scheduled);
    assert_eq!(one.then(&progress), Then::Nothing);
    assert_eq!(one.branch_state(&scene.stored()), None);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_has_been_made_since_it_was_asked_for_does_not_follow_again() {
    let scene = scene(HOST).await;
    let one = scene.one(Some(Order {
        then: Then::Reboot,
        ..scene.order(Trigger::Manual)
    }));
    assert_eq!(one.then(&Progress::default()), Then::Reboot);
    assert_eq!(one.then(&ended(&scene, failed())), Then::Reboot);
    let rebooted = ended(&scene, Outcome::Rebooted);
    assert_eq!(one.then(&rebooted), Then::Nothing);
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_told_of_the_branch_where_that_is_what_the_host_follows() {
    let scene = scene(HOST).await;
    let one = scene.one(Some(scene.order(Trigger::Manual)));
    let told = one.branch_state(&scene.stored());
    assert_eq!(told, Some(BranchState::Present));
    scene.pin('b');
    assert_eq!(one.branch_state(&scene.stored()), None);
}
