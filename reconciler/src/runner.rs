//! Runs one pass at a time over each host, and passes over different hosts side by side.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use desired_state::HostName;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::schedule::Schedule;

/// After a pass that panicked: long enough that a fault in us cannot hammer a host.
const AFTER_PANIC: Duration = Duration::from_secs(300);

/// Sleeping with nothing due: the next request wakes the runner, so any long time does.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// Asks for looks at hosts; clones share one schedule.
#[derive(Debug, Clone, Default)]
pub struct Waker {
    schedule: Arc<Mutex<Schedule>>,
    knocked: Arc<Notify>,
}

impl Waker {
    /// Asks for a look at `host` now.
    pub fn wake(&self, host: &HostName) {
        self.wake_at(host, Instant::now());
    }

    /// Asks for a look at `host` at `at`.
    pub fn wake_at(&self, host: &HostName, at: Instant) {
        self.schedule().request(host.clone(), at);
        self.knocked.notify_one();
    }

    /// Stops looking at a host that left the fleet.
    pub fn forget(&self, host: &HostName) {
        self.schedule().forget(host);
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        // The schedule is whole between any two statements, so a poisoned lock is still good.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `pass` for each host that is due until `shutdown`; passes that run then are dropped.
///
/// A pass returns when its host is to be looked at again, or `None` if never (it left the fleet).
/// Dropping a pass is safe at any instant: an activation goes on by itself on its host, and the
/// next start finds it again.
pub async fn run<P, F>(waker: &Waker, pass: P, shutdown: impl Future<Output = ()>)
where
    P: Fn(HostName) -> F,
    F: Future<Output = Option<Duration>> + Send + 'static,
{
    let mut running: JoinSet<Option<Duration>> = JoinSet::new();
    let mut hosts = std::collections::HashMap::new();
    tokio::pin!(shutdown);
    loop {
        for host in waker.schedule().take_due(Instant::now()) {
            let handle = running.spawn(pass(host.clone()));
            hosts.insert(handle.id(), host);
        }
        let next = waker
            .schedule()
            .next_due()
            .unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        tokio::select! {
            () = &mut shutdown => return,
            () = waker.knocked.notified() => {}
            () = tokio::time::sleep_until(next) => {}
            Some(ended) = running.join_next_with_id() => {
                let (id, next) = match ended {
                    Ok((id, next)) => (id, next),
                    Err(error) => {
                        tracing::error!(%error, "a pass ended by a fault of its own");
                        (error.id(), Some(AFTER_PANIC))
                    }
                };
                if let Some(host) = hosts.remove(&id) {
                    let next = next.map(|wait| Instant::now() + wait);
                    waker.schedule().finished(host, next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::sync::mpsc;

    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    /// Runs passes that take as long as `cost` says, and reports when each began.
    fn start(
        cost: BTreeMap<&'static str, u64>,
        interval: u64,
    ) -> (Waker, mpsc::UnboundedReceiver<(String, u64)>) {
        let waker = Waker::default();
        let (report, began) = mpsc::unbounded_channel();
        let origin = Instant::now();
        let for_runner = waker.clone();
        tokio::spawn(async move {
            run(
                &for_runner,
                move |host| {
                    let report = report.clone();
                    let cost = cost.get(host.as_ref()).copied().unwrap_or(0);
                    async move {
                        let _ = report.send((host.to_string(), origin.elapsed().as_secs()));
                        tokio::time::sleep(Duration::from_secs(cost)).await;
                        assert!(cost != 13, "a pass of 13 seconds is a fault");
                        Some(Duration::from_secs(interval))
                    }
                },
                std::future::pending(),
            )
            .await;
        });
        (waker, began)
    }

    async fn next(began: &mut mpsc::UnboundedReceiver<(String, u64)>) -> (String, u64) {
        tokio::time::timeout(Duration::from_secs(7200), began.recv())
            .await
            .expect("a pass begins")
            .expect("the runner runs")
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_looked_at_again_after_its_interval() {
        let (waker, mut began) = start(BTreeMap::new(), 60);
        waker.wake(&host("a"));
        assert_eq!(next(&mut began).await, ("a".into(), 0));
        assert_eq!(next(&mut began).await, ("a".into(), 60));
        assert_eq!(next(&mut began).await, ("a".into(), 120));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_host_does_not_delay_another() {
        let (waker, mut began) = start(BTreeMap::from([("slow", 1000)]), 60);
        waker.wake(&host("slow"));
        waker.wake(&host("fast"));
        let mut first = [next(&mut began).await, next(&mut began).await];
        first.sort();
        assert_eq!(first, [("fast".into(), 0), ("slow".into(), 0)]);
        assert_eq!(next(&mut began).await, ("fast".into(), 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_during_a_pass_is_kept_and_runs_right_after_it() {
        let (waker, mut began) = start(BTreeMap::from([("a", 10)]), 60);
        waker.wake(&host("a"));
        assert_eq!(next(&mut began).await, ("a".into(), 0));
        waker.wake(&host("a"));
        assert_eq!(next(&mut began).await, ("a".into(), 10));
        assert_eq!(next(&mut began).await, ("a".into(), 80));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_panics_takes_nothing_else_down_and_is_tried_again_later() {
        let (waker, mut began) = start(BTreeMap::from([("a", 13)]), 60);
        waker.wake(&host("a"));
        assert_eq!(next(&mut began).await, ("a".into(), 0));
        assert_eq!(
            next(&mut began).await,
            ("a".into(), 13 + AFTER_PANIC.as_secs())
        );
    }
}
