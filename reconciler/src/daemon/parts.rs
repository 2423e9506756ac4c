//! The parts of the daemon: each runs until it is stopped, and one that does not takes the others with it,
//! because half a daemon looks like a whole one.

use std::future::Future;

use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

/// A part of the daemon has ended, and nobody had stopped it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{part} has ended though nobody has stopped it: a fault of reconcile itself; start it again, and report it"
)]
pub struct PartEnded {
    part: String,
    #[source]
    fault: Option<JoinError>,
}

/// When a part may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MayEnd {
    /// When it is stopped.
    Stopped,
    /// When its work is done, but not by a fault of its own.
    Done,
}

/// Whatever runs in the daemon.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    // Each part has one: when there is none left, all have ended.
    ended: mpsc::Sender<PartEnded>,
    /// Stops them all.
    pub(super) stop: CancellationToken,
}

impl Parts {
    /// None yet; and where the first that ends by itself is told.
    pub(super) fn new() -> (Self, mpsc::Receiver<PartEnded>) {
        // Whoever is first takes the others with it.
        let (ended, first) = mpsc::channel(1);
        let parts = Self {
            ended,
            stop: CancellationToken::new(),
        };
        (parts, first)
    }

    /// Runs a part that ends when it is stopped.
    pub(super) fn run(&self, part: &str, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn(part.to_owned(), work, MayEnd::Stopped);
    }

    /// Runs a part that also ends when its work is done.
    pub(super) fn run_until_done(
        &self,
        part: String,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(part, work, MayEnd::Done);
    }

    /// Stops all parts and waits until they have ended.
    pub(super) async fn end(self, mut ended: mpsc::Receiver<PartEnded>) {
        self.stop.cancel();
        drop(self);
        while ended.recv().await.is_some() {}
    }

    fn spawn(
        &self,
        part: String,
        work: impl Future<Output = ()> + Send + 'static,
        may_end: MayEnd,
    ) {
        let (ended, stop) = (self.ended.clone(), self.stop.clone());
        tokio::spawn(async move {
            let fault = match tokio::spawn(work).await {
                Ok(()) if may_end == MayEnd::Done || stop.is_cancelled() => return,
                Ok(()) => None,
                Err(fault) => Some(fault),
            };
            // Full: another was first.
            let _ = ended.try_send(PartEnded { part, fault });
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::error_chain::error_chain;

    /// What is told first, in words.
    async fn next(first: &mut mpsc::Receiver<PartEnded>) -> String {
        let ended = tokio::time::timeout(Duration::from_secs(60), first.recv());
        error_chain(&ended.await.expect("it is told").expect("they run"))
    }

    /// What is told of a part that does this.
    async fn told(work: impl Future<Output = ()> + Send + 'static) -> String {
        let (parts, mut first) = Parts::new();
        parts.run("the loop", work);
        let said = next(&mut first).await;
        parts.end(first).await;
        said
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_ends_or_fails_by_itself_is_told_by_its_name() {
        let said = told(async {}).await;
        assert!(said.starts_with("the loop has ended"), "{said}");
        let said = told(async { panic!("the sky falls") }).await;
        assert!(
            said.contains("the loop") && said.contains("the sky falls"),
            "{said}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn parts_that_are_stopped_or_done_are_not_told_and_are_waited_for() {
        let (parts, mut first) = Parts::new();
        let has_ended = Arc::new(AtomicBool::new(false));
        let (stop, ends) = (parts.stop.clone(), Arc::clone(&has_ended));
        parts.run("the loop", async move {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            ends.store(true, Ordering::SeqCst);
        });
        parts.run_until_done("a watch".into(), async {});
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(first.try_recv().is_err());
        parts.end(first).await;
        assert!(has_ended.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_may_end_when_its_work_is_done_may_not_fail() {
        let (parts, mut first) = Parts::new();
        parts.run_until_done("a watch".into(), async { panic!("the sky falls") });
        assert!(next(&mut first).await.contains("a watch"));
        parts.end(first).await;
    }
}
