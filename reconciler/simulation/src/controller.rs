//! The controller: what `reconcile serve` runs, over the simulated world, killed again and again.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use desired_state::{HostName, Store};
use planning::model::report::What;
use reconciler::context::Context;
use reconciler::controller::deliveries::Receiver;
use reconciler::controller::reconcile::reconcile;
use reconciler::controller::runner::{self, Heartbeat};
use reconciler::controller::{own_store, sources, upkeep};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use warp::Filter as _;
use webhook::{ReceiverSettings, Secret, Secrets};

use crate::forge;
use crate::generator::Generator;
use crate::life::{Life, Mortal};
use crate::ports::Simulated;
use crate::ports::store::Disk;
use crate::world::{Running, World};

/// The loop says that it turns, which only the service manager is told.
const BETWEEN_TURNS: Duration = Duration::from_secs(600);
/// The largest body of a delivery.
const BODY_LIMIT: u64 = 1 << 20;
/// How many points a life has: few, to be killed in the middle of a start, or a day's.
const POINTS: (u64, u64) = (20, 150_000);
/// How long it takes until it is started again.
const DOWN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(20 * 60));

/// How the controller is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crashes {
    /// Never.
    Never,
    /// By chance, at any point.
    ByChance,
    /// Once, at this point of its first life.
    OnceAt(u64),
}

/// Lives again and again, for ever.
pub async fn live_again_and_again(world: Arc<World>, state: std::path::PathBuf, crashes: Crashes) {
    let mut generator = Generator::new(world.plan.seed, "crashes");
    for number in 1.. {
        let dies_at = dies_at(&world, &mut generator, crashes, number);
        let of_life = Generator::new(world.plan.seed, &format!("life {number}"));
        let life = Life::new(number, dies_at, world.plan.slow_turns, of_life);
        if let Err(error) = live(&world, &life, &state).await {
            world.ledger.breaks("starts_again", None, error);
            return;
        }
        world.ledger.count(|counts| counts.crashes += 1);
        let down = match crashes {
            Crashes::ByChance => generator.between(DOWN.0, DOWN.1),
            _ => DOWN.0,
        };
        world.story.tell(
            "controller",
            &format!("is killed at its point {}", life.points()),
        );
        sleep(down).await;
    }
}

fn dies_at(world: &World, generator: &mut Generator, crashes: Crashes, life: u64) -> u64 {
    match crashes {
        Crashes::Never => u64::MAX,
        Crashes::OnceAt(point) if life == 1 => point,
        Crashes::OnceAt(_) => u64::MAX,
        Crashes::ByChance => {
            let share = world.plan.hosts.len().max(10) as f64 / 10.0;
            let (from, to) = (POINTS.0 as f64, POINTS.1 as f64 * share);
            (from * (to / from).powf(generator.unit())) as u64
        }
    }
}

/// Lives once, until its life ends.
async fn live(world: &Arc<World>, life: &Arc<Life>, state: &Path) -> Result<(), String> {
    let gate = Arc::new(Disk::new(Arc::clone(world), Arc::clone(life)));
    let store = Store::open_gated(&state.join("state.db"), gate).await;
    let store = store.map_err(|error| error.to_string())?;
    let edits = world.edits.lock().clone();
    let config = world.plan.config(state, &edits)?;
    let outside = Simulated::new(Arc::clone(world), Arc::clone(life));
    let context =
        Context::over(config, store, Arc::new(outside)).map_err(|error| error.to_string())?;
    let secret = Secret::new(forge::SECRET).and_then(|secret| Secrets::new(vec![secret]));
    let secrets = secret.map_err(|error| error.to_string())?;
    let receiver = Arc::new(Receiver::new(Arc::clone(&context), secrets));
    let settings = ReceiverSettings {
        path: forge::PATH.to_owned(),
        body_limit: BODY_LIMIT,
    };
    forget_the_last_life(world);
    let mut parts = JoinSet::new();
    start(&mut parts, world, &context, life);
    world
        .story
        .tell("controller", &format!("begins its life {}", life.number()));
    world.set_running(Some(Running {
        context,
        life: Arc::clone(life),
        hook: webhook::routes(settings, receiver).boxed(),
    }));
    life.ended().await;
    world.set_running(None);
    parts.shutdown().await;
    Ok(())
}

/// What is known in memory only.
fn forget_the_last_life(world: &World) {
    for (name, host) in &world.hosts {
        let mut known = world.ledger.of(name);
        known.reconciling = 0;
        known.orders.clear();
        drop(known);
        let mut state = host.state();
        state.is_warm = false;
        state.sessions.clear();
    }
}

/// What `reconcile serve` starts, but for its listeners and the watch over its files.
fn start(parts: &mut JoinSet<()>, world: &Arc<World>, context: &Arc<Context>, life: &Arc<Life>) {
    let stop = CancellationToken::new();
    let follow = follow_orders(Arc::clone(world), Arc::clone(context));
    run(parts, life, follow);
    for name in context.clients().repositories.keys() {
        run(
            parts,
            life,
            sources::watch(Arc::clone(context), name.clone()),
        );
    }
    let shared = || (Arc::clone(context), stop.clone());
    let (with, until) = shared();
    run(parts, life, upkeep::prune(with, until));
    let (with, until) = shared();
    run(parts, life, upkeep::keep_last_seen(with, until));
    let (with, until) = shared();
    run(parts, life, own_store::look_after(with, until));
    for host in context.clients().config.hosts.keys() {
        context.waker.wake(host);
    }
    let (world, context, of_life) = (Arc::clone(world), Arc::clone(context), Arc::clone(life));
    let waker = context.waker.clone();
    run(parts, life, async move {
        let one = move |host: HostName| {
            let alone = Alone::begin(&world, &of_life, &host);
            let (context, life) = (Arc::clone(&context), Arc::clone(&of_life));
            Mortal::of(&life, async move {
                let _alone = alone;
                reconcile(context, host).await
            })
        };
        let heartbeat = Heartbeat {
            turned: || (),
            every: BETWEEN_TURNS,
        };
        runner::run(&waker, one, heartbeat, std::future::pending()).await;
    });
}

fn run(parts: &mut JoinSet<()>, life: &Arc<Life>, part: impl Future<Output = ()> + Send + 'static) {
    parts.spawn(Mortal::of(life, part));
}

/// Notes which orders are done.
async fn follow_orders(world: Arc<World>, context: Arc<Context>) {
    let mut events = context.events.subscribe();
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => {
                for host in world.hosts.keys() {
                    world.ledger.of(host).orders.clear();
                }
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        if let What::Done(report) = event.what
            && let Some(order) = report.order
            && world.hosts.contains_key(&event.host)
        {
            let mut known = world.ledger.of(&event.host);
            known.orders.remove(&order);
            known.ordered = Some(Instant::now());
            known.excused = Some(Instant::now());
        }
    }
}

/// A reconciliation of one host, while it runs.
struct Alone {
    world: Arc<World>,
    life: Arc<Life>,
    host: HostName,
}

impl Alone {
    /// No two reconciliations of one host ever run at once.
    fn begin(world: &Arc<World>, life: &Arc<Life>, host: &HostName) -> Self {
        let running = {
            let mut known = world.ledger.of(host);
            known.reconciling += 1;
            if std::mem::take(&mut known.is_forgiven) {
                known.failures = None;
            }
            known.reconciling
        };
        if running > 1 {
            let what = format!("{running} reconciliations of it run at once");
            world
                .ledger
                .breaks("reconciliations_are_alone", Some(host), what);
        }
        Self {
            world: Arc::clone(world),
            life: Arc::clone(life),
            host: host.clone(),
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = "its reconciliation panicked".to_owned();
            self.world
                .ledger
                .breaks("reconciliations_do_not_panic", Some(&self.host), what);
        }
        if !self.life.is_over() {
            self.world.ledger.of(&self.host).reconciling -= 1;
        }
    }
}
