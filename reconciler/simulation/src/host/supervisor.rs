//! The supervisor of a deployment, which lives on the host and needs nobody of us: it activates, judges, waits for the
//! acknowledgement, and commits or goes back by itself.

use std::sync::Arc;
use std::time::Duration;

use deploy::{
    Action, ActivationRequest, ActivationVerdict, DeploymentId, FromOutside, OnDegraded,
    RollbackReason,
};
use tokio::time::{Instant, sleep, timeout};

use super::{Host, State, is_until};
use crate::host::unit::{AcknowledgedBy, Phase, Unit};
use crate::systems::Behaviour;

/// How long `sync` takes.
const SYNC: Duration = Duration::from_millis(300);
/// How long writing a boot entry takes.
const COMMIT: Duration = Duration::from_secs(2);
/// How long going back takes, where that goes well.
const GO_BACK: Duration = Duration::from_secs(5);

/// How the new system fared until now.
type Fared = Result<(), RollbackReason>;

/// Starts a deployment; `false` if it had been started before.
pub fn start(host: &Arc<Host>, request: &ActivationRequest) -> bool {
    let id = request.id.clone();
    let is_new = host.change(|state| {
        let is_new = !state.units.contains_key(&id);
        if is_new {
            state.units.insert(id.clone(), Unit::new(request.clone()));
        }
        is_new
    });
    if is_new {
        host.tell(&format!(
            "{} of {} begins as {id}",
            request.action,
            request.new.name()
        ));
        let task = tokio::spawn(supervise(Arc::clone(host), id));
        host.change(|state| state.tasks.push(task.abort_handle()));
    }
    is_new
}

async fn supervise(host: Arc<Host>, id: DeploymentId) {
    let work = Supervisor { host, id };
    let verdict = work.run().await;
    work.finish(verdict);
}

struct Supervisor {
    host: Arc<Host>,
    id: DeploymentId,
}

impl Supervisor {
    async fn run(&self) -> ActivationVerdict {
        let request = self.with(|_, unit| unit.request.clone());
        let behaviour = self.host.systems.behaviour(Some(&request.new));
        if let Err(verdict) = self.prepare(&request, behaviour).await {
            return verdict;
        }
        match request.action {
            Action::Build | Action::DryActivate => return ActivationVerdict::Done,
            Action::Boot => return self.commit(&request).await,
            Action::Switch | Action::Test => {}
        }
        let fared = self.activate_and_prove(&request, behaviour).await;
        match fared {
            Ok(()) if request.action == Action::Test => ActivationVerdict::Done,
            Ok(()) => self.commit(&request).await,
            Err(reason) => self.go_back(&request, reason).await,
        }
    }

    /// Everything that has to be true before anything is changed.
    async fn prepare(
        &self,
        request: &ActivationRequest,
        behaviour: Behaviour,
    ) -> Result<(), ActivationVerdict> {
        let refused = self.with(|state, _| {
            let other = |unit: &&Unit| unit.request.id != self.id && unit.verdict.is_none();
            if let Some(other) = state.units.values().find(other) {
                let by = format!("reconcile-{}.service", other.request.id);
                return Some(ActivationVerdict::Locked { by });
            }
            if let Some(by) = &state.switched_by {
                return Some(ActivationVerdict::Locked { by: by.clone() });
            }
            if state.running != request.observed {
                let running = state.running.to_string();
                return Some(ActivationVerdict::ObservedChanged { running });
            }
            if !state.store.contains(&request.new) {
                let reason = format!("{} is not on this host, or not whole", request.new);
                return Some(ActivationVerdict::Refused { reason });
            }
            None
        });
        if let Some(refused) = refused {
            return Err(refused);
        }
        sleep(self.slow(SYNC)).await;
        if is_until(self.host.state().full_until, Instant::now()) {
            let step = "sync".to_owned();
            return Err(ActivationVerdict::Failed {
                step,
                code: Some(1),
            });
        }
        match behaviour {
            Behaviour::Refuses => Err(ActivationVerdict::Refused {
                reason: String::new(),
            }),
            Behaviour::NeedsReboot if request.action.activates() => {
                Err(ActivationVerdict::RebootRequired {
                    why: "switch-inhibitor".to_owned(),
                })
            }
            _ => {
                self.with(|state, unit| {
                    let generation = state.generation;
                    unit.old_profile = state.profile().map(|profile| (generation, profile));
                });
                Ok(())
            }
        }
    }

    async fn activate_and_prove(&self, request: &ActivationRequest, behaviour: Behaviour) -> Fared {
        self.enter(Phase::Activating);
        let system = self.host.systems.get(&request.new);
        let long = self.slow(system.map_or(COMMIT, |system| system.activation));
        let long = if behaviour == Behaviour::Hangs {
            Duration::MAX
        } else {
            long
        };
        let activation = async {
            sleep(long.min(request.timeout) / 2).await;
            self.with(|state, unit| {
                state.running = unit.request.new.clone();
                state.is_half_way = true;
            });
            sleep(long.saturating_sub(long.min(request.timeout) / 2)).await;
        };
        if timeout(request.timeout, activation).await.is_err() {
            let step = "test".to_owned();
            return Err(RollbackReason::TimedOut { step });
        }
        if behaviour == Behaviour::FailsToActivate {
            let step = "test".to_owned();
            return Err(RollbackReason::Failed {
                step,
                code: Some(2),
            });
        }
        self.with(|state, _| state.is_half_way = false);
        self.enter(Phase::Settling);
        sleep(request.proof.settle).await;
        let failed = self.host.state().failed_units(&self.host.systems);
        if !failed.is_empty() && request.proof.on_degraded == OnDegraded::Rollback {
            return Err(RollbackReason::Degraded { units: failed });
        }
        match request.proof.acknowledge {
            Some(patience) => self.await_acknowledgement(patience).await,
            None => Ok(()),
        }
    }

    async fn await_acknowledgement(&self, patience: Duration) -> Fared {
        self.with(|_, unit| unit.awaiting_since = Some(Instant::now()));
        self.enter(Phase::Awaiting);
        let decided = async {
            loop {
                let changed = self.host.changed.notified();
                if let Some(decision) = self.with_quietly(|_, unit| unit.decision.clone()) {
                    return decision;
                }
                changed.await;
            }
        };
        match timeout(patience, decided).await {
            Ok((_, FromOutside::Good)) => Ok(()),
            Ok((_, FromOutside::Failed { probe })) => Err(RollbackReason::Probe { name: probe }),
            Err(_) => Err(RollbackReason::NotAcknowledged),
        }
    }

    async fn commit(&self, request: &ActivationRequest) -> ActivationVerdict {
        let changed = self.with(|state, unit| {
            if request.action == Action::Switch && state.running != request.new {
                return Some(format!("the running system, to {}", state.running));
            }
            let old = unit.old_profile.as_ref().map(|(_, old)| old);
            let profile = state.profile();
            if profile.as_ref() != old && profile.as_ref() != Some(&request.new) {
                return Some("the system profile".to_owned());
            }
            None
        });
        if let Some(what) = changed {
            return ActivationVerdict::ChangedMeanwhile { what };
        }
        self.enter(Phase::Committing);
        self.with(|state, _| state.set_profile(&request.new));
        sleep(self.slow(COMMIT)).await;
        match self
            .host
            .state()
            .failed_units(&self.host.systems)
            .is_empty()
        {
            true => ActivationVerdict::Done,
            false => ActivationVerdict::Degraded,
        }
    }

    async fn go_back(
        &self,
        request: &ActivationRequest,
        reason: RollbackReason,
    ) -> ActivationVerdict {
        self.enter(Phase::GoingBack);
        let theirs = self.with(|state, _| {
            let running = &state.running;
            let is_ours = *running == request.new || *running == request.observed;
            (!is_ours).then(|| format!("the running system, to {running}"))
        });
        if let Some(what) = theirs {
            return ActivationVerdict::ChangedMeanwhile { what };
        }
        if request.new == request.observed {
            // Nothing to go back to, and nothing to keep away from it.
            return ActivationVerdict::Failed {
                step: "test".to_owned(),
                code: Some(1),
            };
        }
        sleep(self.slow(GO_BACK)).await;
        self.with(|state, _| {
            state.running = request.observed.clone();
            state.is_half_way = false;
        });
        ActivationVerdict::RolledBack { reason }
    }

    fn finish(&self, verdict: ActivationVerdict) {
        self.host.tell(&format!("{} ends: {verdict:?}", self.id));
        if matches!(verdict, ActivationVerdict::RolledBack { .. }) {
            self.host.ledger.count(|counts| counts.rollbacks += 1);
        }
        let failed = self.host.state().failed_units(&self.host.systems);
        self.with(|_, unit| {
            unit.failed_units = failed;
            unit.verdict = Some(verdict);
            unit.ended = Some(Instant::now());
        });
    }

    fn enter(&self, phase: Phase) {
        self.with(|_, unit| unit.phase = phase);
    }

    fn slow(&self, duration: Duration) -> Duration {
        duration * self.host.state().slowness
    }

    /// Changes the host and this deployment's folder there.
    fn with<T>(&self, change: impl FnOnce(&mut State, &mut Unit) -> T) -> T {
        let changed = self.with_quietly(change);
        self.host.changed.notify_waiters();
        changed
    }

    /// As [`Supervisor::with`], where nobody has to know.
    fn with_quietly<T>(&self, change: impl FnOnce(&mut State, &mut Unit) -> T) -> T {
        let mut state = self.host.state();
        let Some(mut unit) = state.units.remove(&self.id) else {
            unreachable!("the folder of a deployment that runs is not removed");
        };
        let changed = change(&mut state, &mut unit);
        state.units.insert(self.id.clone(), unit);
        changed
    }
}

/// Says to a host that waits for it that a login works; `false` if it does not wait.
pub fn acknowledge(
    host: &Host,
    id: &DeploymentId,
    by: AcknowledgedBy,
    looks: &FromOutside,
) -> bool {
    host.change(|state| match state.units.get_mut(id) {
        Some(unit) if unit.is_awaiting() => {
            unit.decision = Some((by, looks.clone()));
            true
        }
        _ => false,
    })
}
