use desired_state::{BranchState, ReceivedDelivery};
use futures::FutureExt as _;

use super::*;
use crate::testing::{Scene, revision, scene};

const HOST: &str = "[hosts.cyt-pi]";
const HOOK: &str =
    "[hosts.cyt-pi]\n[webhook]\nlisten = \"127.0.0.1:0\"\nsecret_files = [\"secret\"]";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The branch `main` of the only repository leads to this commit.
fn leads_to(scene: &Scene, digit: char) {
    let main = "main".parse().unwrap();
    scene
        .outside
        .source
        .tips
        .lock()
        .insert(main, revision(digit));
}

/// Fetches, and gives what is wished of the host then.
async fn fetched(scene: &Scene, person: Person<'_>) -> Wish {
    let repository = repository(scene);
    fetch(&scene.context, &repository, person).await.unwrap();
    scene.stored().wish.unwrap()
}

fn repository(scene: &Scene) -> Arc<Repository> {
    let clients = scene.context.clients();
    let mut repositories = clients.repositories.values();
    Arc::clone(repositories.next().unwrap())
}

/// A delivery of a push to this branch, which no fetch has answered yet.
async fn delivered(scene: &Scene, branch: &str, event: &str) {
    let delivery = ReceivedDelivery {
        id: "6f1a".parse().unwrap(),
        event: event.into(),
        repository: "a/b".into(),
        branch: Some(branch.into()),
        received_at: scene.context.now(),
    };
    let recorded = scene.context.store.record_delivery(&delivery).await;
    recorded.unwrap();
}

/// Something went wrong with a fetch.
fn failure() -> MirrorError {
    MirrorError::TimedOut {
        url: "file:///nowhere".into(),
        limit: MINUTE,
        said: String::new(),
    }
}

/// How many fetches there were since the last time.
fn fetches(scene: &Scene) -> usize {
    let calls = scene.script().calls();
    calls.iter().filter(|call| *call == "fetch").count()
}

#[tokio::test(start_paused = true)]
async fn a_push_is_wished_for_and_wakes_its_host_and_whoever_works_for_another() {
    let scene = scene(HOST).await;
    leads_to(&scene, 'b');
    let mut changes = scene.context.wish_changes();
    let wish = fetched(&scene, Person::Nobody).await;
    assert_eq!(wish.revision, Some(revision('b')));
    assert!(changes.changed().now_or_never().is_some());
    let due = scene.context.waker.queue().take_due(Instant::now());
    assert_eq!(due, std::slice::from_ref(&scene.host));
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_leads_where_it_led_changes_nothing() {
    let scene = scene(HOST).await;
    leads_to(&scene, 'a');
    let before = scene.stored().wish.unwrap();
    let mut changes = scene.context.wish_changes();
    assert_eq!(fetched(&scene, Person::Nobody).await, before);
    assert!(changes.changed().now_or_never().is_none());
    assert_eq!(scene.context.waker.queue().next_due(), None);
}

#[tokio::test(start_paused = true)]
async fn a_wish_tells_what_led_to_it_a_delivery_before_a_person_before_the_timer() {
    let ada = Person::Asked { by: "ada" };
    let delivery = || Cause::Delivery("6f1a".parse().unwrap());
    for (delivered_to, event, person, cause) in [
        (Some("main"), "push", Person::Nobody, delivery()),
        (Some("main"), "push", ada, delivery()),
        (Some("main"), "test", Person::Nobody, Cause::Poll),
        (Some("another"), "push", Person::Nobody, Cause::Poll),
        (None, "", ada, Cause::Person("ada".into())),
        (None, "", Person::Nobody, Cause::Poll),
    ] {
        let scene = scene(HOST).await;
        leads_to(&scene, 'b');
        if let Some(branch) = delivered_to {
            delivered(&scene, branch, event).await;
        }
        tokio::time::advance(MINUTE).await;
        let wish = fetched(&scene, person).await;
        assert_eq!(wish.cause, cause);
        let is_delivery = matches!(cause, Cause::Delivery(_));
        let since = scene.context.now().duration_since(wish.requested_at);
        assert_eq!(since.as_secs(), if is_delivery { 60 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_a_host_follows_only_now_is_wished_for_because_of_the_config() {
    let scene = scene(HOST).await;
    scene.reconfigure(&format!("{HOST}\nbranch = \"stable\""));
    let stable = "stable".parse().unwrap();
    scene
        .outside
        .source
        .tips
        .lock()
        .insert(stable, revision('a'));
    let wish = fetched(&scene, Person::Nobody).await;
    assert_eq!(
        (wish.branch.as_str(), wish.cause),
        ("stable", Cause::Configuration)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_forced_push_leaves_a_host_on_its_commit_until_a_person_forces_it() {
    let scene = scene(HOST).await;
    leads_to(&scene, 'b');
    *scene.outside.source.is_rewound.lock() = true;
    let wish = fetched(&scene, Person::Nobody).await;
    assert_eq!(wish.revision, Some(revision('a')));
    let to = revision('b');
    assert_eq!(wish.branch_state, BranchState::Rewound { to });
    let others = Person::Forced {
        by: "ada",
        hosts: &[],
    };
    assert_eq!(fetched(&scene, others).await.revision, Some(revision('a')));
    let forced = Person::Forced {
        by: "ada",
        hosts: std::slice::from_ref(&scene.host),
    };
    assert_eq!(fetched(&scene, forced).await.revision, Some(revision('b')));
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_is_gone_and_a_commit_that_is_not_trusted_leave_a_host_on_its_commit() {
    let scene = scene(HOST).await;
    let wish = fetched(&scene, Person::Nobody).await;
    assert_eq!(wish.branch_state, BranchState::Gone);
    leads_to(&scene, 'b');
    scene.outside.source.distrusted.lock().insert(revision('b'));
    let wish = fetched(&scene, Person::Nobody).await;
    assert_eq!(wish.branch_state.label(), "untrusted");
    assert_eq!(wish.revision, Some(revision('a')));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_fails_leaves_wishes_as_they_are_and_deliveries_to_the_next() {
    let scene = scene(HOST).await;
    leads_to(&scene, 'b');
    delivered(&scene, "main", "push").await;
    let before = scene.stored().wish;
    scene.script().fails("fetch", failure());
    let repository = repository(&scene);
    let failed = fetch(&scene.context, &repository, Person::Nobody).await;
    assert!(failed.unwrap_err().is_worth_retrying());
    assert_eq!(scene.stored().wish, before);
    let wish = fetched(&scene, Person::Nobody).await;
    assert_eq!(wish.cause.label(), "delivery");
    let waiting = scene.context.store.deliveries_to_fetch(&repository.name);
    assert_eq!(waiting.await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_comes_during_a_fetch_is_for_the_next_one() {
    let scene = scene(HOST).await;
    scene.at("fetch", |scene| {
        let recorded = delivered(scene, "main", "push").now_or_never();
        recorded.expect("it is recorded at once");
    });
    leads_to(&scene, 'b');
    let wish = fetched(&scene, Person::Nobody).await;
    assert_eq!(wish.cause, Cause::Poll);
    let name = &repository(&scene).name;
    let waiting = scene.context.store.deliveries_to_fetch(name).await;
    assert_eq!(waiting.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_followed_branches_are_fetched_unless_a_person_asks() {
    let scene = scene("[hosts.cyt-pi]\n[hosts.spare]\nbranch = \"next\"").await;
    leads_to(&scene, 'a');
    let followed = ["main", "next"].map(|name| name.parse().unwrap());
    let asked = Person::Asked { by: "alice" };
    for (person, expected) in [
        (Person::Nobody, Branches::These(followed.into())),
        (asked, Branches::All),
    ] {
        let looked = fetch(&scene.context, &repository(&scene), person).await;
        looked.unwrap();
        let fetched = scene.outside.source.fetched.lock().take();
        assert_eq!(fetched, Some(expected), "{person:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_no_delivery_announces_in_time_is_a_missed_one() {
    for (is_delivered, missed) in [(false, 1), (true, 0)] {
        let scene = scene(HOOK).await;
        leads_to(&scene, 'b');
        let repository = repository(&scene);
        let found = fetch(&scene.context, &repository, Person::Nobody).await;
        assert!(found.unwrap().awaits_delivery);
        if is_delivered {
            delivered(&scene, "main", "push").await;
        }
        tokio::time::advance(MINUTE).await;
        let again = fetch(&scene.context, &repository, Person::Nobody).await;
        assert!(!again.unwrap().awaits_delivery);
        let text = scene.context.metrics.text().unwrap();
        let text = String::from_utf8(text).unwrap();
        let line = format!("reconcile_missed_deliveries_total {missed}\n");
        assert!(text.contains(&line), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_waits_longer_each_time_and_never_longer_than_a_poll() {
    let scene = scene(HOST).await;
    leads_to(&scene, 'a');
    for _ in 0..20 {
        scene.script().fails("fetch", failure());
    }
    let name = repository(&scene).name.clone();
    let watching = tokio::spawn(watch(Arc::clone(&scene.context), name));
    // Looked at after 0, 5, 15, 35, 75 and 155 seconds; then after 315, and every five minutes.
    for (until, looks) in [(4, 1), (6, 1), (14, 0), (16, 1), (36, 1), (76, 1), (156, 1)] {
        let passed = scene
            .context
            .now()
            .duration_since(crate::testing::BEGINNING);
        let passed = Duration::try_from(passed).unwrap();
        tokio::time::sleep(until * SECOND - passed).await;
        assert_eq!(fetches(&scene), looks, "{until}");
    }
    tokio::time::sleep(160 * SECOND).await;
    assert_eq!(fetches(&scene), 1);
    tokio::time::sleep(10 * 5 * MINUTE).await;
    assert_eq!(fetches(&scene), 10);
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn a_repository_is_looked_at_when_its_bell_rings_once_a_second_at_most_and_else_when_polled()
{
    let scene = scene(HOST).await;
    leads_to(&scene, 'a');
    let repository = repository(&scene);
    let name = repository.name.clone();
    let watching = tokio::spawn(watch(Arc::clone(&scene.context), name));
    tokio::time::sleep(SECOND / 10).await;
    assert_eq!(fetches(&scene), 1, "at once");
    for _ in 0..10 {
        repository.bell.notify_one();
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!(fetches(&scene), 1, "for all rings together");
    tokio::time::sleep(2 * SECOND).await;
    assert!(fetches(&scene) <= 1);
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(fetches(&scene), 1);
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn what_a_poll_found_is_looked_for_again_when_its_delivery_should_be_there() {
    let scene = scene(HOOK).await;
    leads_to(&scene, 'b');
    let name = repository(&scene).name.clone();
    let watching = tokio::spawn(watch(Arc::clone(&scene.context), name));
    tokio::time::sleep(SECOND).await;
    assert_eq!(fetches(&scene), 1);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(fetches(&scene), 1);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(fetches(&scene), 0);
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_leaves_the_config_is_watched_no_more() {
    let scene = scene(HOST).await;
    let gone = "a/gone".parse().unwrap();
    watch(Arc::clone(&scene.context), gone).await;
    assert_eq!(fetches(&scene), 0);
}
