//! The activation of a system that lies on its host: start, see through, read back; and taking up
//! one that an earlier run of ours began.
//!
//! # Protocol
//!
//! 1. The permit: activations bound by `limits.activations`. A crash here leaves nothing.
//! 2. What is wanted, the rollout and the window are looked at once more: the wait for the permit can take hours. That a
//!    new login works is looked at too, or one that never worked would condemn the system.
//! 3. The deployment is written down, with the name that its unit will bear. A crash from here on is found by the
//!    next start, which asks the host by that name; if the unit never started, the host says that it knows nothing.
//! 4. It is started. To start it again by the same name is harmless.
//! 5. Its end is waited for, over as many connections as it takes, and acknowledged over a new login.
//! 6. The host is read back. How it ended is written down by the caller, and only then the host is cleaned up: a crash
//!    in between leaves traces that the next look finds.

use std::time::Duration;

use deploy::{
    ActivationReport, ActivationRequest, ActivationVerdict, DeploymentId, Observation, Outcome,
    RunsAs, Toplevel, Transience,
};
use desired_state::{Deployment, StoreError};
use jiff::Timestamp;
use planning::conclude::{blame, broke_off, outcome};
use planning::drift::runs_as;
use planning::model::attempt::Attempt;
use planning::model::goal::Goal;
use planning::model::health_checks::Acknowledge;
use planning::model::report::Step;
use tokio::time::Instant;

use crate::context::ports::{HostError, Login, Way};
use crate::error_chain::error_chain;
use crate::execution::build_and_copy::Ready;
use crate::execution::health;
use crate::execution::reconciliation::Reconciliation;
use crate::execution::supersede::{StillWanted, Stop};
use crate::telemetry::metrics::Phase;

/// Between tries to reach a host whose activation is under way: sshd locks out those who knock
/// faster (`PerSourcePenalties`), and a network that restarts is back within seconds.
const BETWEEN_TRIES: Duration = Duration::from_secs(3);
/// A host that answers nothing for this long while its activation is under way is left to a later
/// reconciliation, which takes the deployment up again; until then `status` says that it does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a question may take a host whose activation is under way: while logind is not well, pam_systemd waits 25 s
/// for it at each login (sd_bus_call(3), its default limit), and that is when the host has to be asked.
const SLOW_LOGIN: Duration = Duration::from_secs(60);
/// The activation ends by itself on the host at its time limit; this much later it has been told.
const MARGIN: Duration = Duration::from_secs(60);

/// How a change that was called off ends.
fn called_off(stop: Stop) -> Outcome {
    let by = |by: &str| Outcome::Cancelled { by: by.into() };
    match stop {
        Stop::Superseded | Stop::Suspended | Stop::LeftFleet => Outcome::Superseded,
        Stop::HaltedBy(_) => by("the fleet's brake"),
        Stop::WindowClosed => by("its window, which has closed meanwhile"),
    }
}

impl Reconciliation {
    /// Starts the activation and sees it through. How it ended is not written down yet.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn activate(
        &self,
        goal: &Goal,
        ready: Ready,
        wanted: &StillWanted<'_>,
    ) -> Result<Attempt, StoreError> {
        let _permit = self.clients.permits.activations.acquire().await;
        let failed =
            |outcome| Attempt::of_goal(goal, Some(ready.toplevel.clone()), self.now(), outcome);
        let refused = |detail| {
            let transience = Transience::Transient;
            failed(Outcome::ActivationRefused { detail, transience })
        };
        if let Err(stop) = wanted.check_before_change(goal).await? {
            return Ok(failed(called_off(stop)));
        }
        let Some(observed) = ready.seen.observation.running.clone() else {
            let detail = "the host has no /run/current-system: it does not run NixOS";
            return Ok(refused(detail.into()));
        };
        if let Err(outcome) = self.new_logins_work(goal, &ready).await {
            return Ok(failed(outcome));
        }
        let id = match new_id(self.now(), self.context.clock.number()) {
            Ok(id) => id,
            Err(error) => return Ok(refused(error.to_string())),
        };
        let deployment = self.deployment(goal, &id, &ready, &observed);
        // Written down before it starts, so that whoever comes after us knows what to look for.
        self.context.store.begin_deployment(&deployment).await?;
        self.context.registries.attended.note(&deployment.id);
        self.context
            .tell_step(&self.host, Step::Activating, Some(&goal.target.revision));
        let began = Instant::now();
        let request = self.activation_request(goal, id.clone(), &ready, observed);
        let way = self.way().by(&ready.seen.route);
        if let Err(error) = self.clients.hosts.start(&way, &request).await
            && error.is_not_started()
        {
            return Ok(Attempt {
                id: Some(id.to_string()),
                ..refused(error_chain(&error))
            });
        }
        // After any other error it may have started: only the host knows.
        let ended = self.see_through(&deployment, &id).await;
        self.tell_left_specialisation(&request, ended.as_ref());
        self.context
            .metrics
            .phase_took(Phase::Activate, began.elapsed());
        Ok(match ended {
            Some(ended) => Attempt {
                goal: goal.clone(),
                ..ended
            },
            None => failed(Outcome::Unreachable {
                detail: "the host does not answer since its activation began; what runs there is unknown".into(),
            }),
        })
    }

    /// A specialisation that a person chose is left where the new system has none of that name: nobody asked for that.
    fn tell_left_specialisation(&self, request: &ActivationRequest, ended: Option<&Attempt>) {
        let read_back = ended.and_then(|ended| ended.read_back.as_ref());
        if let RunsAs::Kept(name) = &request.runs_as
            && read_back.is_some_and(|seen| seen.running.as_ref() == Some(&request.new))
        {
            tracing::warn!(host = %self.host, specialisation = %name, "the new system has no such specialisation: the host has left it, and runs the system itself");
        }
    }

    fn deployment(
        &self,
        goal: &Goal,
        id: &DeploymentId,
        ready: &Ready,
        observed: &Toplevel,
    ) -> Deployment {
        Deployment {
            id: id.to_string(),
            host: self.host.clone(),
            revision: goal.target.revision.clone(),
            toplevel: ready.toplevel.to_string(),
            old_toplevel: observed.to_string(),
            action: goal.target.action.name().to_owned(),
            boot_id: ready.seen.observation.boot_id.clone(),
            destination: ready.seen.route.clone(),
            started_at: self.now(),
            trigger: goal.cause.to_string(),
        }
    }

    fn activation_request(
        &self,
        goal: &Goal,
        id: DeploymentId,
        ready: &Ready,
        observed: Toplevel,
    ) -> ActivationRequest {
        let (action, specialised) = (goal.target.action, self.specialised(goal));
        ActivationRequest {
            id,
            action,
            new: ready.toplevel.clone(),
            runs_as: runs_as(action, specialised, &ready.seen.observation),
            observed,
            timeout: self.config.timeouts.activate,
            proof: health::host::of_config(&self.config.proof),
            min_free_boot: self.config.nix.min_free_boot,
        }
    }

    /// The way to a host that may let us in slowly.
    fn patient_way(&self) -> Way {
        let way = self.way();
        Way {
            observe: way.observe.max(SLOW_LOGIN),
            ..way
        }
    }

    /// Takes up a deployment that was under way when an earlier reconciliation, or an earlier run of ours, ended.
    /// `None` while the host does not answer. How it ended is not written down yet.
    pub async fn resume(&self, deployment: &Deployment) -> Option<Attempt> {
        match deployment.id.parse::<DeploymentId>() {
            Ok(id) => self.see_through(deployment, &id).await,
            Err(error) => {
                // Not one of ours: nothing on the host can bear this name.
                let outcome = Outcome::Vanished {
                    detail: error.to_string(),
                };
                let configured = self.config.action;
                Some(Attempt::of_deployment(deployment, configured, outcome))
            }
        }
    }

    /// Waits for the end of an activation, over as many connections as it takes, and reads the host
    /// back over a new one. `None` if the host does not answer in time; then the deployment stays in
    /// flight and a later reconciliation takes it up.
    async fn see_through(&self, deployment: &Deployment, id: &DeploymentId) -> Option<Attempt> {
        let activate = self.config.timeouts.activate;
        let limit = health::host::of_config(&self.config.proof).limit(activate)
            + deploy::Proof::rollback_limit(activate);
        let deadline = Instant::now() + limit + MARGIN;
        let (report, read_back) = self.ask_until(deployment, id, deadline).await?;
        let attendance = self.context.registries.attended.take(&deployment.id);
        let outcome = blame(attendance, outcome(deployment, &report, &read_back)?);
        // A boot leaves nothing of an activation.
        let broke_off_here = broke_off(&outcome) && read_back.boot_id == deployment.boot_id;
        Some(Attempt {
            output: report.output_tail,
            broke_off_on_boot: broke_off_here.then(|| read_back.boot_id.clone()),
            read_back: Some(read_back),
            ..Attempt::of_deployment(deployment, self.config.action, outcome)
        })
    }

    async fn ask_until(
        &self,
        deployment: &Deployment,
        id: &DeploymentId,
        deadline: Instant,
    ) -> Option<(ActivationReport, Observation)> {
        let mut silent_since = None;
        loop {
            let asked = Instant::now();
            let left = deadline.saturating_duration_since(asked);
            match self.ask(deployment, id, left).await {
                Ok(answer) => return Some(answer),
                Err(error) => {
                    let attended = &self.context.registries.attended;
                    match error.is_ours() || self.is_cut_off().await {
                        true => attended.retract(&deployment.id),
                        false => attended.note(&deployment.id),
                    }
                    tracing::debug!(host = %self.host, deployment = %id, error = error_chain(&error), "asking again");
                }
            }
            // A wait that lasted before its connection broke was an answer of a kind.
            if asked.elapsed() > PATIENCE {
                silent_since = Some(Instant::now());
            }
            let next = Instant::now() + BETWEEN_TRIES;
            if next >= deadline || next >= *silent_since.get_or_insert(asked) + PATIENCE {
                return None;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    /// Waits for the activation's end, and says meanwhile that a login works where the host asks for it;
    /// then reads the host back over a new connection: that a login works is part of the answer.
    async fn ask(
        &self,
        deployment: &Deployment,
        id: &DeploymentId,
        left: Duration,
    ) -> Result<(ActivationReport, Observation), HostError> {
        let (hosts, way) = (&self.clients.hosts, self.patient_way());
        let report = hosts.wait(&way, id, left).await?;
        if report.verdict == ActivationVerdict::Awaiting {
            if self.config.proof.acknowledge == Acknowledge::EveryRoute {
                for route in way.each() {
                    hosts.log_in(&route, id).await?;
                }
            }
            let same = way.by(&deployment.destination);
            hosts.log_in(&same, id).await?;
            let looks = health::controller::check(hosts.as_ref(), &self.config.proof).await;
            return hosts.acknowledge(&same, id, &looks, left).await;
        }
        let seen = hosts.observe(&way, Login::Fresh).await?;
        Ok((report, seen.observation))
    }
}

/// A name that sorts by time and that no other deployment bears.
fn new_id(now: Timestamp, number: u32) -> Result<DeploymentId, deploy::DeploymentIdError> {
    let time = now.strftime("%Y%m%dt%H%M%Sz");
    format!("{time}-{number:08x}").parse()
}

#[cfg(test)]
mod tests;
