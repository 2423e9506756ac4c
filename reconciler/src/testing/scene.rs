//! A scene: a context over a scripted outside, and what happens in it.

use std::sync::Arc;
use std::time::Duration;

use deploy::{Action, Outcome, RollbackReason};
use desired_state::{
    BranchState, Cause, Deployment, HistoryEntry, HistoryFilter, HostName, Pin, Store, Suspension,
    Wish,
};
use futures::FutureExt as _;
use planning::desired::desired;
use planning::model::goal::Goal;
use planning::model::history::HistoryKind;
use planning::model::host_state::{HostState, Quarantine, StoredState};
use planning::model::order::{Order, Then, Trigger};
use planning::model::report::{Report, What};
use tempfile::TempDir;

use super::hosts::ScriptedHost;
use super::outside::ScriptedOutside;
use super::script::Script;
use super::{config, host, revision, system};
use crate::context::Context;
use crate::controller::reconcile::reconcile;
use crate::execution::reconciliation::Reconciliation;
use crate::state::host::Stored;

/// A context over a scripted outside. Clones are of the same scene.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The context.
    pub context: Arc<Context>,
    /// What is outside.
    pub outside: Arc<ScriptedOutside>,
    /// The host that a test is about, the first of the config.
    pub host: HostName,
    folder: Arc<TempDir>,
}

/// What came of one reconciliation.
#[derive(Debug, PartialEq)]
pub struct Done {
    /// What was told.
    pub report: Report,
    /// When the host is to be looked at again.
    pub next: Duration,
}

/// A scene with these tables in the config. Every host runs commit `0`, and its branch asks for `a`.
pub async fn scene(tables: &str) -> Scene {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let outside = Arc::new(ScriptedOutside::new());
    let config = config(folder.path(), tables);
    let file = folder.path().join("state.db");
    let store = Store::open_inline(&file).await.unwrap();
    let host = config.hosts.keys().next().unwrap().clone();
    let context = Context::over(config, store, Arc::clone(&outside) as Arc<_>).unwrap();
    let scene = Scene {
        context,
        outside,
        host,
        folder,
    };
    for host in scene.context.clients().config.hosts.keys() {
        scene.push_to(host, 'a');
    }
    scene
}

/// The state of a scene answers at once.
fn now<T>(answer: impl Future<Output = Result<T, desired_state::StoreError>>) -> T {
    answer.now_or_never().expect("an answer at once").unwrap()
}

impl Scene {
    /// The same scene, about another host.
    pub fn of(&self, name: &str) -> Self {
        Self {
            host: host(name),
            ..self.clone()
        }
    }

    /// What is scripted.
    pub fn script(&self) -> &Script {
        &self.outside.script
    }

    /// When the next call that begins so comes, `what` happens first.
    pub fn at(&self, call: &'static str, what: impl FnOnce(&Self) + Send + 'static) {
        let scene = self.clone();
        self.script().at(call, move || what(&scene));
    }

    /// Changes the host.
    pub fn change<T>(&self, change: impl FnOnce(&mut ScriptedHost) -> T) -> T {
        self.outside.hosts.with(&self.host, change)
    }

    /// The host's branch asks for a commit.
    pub fn push(&self, digit: char) {
        self.push_to(&self.host, digit);
    }

    /// A host's branch asks for a commit.
    pub fn push_to(&self, host: &HostName, digit: char) {
        let clients = self.context.clients();
        let config = clients.host(host).unwrap();
        let wish = Wish {
            host: host.clone(),
            repository: config.follows.repository.clone(),
            branch: config.follows.branch.clone(),
            revision: Some(revision(digit)),
            branch_state: BranchState::Present,
            cause: Cause::Poll,
            requested_at: self.context.now(),
            recorded_at: self.context.now(),
        };
        now(self.context.store.set_wish(&wish));
        self.context.wishes_changed();
    }

    /// A person pins the host.
    pub fn pin(&self, digit: char) {
        let pin = Pin {
            host: self.host.clone(),
            revision: revision(digit),
            action: Action::Switch.name().into(),
            branch: None,
            by: "ada".into(),
            since: self.context.now(),
        };
        now(self.context.store.pin_all(&[pin]));
        self.context.wishes_changed();
    }

    /// A person suspends the host.
    pub fn suspend(&self) {
        let suspension = Suspension {
            host: self.host.clone(),
            why: "disks are being swapped".into(),
            by: "ada".into(),
            since: self.context.now(),
        };
        now(self.context.store.suspend(&suspension));
        self.context.wishes_changed();
    }

    /// A person resumes it.
    pub fn resume(&self) {
        let by = self
            .context
            .store
            .resume(&self.host, "ada", "done", self.context.now());
        now(by);
        self.context.wishes_changed();
    }

    /// The config has other tables by now.
    pub fn reconfigure(&self, tables: &str) {
        let config = config(self.folder.path(), tables);
        self.context.take_up(config).unwrap();
    }

    /// A person's order for the host, to be changed as a test likes it.
    pub fn order(&self, trigger: Trigger) -> Order {
        Order {
            id: 0,
            revision: None,
            action: None,
            then: Then::Nothing,
            trigger,
            by: "ada".into(),
            at: self.context.now(),
        }
    }

    /// A person gives an order for the host.
    pub fn give(&self, order: Order) {
        let reserved = self.context.orders.reserve([&self.host]);
        let reserved = reserved.now_or_never().expect("nobody else asks").unwrap();
        reserved.put(&self.host, order);
    }

    /// The process ends, whatever it was doing, and another begins over what is stored.
    pub fn restart(self) -> Self {
        let config = Arc::clone(&self.context.clients().config);
        let (store, outside) = (self.context.store.clone(), Arc::clone(&self.outside));
        let context = Context::over(config, store, outside).unwrap();
        Self { context, ..self }
    }

    /// From now on the state can be neither read nor written.
    pub async fn break_state(&self) {
        self.context.store.close().await;
        std::fs::write(self.folder.path().join("state.db"), "no database").unwrap();
    }

    /// Another host has rolled a commit back and keeps it in quarantine.
    pub fn could_not_stay_on(&self, other: &HostName, digit: char) {
        let outcome = Outcome::RolledBack {
            reason: RollbackReason::NotAcknowledged,
            detail: String::new(),
        };
        let mut entry = HistoryKind::Deployment.entry(self.context.now());
        entry.host = Some(other.clone());
        entry.revision = Some(revision(digit));
        entry.outcome = Some(outcome.label().into());
        now(self.context.store.append(&entry));
        let since = self.context.now();
        self.remember_of(other, |state| {
            state.quarantine = Some(Quarantine {
                toplevel: system(digit),
                outcome,
                since,
            });
        });
    }

    /// The deployment that is under way on the host.
    pub fn in_flight(&self) -> Option<Deployment> {
        self.stored().in_flight
    }

    /// Reconciles the host.
    pub async fn reconcile(&self) -> Done {
        let mut events = self.context.events.subscribe();
        let next = reconcile(Arc::clone(&self.context), self.host.clone()).await;
        let next = next.expect("it is of the fleet");
        loop {
            let event = events.recv().await.unwrap();
            if let What::Done(report) = event.what
                && event.host == self.host
            {
                let report = *report;
                return Done { report, next };
            }
        }
    }

    /// Brings the host to the commit that its branch asks for; the calls of that are forgotten.
    pub async fn settle(&self) {
        self.reconcile().await;
        self.reconcile().await;
        self.script().calls();
    }

    /// One reconciliation of the host, to take steps of.
    pub fn one(&self, order: Option<Order>) -> Reconciliation {
        Reconciliation::new(&self.context, &self.host, order).unwrap()
    }

    /// What is wanted of the host.
    pub fn goal(&self) -> Goal {
        let stored = self.stored();
        let clients = self.context.clients();
        let config = clients.host(&self.host).unwrap();
        desired(config, stored.pin.as_ref(), stored.wish.as_ref(), None).unwrap()
    }

    /// What is stored of the host.
    pub fn stored(&self) -> Stored {
        now(Stored::load(&self.context, &self.host))
    }

    /// What is known of the host.
    pub fn state(&self) -> HostState {
        self.stored().remembered.state
    }

    /// What is remembered of the host is this document.
    pub fn write_document(&self, document: &str) {
        now(self
            .context
            .store
            .record_documents(&[(self.host.clone(), document.to_owned())]));
    }

    /// Changes what is stored of a host.
    pub fn remember_of(&self, host: &HostName, change: impl FnOnce(&mut HostState)) {
        let mut stored: StoredState = now(Stored::load(&self.context, host)).remembered;
        change(&mut stored.state);
        now(self
            .context
            .store
            .record_documents(&[(host.clone(), stored.document())]));
        self.context.registries.last_seen.forget(host);
    }

    /// What happened to the host of one kind, the newest first: how it ended, or what is said of it.
    pub fn history(&self, kind: &str) -> Vec<String> {
        let said = |entry: HistoryEntry| entry.outcome.unwrap_or(entry.detail);
        self.entries(kind).into_iter().map(said).collect()
    }

    /// What happened to the host of one kind, the newest first.
    pub fn entries(&self, kind: &str) -> Vec<HistoryEntry> {
        let filter = HistoryFilter {
            host: Some(self.host.clone()),
            kind: Some(kind.into()),
            limit: HistoryFilter::USUAL,
        };
        now(self.context.store.history(&filter))
    }

    /// Whether the host runs and boots the system of this commit.
    pub fn is_on(&self, digit: char) -> bool {
        let toplevel = Some(system(digit));
        self.change(|host| host.says.running == toplevel && host.says.profile == toplevel)
    }
}
