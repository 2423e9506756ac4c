//! What persons ask for, in the way that the commands do it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deploy::Action;
use desired_state::HostName;
use planning::model::order::{Then, Trigger};
use planning::model::requests::{
    HostSelection, Instead, Override, OverrideRequest, ReconcileRequest, Wait,
};
use reconciler::commands::{reconcile, suspend_and_unpin};
use tokio::time::{Instant, sleep};

use crate::generator::Generator;
use crate::ledger::Outstanding;
use crate::life::Mortal;
use crate::plan::Edits;
use crate::world::{Running, World};

/// How often a person asks for something in a fleet of ten hosts.
const OFTEN: Duration = Duration::from_secs(100 * 60);
/// How long a suspension, a pin or a mistake lasts.
const LASTS: (Duration, Duration) = (Duration::from_secs(5 * 60), Duration::from_secs(5 * 3600));
/// How long a person waits before they try again, where the controller does not answer.
const AGAIN: Duration = Duration::from_secs(60);

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Suspend,
    Reconcile(Trigger),
    Try(Action),
    PinToOtherBranch,
    PinToParent,
    RollBack,
    Reboot,
    MistakeAttribute,
    ChangeProof,
}

const DEEDS: [Deed; 12] = [
    Deed::Suspend,
    Deed::Suspend,
    Deed::Reconcile(Trigger::Manual),
    Deed::Reconcile(Trigger::Forced),
    Deed::Try(Action::Build),
    Deed::Try(Action::DryActivate),
    Deed::PinToOtherBranch,
    Deed::PinToParent,
    Deed::RollBack,
    Deed::Reboot,
    Deed::MistakeAttribute,
    Deed::ChangeProof,
];

/// Asks for something now and then, for ever.
pub async fn ask_now_and_then(world: Arc<World>, state: PathBuf) {
    let mut generator = Generator::new(world.plan.seed, "people");
    let hosts: Vec<HostName> = world.plan.hosts.keys().cloned().collect();
    let often = OFTEN * 10 / u32::try_from(hosts.len()).unwrap_or(10).max(1);
    loop {
        sleep(generator.until_next(often)).await;
        let (Some(host), Some(deed)) = (generator.pick(&hosts), generator.pick(&DEEDS)) else {
            continue;
        };
        world.ledger.count(|counts| counts.orders += 1);
        world
            .story
            .tell(host.as_str(), &format!("a person: {deed:?}"));
        let lasts = generator.between(LASTS.0, LASTS.1);
        let person = Person {
            world: Arc::clone(&world),
            state: state.clone(),
            host: host.clone(),
        };
        tokio::spawn(async move { person.does(*deed, lasts).await });
    }
}

/// Resumes, unpins and corrects everything.
pub async fn undo_everything(world: &Arc<World>, state: &Path) {
    for host in world.plan.hosts.keys() {
        let person = Person {
            world: Arc::clone(world),
            state: state.to_owned(),
            host: host.clone(),
        };
        person.overrides(Override::Resume).await;
        person.overrides(Override::Unpin).await;
    }
    edit(world, state, |edits| *edits = Edits::default());
}

/// Allows for once that a host follows a branch that was rewound.
pub async fn allow_forced_push(world: &Arc<World>, host: &HostName) {
    let person = Person {
        world: Arc::clone(world),
        state: PathBuf::new(),
        host: host.clone(),
    };
    person.orders(person.request(Trigger::Forced)).await;
}

struct Person {
    world: Arc<World>,
    state: PathBuf,
    host: HostName,
}

impl Person {
    async fn does(&self, deed: Deed, lasts: Duration) {
        match deed {
            Deed::Suspend => {
                self.overrides(Override::Suspend).await;
                sleep(lasts).await;
                self.overrides(Override::Resume).await;
            }
            Deed::Reconcile(trigger) => self.orders(self.request(trigger)).await,
            Deed::Try(action) => {
                let request = ReconcileRequest {
                    action: Some(action),
                    ..self.request(Trigger::Manual)
                };
                self.orders(request).await;
            }
            Deed::Reboot => {
                let request = ReconcileRequest {
                    then: Then::Reboot,
                    ..self.request(Trigger::Manual)
                };
                self.orders(request).await;
            }
            Deed::PinToOtherBranch | Deed::PinToParent | Deed::RollBack => {
                let request = ReconcileRequest {
                    instead: self.instead(deed),
                    ..self.request(Trigger::Manual)
                };
                self.orders(request).await;
                sleep(lasts).await;
                self.overrides(Override::Unpin).await;
            }
            Deed::MistakeAttribute => {
                let attribute = self.wrong_attribute();
                edit(&self.world, &self.state, |edits| {
                    edits.wrong_attribute.insert(self.host.clone(), attribute);
                });
                sleep(lasts / 4).await;
                edit(&self.world, &self.state, |edits| {
                    edits.wrong_attribute.remove(&self.host);
                });
            }
            Deed::ChangeProof => edit(&self.world, &self.state, |edits| {
                if !edits.other_proof.remove(&self.host) {
                    edits.other_proof.insert(self.host.clone());
                }
            }),
        }
    }

    /// A name that no host has, or that of another.
    fn wrong_attribute(&self) -> String {
        let mut others = self
            .world
            .plan
            .hosts
            .keys()
            .skip_while(|name| **name != self.host);
        match others.nth(1) {
            Some(other) => other.to_string(),
            None => format!("{}-typo", self.host),
        }
    }

    fn instead(&self, deed: Deed) -> Option<Instead> {
        let plan = self.world.plan.hosts.get(&self.host)?;
        let repository = self.world.repository_of(&self.host)?;
        match deed {
            Deed::PinToOtherBranch => {
                let mut branches = self.world.branches().into_iter();
                branches
                    .find(|branch| *branch != plan.branch)
                    .map(Instead::Branch)
            }
            Deed::PinToParent => {
                let parent = repository.parent(&repository.tip(&plan.branch)?)?;
                Some(Instead::Revision(parent.to_string()))
            }
            _ => Some(Instead::Proven),
        }
    }

    fn request(&self, trigger: Trigger) -> ReconcileRequest {
        ReconcileRequest {
            hosts: HostSelection::Named(vec![self.host.clone()]),
            instead: None,
            action: None,
            then: Then::Nothing,
            trigger,
            wait: Wait::No,
            by: "ada".to_owned(),
        }
    }

    /// Gives an order, once the controller lives.
    async fn orders(&self, request: ReconcileRequest) {
        let running = self.controller().await;
        let is_forced = request.trigger.is_forced();
        let is_a_pin = request.instead.is_some();
        // What is asked for may begin before its answer comes.
        self.world.ledger.of(&self.host).excused = Some(Instant::now());
        self.world.ledger.of(&self.host).ordered = Some(Instant::now());
        let context = Arc::clone(&running.context);
        let answer = answered(&running, async move {
            reconcile::reconcile(&context, &request).await
        })
        .await;
        self.world.ledger.disturb();
        let queued: BTreeMap<_, _> = match answer {
            Some(Ok(queued)) => queued,
            Some(Err(error)) => {
                self.world
                    .story
                    .tell(self.host.as_str(), &format!("a person is told: {error}"));
                return;
            }
            None => return,
        };
        let mut known = self.world.ledger.of(&self.host);
        known.excused = Some(Instant::now());
        known.is_forgiven |= is_a_pin;
        for order in queued.values() {
            let outstanding = Outstanding {
                since: Instant::now(),
                is_forced,
            };
            known.orders.insert(order.id, outstanding);
        }
    }

    /// Suspends, resumes or unpins, and tries until it is done.
    async fn overrides(&self, change: Override) {
        if change == Override::Resume {
            self.world.ledger.of(&self.host).suspended = None;
        }
        let request = OverrideRequest {
            hosts: HostSelection::Named(vec![self.host.clone()]),
            why: "a look at it".to_owned(),
            by: "ada".to_owned(),
        };
        loop {
            let running = self.controller().await;
            let (context, request) = (Arc::clone(&running.context), request.clone());
            let change = async move { suspend_and_unpin::change(&context, change, &request).await };
            let answer = answered(&running, change).await;
            self.world.ledger.disturb();
            if matches!(answer, Some(Ok(_))) {
                break;
            }
            sleep(AGAIN).await;
        }
        let mut known = self.world.ledger.of(&self.host);
        match change {
            Override::Suspend => known.suspended = Some(Instant::now()),
            Override::Unpin => known.is_forgiven = true,
            Override::Resume => {}
        }
    }

    async fn controller(&self) -> Running {
        loop {
            match self.world.running() {
                Some(running) => return running,
                None => sleep(AGAIN).await,
            }
        }
    }
}

/// The answer of the controller; `None` if it was killed before.
async fn answered<F: Future>(running: &Running, work: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        answer = Mortal::of(&running.life, work) => Some(answer),
        () = running.life.ended() => None,
    }
}

/// Edits the config file; a controller that lives takes it up, as the daemon does.
pub fn edit(world: &Arc<World>, state: &Path, change: impl FnOnce(&mut Edits)) {
    change(&mut world.edits.lock());
    let edits = world.edits.lock().clone();
    let (Some(running), Ok(config)) = (world.running(), world.plan.config(state, &edits)) else {
        return;
    };
    let context = &running.context;
    let before = context.clients();
    if context.take_up(Arc::clone(&config)).is_err() {
        return;
    }
    world.ledger.disturb();
    for host in before.config.changed_hosts(&config) {
        {
            let mut known = world.ledger.of(&host);
            known.excused = Some(Instant::now());
            known.is_forgiven = true;
        }
        context.registries.forgiven.insert(&host);
        context.waker.wake(&host);
    }
    for repository in before.repositories.values() {
        repository.bell.notify_one();
    }
}
