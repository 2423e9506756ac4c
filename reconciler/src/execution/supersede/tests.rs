use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use deploy::{Action, Outcome};
use planning::model::order::{Order, Trigger};

use super::*;
use crate::testing::{Scene, context, host, scene};

const HOST: &str = "[hosts.cyt-pi]";
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than anything here lasts.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Why work without end for what is wanted was ended, after `change` came between the subscription and the work;
/// `None` if it was not.
async fn stopped_by(
    scene: &Scene,
    order: Option<Order>,
    change: impl FnOnce(&Scene),
) -> Option<Stop> {
    let one = scene.one(order);
    let mut wanted = StillWanted::from_now_on(&one);
    let goal = scene.goal();
    change(scene);
    let work = wanted.during(&goal, pending::<()>());
    let ended = tokio::time::timeout(HOUR, work).await.ok()?;
    ended.unwrap().err()
}

/// As [`stopped_by`], in a scene of its own, and nobody has given an order.
async fn stopped_anew_by(change: impl FnOnce(&Scene)) -> Option<Stop> {
    stopped_by(&scene(HOST).await, None, change).await
}

/// The host has been superseded for so long that one piece of work is to be done to its end.
async fn is_out_of_patience(scene: &Scene) {
    let starving = &scene.context.registries.starving;
    starving.superseded(&scene.host, Instant::now());
    tokio::time::advance(16 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_push_between_the_subscription_and_the_work_ends_the_work() {
    let stop = stopped_anew_by(|scene| scene.push('b')).await;
    assert_eq!(stop, Some(Stop::Superseded));
}

#[tokio::test(start_paused = true)]
async fn a_push_while_the_host_is_observed_keeps_its_build_from_going_on() {
    let scene = scene(HOST).await;
    scene.at("observe", |scene| scene.push('b'));
    scene.script().takes("build a", HOUR);
    let began = Instant::now();
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Superseded));
    assert!(began.elapsed() < MINUTE);
}

#[tokio::test(start_paused = true)]
async fn settings_that_a_deployment_stands_on_end_it_when_they_change_and_others_do_not() {
    for (setting, is_ended) in [
        ("attribute = \"another\"", true),
        ("build_on = \"target\"", true),
        ("proof = { settle = \"5s\" }", true),
        ("interval = \"5m\"", false),
        ("policy = \"observe\"", false),
    ] {
        let change = |scene: &Scene| scene.reconfigure(&format!("{HOST}\n{setting}"));
        let stop = stopped_anew_by(change).await;
        assert_eq!(stop, is_ended.then_some(Stop::Superseded), "{setting}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_for_another_host_ends_nothing() {
    let scene = scene(&format!("{HOST}\n[hosts.spare]")).await;
    let push = |scene: &Scene| scene.push_to(&host("spare"), 'b');
    assert_eq!(stopped_by(&scene, None, push).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_persons_word_and_settings_end_work_also_where_patience_with_pushes_is_out() {
    let attribute = |scene: &Scene| scene.reconfigure(&format!("{HOST}\nattribute = \"another\""));
    for (change, stop) in [
        (Scene::push as fn(&Scene, char), None),
        (Scene::pin, Some(Stop::Superseded)),
        (|scene, _| scene.suspend(), Some(Stop::Suspended)),
    ] {
        let scene = scene(HOST).await;
        is_out_of_patience(&scene).await;
        let change = |scene: &Scene| change(scene, 'b');
        assert_eq!(stopped_by(&scene, None, change).await, stop);
    }
    let scene = scene(HOST).await;
    is_out_of_patience(&scene).await;
    let stop = stopped_by(&scene, None, attribute).await;
    assert_eq!(stop, Some(Stop::Superseded));
}

#[tokio::test(start_paused = true)]
async fn a_suspension_ends_work_unless_a_person_forced_it() {
    let scene = scene(HOST).await;
    for (trigger, stop) in [
        (Trigger::Scheduled, Some(Stop::Suspended)),
        (Trigger::Manual, Some(Stop::Suspended)),
        (Trigger::Forced, None),
    ] {
        let order = Some(scene.order(trigger));
        let found = stopped_by(&scene, order, Scene::suspend).await;
        assert_eq!(found, stop, "{trigger:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_leaves_the_fleet_is_worked_on_no_more() {
    let stop = stopped_anew_by(|scene| scene.reconfigure("[hosts.spare]")).await;
    assert_eq!(stop, Some(Stop::LeftFleet));
}

#[tokio::test(start_paused = true)]
async fn an_order_for_a_commit_of_its_own_is_not_overtaken_by_pushes() {
    let scene = scene(HOST).await;
    let order = Order {
        revision: Some(scene.goal().target.revision),
        action: Some(Action::Switch),
        ..scene.order(Trigger::Manual)
    };
    let push = |scene: &Scene| scene.push('b');
    assert_eq!(stopped_by(&scene, Some(order), push).await, None);
}

#[tokio::test(start_paused = true)]
async fn pushes_that_come_faster_than_a_build_get_one_piece_of_work_done_at_last() {
    let scene = scene(HOST).await;
    let mut outcomes = Vec::new();
    for newer in ['b', 'c', 'd', 'e', 'f', '1'] {
        let script = scene.script();
        script.takes("build", 4 * MINUTE);
        scene.at("build", move |scene| scene.push(newer));
        script.takes("build", MINUTE);
        outcomes.extend(scene.reconcile().await.report.outcome);
    }
    let superseded = |count| vec![Outcome::Superseded; count];
    let mut expected = superseded(4);
    expected.extend([Outcome::Converged, Outcome::Superseded]);
    assert_eq!(outcomes, expected);
    assert!(scene.is_on('e'));
}

#[tokio::test(start_paused = true)]
async fn work_that_is_done_is_done_whatever_has_changed_by_then() {
    let scene = scene(HOST).await;
    let one = scene.one(None);
    let mut wanted = StillWanted::from_now_on(&one);
    let goal = scene.goal();
    scene.push('b');
    let ended = wanted.during(&goal, ready("done")).await.unwrap();
    assert_eq!(ended, Ok("done"));
    // Whoever goes on asks before.
    let check = wanted.check(&goal).await.unwrap();
    assert_eq!(check, Err(Stop::Superseded));
}

/// On a store that waits for its turns, as the daemon's does.
#[tokio::test]
async fn work_that_reads_the_state_is_not_stopped_by_looking_whether_it_is_still_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path(), HOST).await;
    let wish = scene(HOST).await.stored().wish.unwrap();
    context.store.set_wish(&wish).await.unwrap();
    let one = Reconciliation::new(&context, &wish.host, None).unwrap();
    let goal = planning::desired::from_branch(&one.config, Some(&wish)).unwrap();
    let mut wanted = StillWanted::from_now_on(&one);
    let others = tokio::spawn({
        let context = Arc::clone(&context);
        async move {
            loop {
                context.wishes_changed();
                tokio::task::yield_now().await;
            }
        }
    });
    let work = async {
        for _ in 0..300 {
            context.store.host_record(&wish.host).await.unwrap();
        }
    };
    let done = tokio::time::timeout(MINUTE, wanted.during(&goal, work));
    assert_eq!(done.await.expect("it ends").unwrap(), Ok(()));
    others.abort();
}

#[tokio::test(start_paused = true)]
async fn before_a_change_the_rollout_and_the_window_are_looked_at_once_more() {
    let closed = "windows = [{ from = \"22:00\", to = \"05:00\", time_zone = \"UTC\" }]";
    let scene = scene(&format!(
        "{HOST}\n{closed}\n[hosts.spare]\n[limits]\nrollbacks = 1"
    ))
    .await;
    let before_change = async |order: Option<Trigger>| {
        let one = scene.one(order.map(|trigger| scene.order(trigger)));
        let wanted = StillWanted::from_now_on(&one);
        let goal = scene.goal();
        wanted.check_before_change(&goal).await.unwrap()
    };
    assert_eq!(before_change(None).await, Err(Stop::WindowClosed));
    let asked = before_change(Some(Trigger::Manual)).await;
    assert_eq!(asked, Err(Stop::WindowClosed));
    assert_eq!(before_change(Some(Trigger::Forced)).await, Ok(()));
    scene.could_not_stay_on(&host("spare"), 'a');
    let halted = Err(Stop::HaltedBy(vec![host("spare")]));
    assert_eq!(before_change(None).await, halted);
    assert_eq!(before_change(Some(Trigger::Forced)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_goes_by_windows_of_its_own_is_not_held_up_by_those_of_deployments() {
    let closed = "windows = [{ from = \"22:00\", to = \"05:00\", time_zone = \"UTC\" }]";
    let scene = scene(&format!("{HOST}\n{closed}")).await;
    let one = scene.one(None);
    let wanted = StillWanted::from_now_on(&one);
    for (cause, expected) in [
        (Cause::ForReboot, Ok(())),
        (Cause::Quarantine, Err(Stop::WindowClosed)),
    ] {
        let goal = Goal {
            cause,
            ..scene.goal()
        };
        let found = wanted.check_before_change(&goal).await.unwrap();
        assert_eq!(found, expected);
    }
}
