//! One run: a world, its days, and the calm after them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use desired_state::Store;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::Level;

use crate::controller::{self, Crashes};
use crate::forge::Forge;
use crate::invariants::bounds;
use crate::ledger::{Broken, Counts};
use crate::plan::Plan;
use crate::story::Story;
use crate::story::log::Log;
use crate::world::World;
use crate::{calm, mishaps, people};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its seed.
    pub seed: u64,
    /// The invariant that was broken, if one was.
    pub broken: Option<Broken>,
    /// How often things happened.
    pub counts: Counts,
    /// What happened.
    pub story: Arc<Story>,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder for the state could not be made.
    #[error("cannot make a folder for the state")]
    Folder(#[source] std::io::Error),
    /// There is no runtime.
    #[error("cannot start a runtime")]
    Runtime(#[source] std::io::Error),
    /// The state could not be opened.
    #[error("cannot open the state")]
    Store(#[source] desired_state::StoreError),
}

/// Simulates `plan`, with what the program logs at `level` in the story.
///
/// # Errors
/// When the machine that this runs on does not let us.
pub fn run(plan: Plan, level: Level) -> Result<Ended, RunError> {
    in_a_world(plan, level, Crashes::ByChance, |world, state| async move {
        days(&world, &state).await;
        if world.ledger.broken().is_none() {
            calm::begins(&world, &state).await;
            calm::every_host_converges(&world).await;
            // What has just been activated is being written down.
            sleep(bounds::turn(&world)).await;
            calm::every_deployment_is_told_once(&world).await;
            bounds::nothing_grows_without_end(&world, &state.join("state.db"));
        }
    })
}

/// Does something in a world with a controller that is killed so.
///
/// # Errors
/// When the machine that this runs on does not let us.
pub fn in_a_world<F>(
    plan: Plan,
    level: Level,
    crashes: Crashes,
    what: impl FnOnce(Arc<World>, PathBuf) -> F,
) -> Result<Ended, RunError>
where
    F: Future<Output = ()>,
{
    let folder = folder()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(RunError::Runtime)?;
    let seed = plan.seed;
    runtime.block_on(async {
        let witness = Store::open_inline(&folder.path().join("state.db")).await;
        let world = World::begin(plan, folder.path(), witness.map_err(RunError::Store)?);
        let log = Log::new(Arc::clone(&world.story), level);
        let _told = tracing::subscriber::set_default(log);
        let state = folder.path().to_owned();
        let mut controller = JoinSet::new();
        controller.spawn(controller::live_again_and_again(
            Arc::clone(&world),
            state.clone(),
            crashes,
        ));
        what(Arc::clone(&world), state).await;
        controller.shutdown().await;
        Ok(Ended {
            seed,
            broken: world.ledger.broken(),
            counts: world.ledger.counts(),
            story: Arc::clone(&world.story),
        })
    })
}

/// The days in which things go wrong, or as many of them as pass until an invariant is broken.
async fn days(world: &Arc<World>, state: &Path) {
    let mut happenings = JoinSet::new();
    happenings.spawn(Forge::new(Arc::clone(world)).push_now_and_then());
    happenings.spawn(people::ask_now_and_then(
        Arc::clone(world),
        state.to_owned(),
    ));
    happenings.spawn(mishaps::to_us(Arc::clone(world)));
    for host in world.hosts.values() {
        happenings.spawn(mishaps::to_a_host(Arc::clone(world), Arc::clone(host)));
    }
    let looking = Arc::clone(world);
    happenings.spawn(async move { bounds::are_kept(&looking).await });
    tokio::select! {
        biased;
        () = world.ledger.alarm.notified() => {}
        () = sleep(DAY * world.plan.days) => {}
    }
    happenings.shutdown().await;
}

/// In memory, where there is such a place: a run writes very often.
fn folder() -> Result<tempfile::TempDir, RunError> {
    let in_memory = tempfile::Builder::new()
        .prefix("simulation-")
        .tempdir_in("/dev/shm");
    in_memory
        .or_else(|_| tempfile::tempdir())
        .map_err(RunError::Folder)
}
