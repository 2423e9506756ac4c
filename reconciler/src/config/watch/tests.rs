//! Real files, changed in all the ways in which people and programs change them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::config::load;

/// Far longer than any change takes to be seen; only a failing test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Short, so that tests are quick; re-reading is so rare that only events can explain a report.
const SETTINGS: WatchSettings = WatchSettings {
    quiet: Duration::from_millis(50),
    longest: Duration::from_millis(500),
    reread: Duration::from_secs(3600),
};

fn text(interval: &str, secret: &str) -> String {
    format!(
        "state_directory = \"state\"\n[webhook]\nsecret_files = [{secret:?}]\n\
         [repositories.\"a/b\"]\nurl = \"file:///srv/b\"\n[defaults]\ninterval = {interval:?}\n[hosts.h]\n"
    )
}

/// A folder with a configuration and a secret, and what is reported about them.
struct Fixture {
    folder: TempDir,
    changes: mpsc::Receiver<Change>,
}

impl Fixture {
    /// Both files as they are on a plain machine.
    fn plain() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("reconcile.toml"), text("1m", "secret")).unwrap();
        fs::write(folder.path().join("secret"), "first secret, long enough\n").unwrap();
        Fixture::watching(folder)
    }

    fn watching(folder: TempDir) -> Fixture {
        let loaded = load(&folder.path().join("reconcile.toml"), &Environment::new()).unwrap();
        let changes = watch(Arc::new(loaded), Environment::new(), SETTINGS);
        Fixture { folder, changes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// As most editors save.
    fn rename_over(&self, name: &str, contents: &str) {
        self.write(".tmp", contents);
        fs::rename(self.path(".tmp"), self.path(name)).unwrap();
    }

    async fn next(&mut self) -> Change {
        let next = tokio::time::timeout(DEADLINE, self.changes.recv()).await;
        next.expect("a change in time").expect("the watch goes on")
    }

    /// Waits for a new configuration, and checks its interval.
    async fn reloaded(&mut self, seconds: u64) {
        match self.next().await {
            Change::Reloaded(loaded) => {
                assert_eq!(
                    loaded.config.hosts.values().next().unwrap().reach.interval,
                    Duration::from_secs(seconds)
                );
            }
            other => panic!("a reload was expected: {other:?}"),
        }
    }

    /// Waits for a refusal, and returns its message.
    async fn refused(&mut self) -> String {
        match self.next().await {
            Change::Refused(mistakes) => mistakes.to_string(),
            other => panic!("a refusal was expected: {other:?}"),
        }
    }

    /// Waits for a changed secret, and checks which.
    async fn secret_changed(&mut self, name: &str) {
        match self.next().await {
            Change::SecretsChanged(paths) => assert_eq!(paths, [self.path(name)]),
            other => panic!("a changed secret was expected: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_written_in_place_is_taken_up() {
    let mut fixture = Fixture::plain();
    for minutes in 2..5 {
        fixture.write("reconcile.toml", &text(&format!("{minutes}m"), "secret"));
        fixture.reloaded(minutes * 60).await;
    }
}

#[tokio::test]
async fn a_file_renamed_over_is_taken_up_each_time() {
    let mut fixture = Fixture::plain();
    for minutes in 2..5 {
        fixture.rename_over("reconcile.toml", &text(&format!("{minutes}m"), "secret"));
        fixture.reloaded(minutes * 60).await;
    }
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_taken_up_at_each_swap() {
    /// What the kubelet does (`AtomicWriter` in its `pkg/volume/util/atomic_writer.go`).
    fn publish(root: &Path, version: &str, interval: &str) {
        let folder = root.join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("reconcile.toml"), text(interval, "secret")).unwrap();
        fs::write(folder.join("secret"), format!("secret of {version}")).unwrap();
        let before = root.join("..data").read_link();
        symlink(version, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        if let Ok(before) = before {
            fs::remove_dir_all(root.join(before)).unwrap();
        }
    }

    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "..2026_1", "1m");
    for name in ["reconcile.toml", "secret"] {
        symlink(Path::new("..data").join(name), folder.path().join(name)).unwrap();
    }
    let mut fixture = Fixture::watching(folder);
    for minutes in 2..5 {
        publish(
            fixture.folder.path(),
            &format!("..2026_{minutes}"),
            &format!("{minutes}m"),
        );
        fixture.reloaded(minutes * 60).await;
        fixture.secret_changed("secret").await;
    }
}

#[tokio::test]
async fn a_bad_edit_changes_nothing_and_a_good_one_afterwards_counts() {
    let mut fixture = Fixture::plain();
    fixture.rename_over("reconcile.toml", &text("2", "secret"));
    assert!(fixture.refused().await.contains("`2` has no unit"));
    fixture.write("reconcile.toml", &text("1", "secret"));
    assert!(fixture.refused().await.contains("`1` has no unit"));
    // Back to what is in force: said too, so that the alarm can end.
    fixture.write("reconcile.toml", &text("1m", "secret"));
    fixture.reloaded(60).await;
}

#[tokio::test]
async fn a_configuration_that_is_removed_is_refused_and_taken_up_when_it_is_back() {
    let mut fixture = Fixture::plain();
    fs::remove_file(fixture.path("reconcile.toml")).unwrap();
    assert!(fixture.refused().await.contains("cannot be read"));
    fixture.write("reconcile.toml", &text("3m", "secret"));
    fixture.reloaded(180).await;
}

#[tokio::test]
async fn a_rotated_secret_is_told() {
    let mut fixture = Fixture::plain();
    fixture.rename_over("secret", "second secret, long enough");
    fixture.secret_changed("secret").await;
    fixture.write("secret", "third secret, long enough");
    fixture.secret_changed("secret").await;
}

#[tokio::test]
async fn a_secret_that_is_removed_and_made_again_is_told_both_times() {
    let mut fixture = Fixture::plain();
    fs::remove_file(fixture.path("secret")).unwrap();
    fixture.secret_changed("secret").await;
    fixture.write("secret", "second secret, long enough");
    fixture.secret_changed("secret").await;
}

#[tokio::test]
async fn files_that_a_new_configuration_names_are_followed_from_then_on() {
    let mut fixture = Fixture::plain();
    fs::create_dir(fixture.path("elsewhere")).unwrap();
    fixture.write("elsewhere/new", "a secret, long enough");
    fixture.write("reconcile.toml", &text("2m", "elsewhere/new"));
    fixture.reloaded(120).await;
    fixture.write("elsewhere/new", "another secret, long enough");
    fixture.secret_changed("elsewhere/new").await;
}

#[tokio::test]
async fn a_configuration_that_names_a_missing_file_is_taken_up_when_the_file_comes() {
    let mut fixture = Fixture::plain();
    fixture.write("reconcile.toml", &text("2m", "not/yet/there"));
    assert!(fixture.refused().await.contains("not/yet/there"));
    fs::create_dir_all(fixture.path("not/yet")).unwrap();
    fixture.write("not/yet/there", "a secret, long enough");
    fixture.reloaded(120).await;
}

#[tokio::test]
async fn a_folder_that_is_removed_and_made_again_is_followed_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    fs::write(
        folder.path().join("reconcile.toml"),
        text("1m", "secrets/a"),
    )
    .unwrap();
    fs::write(folder.path().join("secrets/a"), "first secret, long enough").unwrap();
    let mut fixture = Fixture::watching(folder);
    for round in 1..4 {
        fs::remove_dir_all(fixture.path("secrets")).unwrap();
        fixture.secret_changed("secrets/a").await;
        fs::create_dir(fixture.path("secrets")).unwrap();
        fixture.write("secrets/a", &format!("secret of round {round}"));
        fixture.secret_changed("secrets/a").await;
    }
}

#[tokio::test]
async fn a_busy_folder_cannot_keep_a_change_from_being_seen() {
    let mut fixture = Fixture::plain();
    let noise = fixture.path("noise");
    let busy = tokio::spawn(async move {
        loop {
            fs::write(&noise, "x").unwrap();
            tokio::time::sleep(SETTINGS.quiet / 10).await;
        }
    });
    fixture.write("reconcile.toml", &text("2m", "secret"));
    fixture.reloaded(120).await;
    busy.abort();
}

#[tokio::test]
async fn without_events_the_files_are_read_again_all_the_same() {
    let mut fixture = Fixture::plain();
    let loaded = load(&fixture.path("reconcile.toml"), &Environment::new()).unwrap();
    let settings = WatchSettings {
        reread: Duration::from_millis(20),
        ..SETTINGS
    };
    let (_nudge, nudges) = mpsc::channel(1);
    fixture.changes = start(Arc::new(loaded), Environment::new(), settings, None, nudges);
    fixture.rename_over("secret", "second secret, long enough");
    fixture.secret_changed("secret").await;
    fixture.write("reconcile.toml", &text("2m", "secret"));
    // A look between truncation and writing sees an empty file, which is refused and then mended.
    let mut change = fixture.next().await;
    if matches!(change, Change::Refused(_)) {
        change = fixture.next().await;
    }
    assert!(matches!(change, Change::Reloaded(_)), "{change:?}");
}

#[tokio::test]
async fn the_watch_ends_with_its_receiver() {
    let fixture = Fixture::plain();
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(fixture);
    let ended = async {
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, ended)
        .await
        .expect("the task ends");
}

#[test]
fn what_is_written_again_unchanged_is_no_news_nor_is_a_refusal_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (
        folder.path().join("reconcile.toml"),
        folder.path().join("secret"),
    );
    fs::write(&file, text("1m", "secret")).unwrap();
    fs::write(&secret, "first secret, long enough").unwrap();
    let loaded = load(&file, &Environment::new()).unwrap();
    let mut follower = Follower::new(Arc::new(loaded), Environment::new());
    assert!(follower.look().is_empty());
    fs::write(&file, text("1m", "secret")).unwrap();
    fs::write(&secret, "first secret, long enough").unwrap();
    assert!(follower.look().is_empty());
    fs::write(&file, text("1", "secret")).unwrap();
    assert!(matches!(follower.look()[..], [Change::Refused(_)]));
    assert!(follower.look().is_empty());
    fs::write(&secret, "second secret, long enough").unwrap();
    assert!(matches!(follower.look()[..], [Change::SecretsChanged(_)]));
    fs::write(&file, text("1m", "secret")).unwrap();
    assert!(matches!(follower.look()[..], [Change::Reloaded(_)]));
    assert!(follower.look().is_empty());
}
