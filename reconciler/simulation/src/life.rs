//! One life of the controller, which may end at any of its points.
//!
//! A point is wherever the real process can be killed and the difference be seen: each poll of its futures, each turn of
//! its store, and before and after whatever it does to the outside.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::generator::Generator;

/// How often others run first at a point, as they may while a real store or network works.
const YIELDS: f64 = 0.1;

/// One life of the controller.
#[derive(Debug)]
pub struct Life {
    number: u64,
    points: AtomicU64,
    dies_at: AtomicU64,
    is_over: AtomicBool,
    over: Notify,
    slow_turns: (f64, Duration),
    generator: Mutex<Generator>,
}

impl Life {
    /// The life of this number, which ends at its point `dies_at`.
    pub fn new(
        number: u64,
        dies_at: u64,
        slow_turns: (f64, Duration),
        generator: Generator,
    ) -> Arc<Self> {
        Arc::new(Self {
            number,
            points: AtomicU64::new(0),
            dies_at: AtomicU64::new(dies_at),
            is_over: AtomicBool::new(false),
            over: Notify::new(),
            slow_turns,
            generator: Mutex::new(generator),
        })
    }

    /// Which one it is, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether it has ended. Nothing of it runs any more.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Ends it, as `kill -9` does.
    pub fn kill(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.over.notify_waiters();
    }

    /// How many points it has passed.
    pub fn points(&self) -> u64 {
        self.points.load(Ordering::SeqCst)
    }

    /// Returns once it has ended.
    pub async fn ended(&self) {
        let over = self.over.notified();
        if !self.is_over() {
            over.await;
        }
    }

    /// Passes a point; gives whether it still goes on.
    fn passes(&self) -> bool {
        if self.is_over() {
            return false;
        }
        let point = self.points.fetch_add(1, Ordering::SeqCst);
        if point >= self.dies_at.load(Ordering::SeqCst) {
            self.kill();
        }
        !self.is_over()
    }

    /// A turn of the store, which is a point too.
    pub async fn turn(&self) {
        self.point().await;
        let slow = {
            let mut generator = self.generator.lock();
            let is_slow = generator.chance(self.slow_turns.0);
            is_slow.then(|| generator.between(Duration::from_millis(1), self.slow_turns.1))
        };
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
    }

    /// A point; never returns where it ends there.
    pub async fn point(&self) {
        if !self.passes() {
            return std::future::pending().await;
        }
        if self.generator.lock().chance(YIELDS) {
            tokio::task::yield_now().await;
        }
    }
}

/// Something that ends with a life: from then on it is not polled any more.
#[derive(Debug)]
pub struct Mortal<F> {
    life: Arc<Life>,
    work: Pin<Box<F>>,
}

impl<F> Mortal<F> {
    /// Of this life.
    pub fn of(life: &Arc<Life>, work: F) -> Self {
        Self {
            life: Arc::clone(life),
            work: Box::pin(work),
        }
    }
}

impl<F: Future> Future for Mortal<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.life.passes() {
            self.work.poll_unpin(context)
        } else {
            Poll::Pending
        }
    }
}
