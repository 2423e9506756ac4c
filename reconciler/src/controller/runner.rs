//! Reconciles one host at most once at a time, and different hosts side by side.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use desired_state::HostName;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::context::Waker;

/// After a pass that panicked: long enough that a fault in us cannot hammer a host.
const AFTER_PANIC: Duration = Duration::from_secs(300);

/// The loop turns at least this often, though nothing is due: it is waited for twice as long, ten seconds, before
/// it counts as stuck, and a turn costs some microseconds.
pub const BETWEEN_TURNS: Duration = Duration::from_secs(5);

/// What is told, and how often at least, that the loop turns.
#[derive(Debug)]
pub struct Heartbeat<T> {
    /// Called at each turn, by the loop itself: what it says cannot go on while the loop hangs.
    pub turned: T,
    /// The longest time between two turns.
    pub every: Duration,
}

impl Heartbeat<fn()> {
    /// One that nobody listens to.
    pub fn unheard() -> Self {
        Self {
            turned: || (),
            every: BETWEEN_TURNS,
        }
    }
}

/// Runs `pass` for each host that is due until `shutdown`; passes that run then are dropped.
///
/// A pass returns when its host is to be looked at again, or `None` if never (it left the fleet).
/// Dropping a pass is safe at any instant: an activation goes on by itself on its host, and the
/// next start finds it again.
pub async fn run<P, F, T>(
    waker: &Waker,
    pass: P,
    mut heartbeat: Heartbeat<T>,
    shutdown: impl Future<Output = ()>,
) where
    P: Fn(HostName) -> F,
    F: Future<Output = Option<Duration>> + Send + 'static,
    T: FnMut(),
{
    let mut running: JoinSet<Option<Duration>> = JoinSet::new();
    let mut hosts = HashMap::new();
    tokio::pin!(shutdown);
    loop {
        for host in waker.queue().take_due(Instant::now()) {
            let handle = running.spawn(pass(host.clone()));
            hosts.insert(handle.id(), host);
        }
        (heartbeat.turned)();
        let turn = Instant::now() + heartbeat.every;
        let next = waker.queue().next_due().map_or(turn, |due| due.min(turn));
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            () = waker.knocked() => {}
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
                    waker.queue().finished(host, next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

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
                Heartbeat::unheard(),
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

    /// Starts a loop without hosts that counts its turns.
    fn start_counting(every: Duration) -> (Waker, Arc<AtomicU32>) {
        let (waker, turns) = (Waker::default(), Arc::new(AtomicU32::new(0)));
        let (for_runner, counted) = (waker.clone(), Arc::clone(&turns));
        tokio::spawn(async move {
            let heartbeat = Heartbeat {
                turned: || {
                    counted.fetch_add(1, Ordering::SeqCst);
                },
                every,
            };
            let never = |_| std::future::pending();
            run(&for_runner, never, heartbeat, std::future::pending()).await;
        });
        (waker, turns)
    }

    #[tokio::test(start_paused = true)]
    async fn the_loop_turns_every_few_seconds_though_nothing_is_due() {
        let (waker, turns) = start_counting(BETWEEN_TURNS);
        waker.wake_at(&host("a"), Instant::now() + Duration::from_secs(7200));
        tokio::time::sleep(Duration::from_secs(3601)).await;
        let turns = turns.load(Ordering::SeqCst);
        assert!((720..=725).contains(&turns), "{turns} turns in an hour");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_loop_that_cannot_take_hosts_from_the_queue_does_not_turn() {
        const EVERY: Duration = Duration::from_millis(1);
        let (waker, turns) = start_counting(EVERY);
        while turns.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(EVERY).await;
        }
        let queue = waker.queue();
        let before = turns.load(Ordering::SeqCst);
        // What counts by itself would count fifty more; the loop had at most one turn under way.
        std::thread::sleep(50 * EVERY);
        let after = turns.load(Ordering::SeqCst);
        drop(queue);
        assert!(after <= before + 1, "{before} turns, then {after}");
    }
}
