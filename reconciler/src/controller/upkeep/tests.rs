use super::*;
use crate::testing::scene;

const FLEET: &str = "[hosts.cyt-pi]\n[hosts.kiosk]\n[hosts.spare]";
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn when_many_quiet_hosts_were_seen_is_written_down_for_all_of_them_together() {
    let scene = scene(FLEET).await;
    let hosts = ["cyt-pi", "kiosk", "spare"].map(|name| scene.of(name));
    for host in &hosts {
        host.settle().await;
    }
    tokio::time::advance(60 * SECOND).await;
    for host in &hosts {
        host.reconcile().await;
    }
    let before = scene.context.store.turns();
    write_last_seen(&scene.context).await.unwrap();
    let after = scene.context.store.turns();
    assert_eq!(
        (after.writes - before.writes, after.reads),
        (1, before.reads)
    );
    for host in &hosts {
        let last_seen = host.stored().on_disk.state.presence.last_seen;
        assert_eq!(last_seen, Some(scene.context.now()));
    }
    write_last_seen(&scene.context).await.unwrap();
    let writes = scene.context.store.turns().writes;
    assert_eq!(writes, after.writes, "there is nothing to write");
}

#[tokio::test(start_paused = true)]
async fn it_is_written_down_now_and_then_and_at_the_end() {
    let scene = scene(FLEET).await;
    scene.settle().await;
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keep_last_seen(Arc::clone(&scene.context), stop.clone()));
    let on_disk = || scene.stored().on_disk.state.presence.last_seen;
    tokio::time::sleep(SECOND).await;
    scene.reconcile().await;
    let first = scene.context.now();
    assert_ne!(on_disk(), Some(first));
    tokio::time::sleep(BETWEEN_WRITES).await;
    assert_eq!(on_disk(), Some(first));
    scene.reconcile().await;
    let last = scene.context.now();
    stop.cancel();
    keeping.await.unwrap();
    assert_eq!(on_disk(), Some(last));
}

#[tokio::test(start_paused = true)]
async fn the_state_is_pruned_now_and_then_until_we_end() {
    let scene = scene(FLEET).await;
    let stop = CancellationToken::new();
    let pruning = tokio::spawn(prune(Arc::clone(&scene.context), stop.clone()));
    tokio::time::sleep(SECOND).await;
    let writes = scene.context.store.turns().writes;
    tokio::time::sleep(BETWEEN_PRUNINGS).await;
    assert!(scene.context.store.turns().writes > writes);
    stop.cancel();
    pruning.await.unwrap();
}
