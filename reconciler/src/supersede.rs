//! Ends work that nobody wants any more.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deploy::Outcome;
use desired_state::{HostName, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::desired::{Desired, desired};
use crate::pass::Pass;

/// A host whose work has been ended again and again for this long gets one piece of work done to
/// its end: pushes that come faster than a build would else starve it for ever.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Since when each host's work has been superseded without any having been done.
#[derive(Debug, Default)]
pub struct Starving(Mutex<HashMap<HostName, Instant>>);

impl Starving {
    /// Work for `host` was ended before it was done.
    fn superseded(&self, host: &HostName, now: Instant) {
        self.hosts().entry(host.clone()).or_insert(now);
    }

    /// A pass over `host` has ended so; unless that was for the sake of another, it had its due.
    fn ended(&self, host: &HostName, outcome: Option<&Outcome>) {
        if outcome != Some(&Outcome::Superseded) {
            self.hosts().remove(host);
        }
    }

    fn is_out_of_patience(&self, host: &HostName, now: Instant) -> bool {
        self.hosts()
            .get(host)
            .is_some_and(|since| now.duration_since(*since) >= PATIENCE)
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<HostName, Instant>> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work` until it ends, or until something else is wanted of the host: then `None`, and the
/// work is dropped with every process it started.
///
/// # Errors
/// When the state cannot be read.
pub async fn unless_superseded<T>(
    pass: &Pass,
    wanted: &Desired,
    work: impl Future<Output = T>,
) -> Result<Option<T>, StoreError> {
    let superseded = superseded(pass, wanted, pass.world.wish_changes());
    // Both are always polled: while one waits for the state, the other may be who holds it.
    tokio::select! {
        done = work => Ok(Some(done)),
        ended = superseded => ended.map(|()| None),
    }
}

/// Returns when something else than `wanted` is wanted of the host.
///
/// # Errors
/// When the state cannot be read.
async fn superseded(
    pass: &Pass,
    wanted: &Desired,
    mut changes: watch::Receiver<()>,
) -> Result<(), StoreError> {
    loop {
        // The sender lives as long as the world, so this never fails.
        let _ = changes.changed().await;
        if is_superseded(pass, wanted).await? {
            return Ok(());
        }
    }
}

/// Whether something else than `wanted` is wanted of the host by now.
///
/// # Errors
/// When the state cannot be read.
pub async fn is_superseded(pass: &Pass, wanted: &Desired) -> Result<bool, StoreError> {
    // A person who holds the host back is not one more push.
    if is_held_back(pass).await? {
        return Ok(true);
    }
    let starving = &pass.world.starving;
    if starving.is_out_of_patience(&pass.host, Instant::now()) || is_wanted(pass, wanted).await? {
        return Ok(false);
    }
    starving.superseded(&pass.host, Instant::now());
    Ok(true)
}

/// The pass has ended so.
pub fn ended(pass: &Pass, outcome: Option<&Outcome>) {
    pass.world.starving.ended(&pass.host, outcome);
}

/// Whether the host is suspended by now, or of no fleet of ours any more.
async fn is_held_back(pass: &Pass) -> Result<bool, StoreError> {
    if pass.world.setup().host(&pass.host).is_none() {
        return Ok(true);
    }
    let suspension = pass.world.store.suspended(&pass.host).await?;
    Ok(suspension.is_some() && !pass.asked().is_forced())
}

async fn is_wanted(pass: &Pass, wanted: &Desired) -> Result<bool, StoreError> {
    let setup = pass.world.setup();
    let Some(config) = setup.host(&pass.host) else {
        return Ok(false);
    };
    let now_wanted = desired(&pass.world, &pass.host, config, pass.order.as_ref()).await?;
    Ok(now_wanted.is_ok_and(|now_wanted| now_wanted.target == *wanted.asked_for()))
}

#[cfg(test)]
mod tests {
    use desired_state::{BranchState, Cause, Wish};

    use super::*;
    use crate::testing::world;

    #[test]
    fn endless_pushes_exhaust_the_patience_and_work_done_restores_it() {
        let host: HostName = "cyt-pi".parse().unwrap();
        let starving = Starving::default();
        let start = Instant::now();
        starving.superseded(&host, start);
        starving.ended(&host, Some(&Outcome::Superseded));
        starving.superseded(&host, start + PATIENCE / 2);
        assert!(!starving.is_out_of_patience(&host, start + PATIENCE / 2));
        assert!(starving.is_out_of_patience(&host, start + PATIENCE));
        starving.ended(&host, None);
        assert!(!starving.is_out_of_patience(&host, start + PATIENCE));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_reads_the_state_is_not_stopped_by_looking_whether_it_is_still_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let world = world(folder.path(), "[hosts.cyt-pi]").await;
        let host: HostName = "cyt-pi".parse().unwrap();
        let pass = Pass::new(&world, &host, None).unwrap();
        let wish = Wish {
            host: host.clone(),
            repository: pass.config.repository.clone(),
            branch: pass.config.branch.clone(),
            revision: Some("a".repeat(40).parse().unwrap()),
            branch_state: BranchState::Present,
            cause: Cause::Poll,
            requested_at: crate::clock::now(),
            recorded_at: crate::clock::now(),
        };
        world.store.set_wish(&wish).await.unwrap();
        let wanted = desired(&world, &host, &pass.config, None)
            .await
            .unwrap()
            .unwrap();

        let others = tokio::spawn(async move {
            loop {
                world.wishes_changed();
                tokio::task::yield_now().await;
            }
        });
        let work = async {
            for _ in 0..300 {
                pass.world.store.wish(&host).await.unwrap();
            }
        };
        let done = tokio::time::timeout(
            Duration::from_secs(30),
            unless_superseded(&pass, &wanted, work),
        );
        assert_eq!(done.await.expect("it ends").unwrap(), Some(()));
        others.abort();
    }
}
