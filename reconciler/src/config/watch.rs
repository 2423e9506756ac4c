//! Takes up changes of the configuration, and of the files it names, without a restart.
//!
//! # Guarantees
//! - What is reported differs from what was reported last; an unchanged file is never news.
//! - A configuration that does not parse or check changes nothing and is reported once; when the cause goes away,
//!   in the file or in a file that it names, the configuration is taken up.
//! - No change is lost for long: events of the kernel are only a hint to look, and every [`WatchSettings::reread`]
//!   is one too (inotify sees nothing of what another machine does on a network file system, `inotify(7)`).
//!
//! # Caveats
//! A Kubernetes volume mounted with `subPath` never changes while the pod lives: mount the folder.

mod change;
mod folders;
mod follower;

use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use super::loaded::Loaded;
use super::reader::Environment;
pub use change::Change;
use folders::Folders;
use follower::Follower;

/// How many reports wait for a reader: it reads one at a time, and each is small.
const REPORTS: usize = 16;

/// How changes are waited for.
#[derive(Debug, Clone, Copy)]
pub struct WatchSettings {
    /// How long nothing must happen before we look: one save of an editor is several events.
    pub quiet: Duration,
    /// After this we look even while things happen, so that a busy folder cannot keep a change from us.
    pub longest: Duration,
    /// How often we look without any event.
    pub reread: Duration,
}

impl Default for WatchSettings {
    fn default() -> WatchSettings {
        WatchSettings {
            quiet: Duration::from_millis(200),
            longest: Duration::from_secs(2),
            reread: Duration::from_secs(60),
        }
    }
}

/// Follows the file of `loaded` and the files it names, from what `loaded` holds on; ends when the receiver is
/// dropped.
///
/// To be called within a tokio runtime, and before the named files are read, so that no change falls between.
/// Where the kernel's events cannot be had, a warning is logged and re-reading remains.
pub fn watch(
    loaded: Arc<Loaded>,
    environment: Environment,
    settings: WatchSettings,
) -> mpsc::Receiver<Change> {
    let (nudge, nudges) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_mere_reading(&event.kind)) {
            return;
        }
        // A full channel holds a nudge already, and a closed one has nobody to nudge.
        let _ = nudge.try_send(());
    });
    let watcher = watcher
        .inspect_err(|error| {
            tracing::warn!(%error, "changes of the configuration are seen only every {:?}", settings.reread);
        })
        .ok();
    start(loaded, environment, settings, watcher, nudges)
}

fn start(
    loaded: Arc<Loaded>,
    environment: Environment,
    settings: WatchSettings,
    watcher: Option<RecommendedWatcher>,
    nudges: mpsc::Receiver<()>,
) -> mpsc::Receiver<Change> {
    let (sender, receiver) = mpsc::channel(REPORTS);
    let mut folders = Folders::new(watcher);
    folders.follow(loaded.files());
    let follower = Follower::new(loaded, environment);
    tokio::spawn(run(Watched { folders, follower }, settings, nudges, sender));
    receiver
}

struct Watched {
    folders: Folders,
    follower: Follower,
}

impl Watched {
    /// Folders first: what changes after they are watched is an event, what changed before is seen by looking.
    fn look(mut self) -> (Watched, Vec<Change>) {
        self.folders.follow(self.follower.followed());
        let changes = self.follower.look();
        if changes
            .iter()
            .any(|change| matches!(change, Change::Reloaded(_) | Change::Refused(_)))
        {
            self.folders.follow(self.follower.followed());
        }
        (self, changes)
    }
}

async fn run(
    mut watched: Watched,
    settings: WatchSettings,
    mut nudges: mpsc::Receiver<()>,
    sender: mpsc::Sender<Change>,
) {
    let mut reread = interval_at(Instant::now() + settings.reread, settings.reread);
    reread.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = sender.closed() => return,
            Some(()) = nudges.recv() => settle(&mut nudges, settings).await,
            _ = reread.tick() => {}
        }
        // It fails only when the runtime ends.
        let Ok((after, changes)) = tokio::task::spawn_blocking(move || watched.look()).await else {
            return;
        };
        watched = after;
        for change in changes {
            if sender.send(change).await.is_err() {
                return;
            }
        }
    }
}

/// Waits until nothing has happened for `quiet`, or `longest` is over.
async fn settle(nudges: &mut mpsc::Receiver<()>, settings: WatchSettings) {
    let end = Instant::now() + settings.longest;
    while Instant::now() < end {
        let quiet = end.min(Instant::now() + settings.quiet);
        if !matches!(timeout_at(quiet, nudges.recv()).await, Ok(Some(()))) {
            return;
        }
    }
}

/// Whether an event changes nothing, such as our own reading.
fn is_mere_reading(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests;
