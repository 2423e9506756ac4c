use futures::FutureExt as _;
use webhook::Secret;

use super::*;
use crate::controller::branches::Person;
use crate::testing::{Scene, scene};

const HOST: &str = "[hosts.cyt-pi]";

fn secrets() -> Secrets {
    Secrets::new(vec![Secret::new(b"a secret").unwrap()]).unwrap()
}

fn delivery(event: Event) -> Delivery {
    Delivery {
        id: "6f1a".into(),
        event,
        repository: "a/b".into(),
        head: Some("b".repeat(40)),
    }
}

fn pushed() -> Event {
    let branch = "main".into();
    Event::Pushed { branch }
}

/// What became of a delivery.
async fn ring(scene: &Scene, delivery: Delivery) -> Result<(), NotRecorded> {
    let receiver = Receiver::new(Arc::clone(&scene.context), secrets());
    receiver.ring(delivery).await
}

/// Whether the bell of the only repository has rung since it was last asked.
fn has_rung(scene: &Scene) -> bool {
    let clients = scene.context.clients();
    let mut repositories = clients.repositories.values();
    let bell = &repositories.next().unwrap().bell;
    bell.notified().now_or_never().is_some()
}

/// The deliveries that no fetch has answered yet: their events.
async fn waiting(scene: &Scene) -> Vec<String> {
    let name = "a/b".parse().unwrap();
    let waiting = scene.context.store.deliveries_to_fetch(&name).await;
    waiting.unwrap().into_iter().map(|one| one.event).collect()
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_on_record_when_the_bell_rings() {
    let scene = scene(HOST).await;
    ring(&scene, delivery(pushed())).await.unwrap();
    assert_eq!(waiting(&scene).await, ["push"]);
    assert!(has_rung(&scene));
    let branch = "main".into();
    let deleted = delivery(Event::Deleted { branch });
    ring(&scene, deleted).await.unwrap();
    assert!(has_rung(&scene));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_cannot_be_recorded_is_not_answered_well_and_rings_nothing() {
    let scene = scene(HOST).await;
    scene.break_state().await;
    ring(&scene, delivery(pushed())).await.unwrap_err();
    assert!(!has_rung(&scene));
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_nobody_follows_and_an_event_that_says_nothing_ring_nothing() {
    let scene = scene(HOST).await;
    let another = Delivery {
        repository: "a/another".into(),
        ..delivery(pushed())
    };
    let ignored = Event::Ignored {
        name: "issues".into(),
        reason: "it concerns no branch",
    };
    for one in [another, delivery(ignored)] {
        ring(&scene, one).await.unwrap();
        assert_eq!(waiting(&scene).await, [""; 0]);
        assert!(!has_rung(&scene));
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_delivery_is_on_record_and_rings_nothing() {
    let scene = scene(HOST).await;
    let branch = "main".into();
    ring(&scene, delivery(Event::Test { branch }))
        .await
        .unwrap();
    assert_eq!(waiting(&scene).await, ["test"]);
    assert!(!has_rung(&scene));
}

#[tokio::test(start_paused = true)]
async fn a_push_counts_whatever_its_id_and_however_its_repository_is_written() {
    let scene = scene(HOST).await;
    let strange = Delivery {
        id: "no id; of ours".into(),
        repository: "A/B".into(),
        ..delivery(pushed())
    };
    ring(&scene, strange).await.unwrap();
    assert_eq!(waiting(&scene).await, ["push"]);
    assert!(has_rung(&scene));
}

/// All that is logged while something is done, on this thread.
async fn log_of(work: impl Future<Output = ()>) -> String {
    let log = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Log(Arc::clone(&writer)))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    work.await;
    drop(guard);
    let log = log.lock();
    String::from_utf8(log.clone()).unwrap()
}

struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_was_renamed_is_said_with_both_names_and_others_are_not() {
    for (other_head, is_said) in [('b', true), ('c', false)] {
        let hook =
            "[hosts.cyt-pi]\n[webhook]\nlisten = \"127.0.0.1:0\"\nsecret_files = [\"secret\"]";
        let scene = scene(hook).await;
        let branch = "main".parse().unwrap();
        let tips = &scene.outside.source.tips;
        tips.lock().insert(branch, crate::testing::revision('b'));
        let renamed = Delivery {
            repository: "a/new-name".into(),
            head: Some(other_head.to_string().repeat(40)),
            ..delivery(pushed())
        };
        let clients = scene.context.clients();
        let repository = clients.repositories.values().next().unwrap();
        let log = log_of(async {
            ring(&scene, renamed).await.unwrap();
            let look =
                || crate::controller::sources::fetch(&scene.context, repository, Person::Nobody);
            assert!(look().await.unwrap().awaits_delivery);
            tokio::time::advance(std::time::Duration::from_secs(60 * 60)).await;
            look().await.unwrap();
        });
        let log = log.await;
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(warnings.len(), 1, "{log}");
        let names_both = warnings[0].contains("a/b") && warnings[0].contains("a/new-name");
        assert_eq!(names_both, is_said, "{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_secrets_count_once_they_are_taken_up() {
    let scene = scene(HOST).await;
    let receiver = Receiver::new(Arc::clone(&scene.context), secrets());
    let before = receiver.secrets();
    receiver.take_up_secrets(secrets());
    assert!(!Arc::ptr_eq(&before, &receiver.secrets()));
}
