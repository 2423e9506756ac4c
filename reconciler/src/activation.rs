//! The activation of a system that lies on its host: start, see through, read back; and taking up
//! one that an earlier run of ours began.

mod end;

pub use end::broke_off;

use std::error::Error;
use std::time::Duration;

use deploy::{
    ActivateError, ActivationReport, ActivationRequest, ActivationVerdict, Connection,
    DeploymentId, DeploymentIdError, Observation, Outcome, SshError, Toplevel,
};
use desired_state::{Deployment, StoreError};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::Step;
use crate::attempt::Ended;
use crate::brake;
use crate::clock;
use crate::desired::{Desired, Standing};
use crate::metrics::Phase;
use crate::outside;
use crate::pass::Pass;
use crate::proof;
use crate::rebooting::FOR_A_REBOOT;
use crate::repository::words;
use crate::supersede::is_superseded;
use crate::window::Openness;

/// Between tries to reach a host whose activation is under way: sshd locks out those who knock
/// faster (`PerSourcePenalties`), and a network that restarts is back within seconds.
const BETWEEN_TRIES: Duration = Duration::from_secs(3);
/// A host that answers nothing for this long while its activation is under way is left to a later
/// pass, which takes the deployment up again; until then `status` says that it does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The activation ends by itself on the host at its time limit; this much later it has been told.
const MARGIN: Duration = Duration::from_secs(60);

/// A system that lies on the host, and the way there.
#[derive(Debug)]
pub struct Ready {
    /// The system.
    pub toplevel: Toplevel,
    /// The way.
    pub connection: Connection,
    /// What the host said about itself before.
    pub observation: Observation,
}

/// Starts the activation and sees it through. How it ended is not written down yet.
///
/// # Errors
/// When the state cannot be read or written.
pub async fn activate(pass: &Pass, desired: &Desired, ready: Ready) -> Result<Ended, StoreError> {
    let _permit = pass.setup.activations.acquire().await;
    let target = &desired.target;
    let failed = |outcome| Ended::before_activation(desired, Some(ready.toplevel.clone()), outcome);
    if let Some(outcome) = called_off(pass, desired).await? {
        return Ok(failed(outcome));
    }
    let Some(observed) = ready.observation.running.clone() else {
        return Ok(failed(Outcome::ActivationRefused {
            detail: "the host has no /run/current-system: it does not run NixOS".into(),
        }));
    };
    let id = match new_id(clock::now()) {
        Ok(id) => id,
        Err(error) => {
            return Ok(failed(Outcome::ActivationRefused {
                detail: error.to_string(),
            }));
        }
    };
    let deployment = Deployment {
        id: id.to_string(),
        host: pass.host.clone(),
        revision: target.revision.clone(),
        toplevel: ready.toplevel.to_string(),
        old_toplevel: observed.to_string(),
        action: target.action.name().to_owned(),
        boot_id: ready.observation.boot_id.clone(),
        destination: ready.connection.destination().address.clone(),
        started_at: clock::now(),
        trigger: desired.cause.clone(),
    };
    // Written down before it starts, so that whoever comes after us knows what to look for.
    pass.world.store.begin_deployment(&deployment).await?;
    pass.world.attended.note(&deployment.id);
    pass.world
        .tell_step(&pass.host, Step::Activating, Some(&target.revision));
    let began = Instant::now();
    let request = ActivationRequest {
        id: id.clone(),
        action: target.action,
        new: ready.toplevel.clone(),
        observed,
        timeout: pass.config.timeouts.activate,
        proof: proof::of_config(&pass.config.proof),
        min_free: pass.config.min_free,
    };
    let started = deploy::start(&ready.connection, &request).await;
    if let Err(error @ (ActivateError::NotStarted { .. } | ActivateError::NothingToActivate(_))) =
        &started
    {
        return Ok(Ended {
            id: Some(id.to_string()),
            ..failed(Outcome::ActivationRefused {
                detail: words(error as &dyn Error),
            })
        });
    }
    // After any other error it may have started: only the host knows.
    let ended = see_through(
        pass,
        &deployment,
        &id,
        desired.since,
        desired.standing.clone(),
    )
    .await;
    pass.world
        .metrics
        .phase_took(Phase::Activate, began.elapsed());
    Ok(ended.unwrap_or_else(|| {
        failed(Outcome::Unreachable {
            detail:
                "the host does not answer since its activation began; what runs there is unknown"
                    .into(),
        })
    }))
}

/// What has come up while the host waited for its turn, which can take hours: it may be suspended by now,
/// something else may be wanted of it, others may have rolled the system back, its window may have closed.
async fn called_off(pass: &Pass, desired: &Desired) -> Result<Option<Outcome>, StoreError> {
    if is_superseded(pass, desired).await? {
        return Ok(Some(Outcome::Superseded));
    }
    let cancelled = |by: &str| Some(Outcome::Cancelled { by: by.into() });
    if pass.order.is_none() && !brake::braked_by(pass, desired).await?.is_empty() {
        return Ok(cancelled("the fleet's brake"));
    }
    // A reboot has windows of its own, and is decided on once more.
    let has_a_window = desired.target.action.changes_host()
        && desired.cause != FOR_A_REBOOT
        && !pass.asked().is_forced();
    if has_a_window && pass.openness(clock::now()) != Openness::Open {
        return Ok(cancelled("its window, which has closed meanwhile"));
    }
    Ok(None)
}

/// Takes up a deployment that was under way when an earlier pass, or an earlier run of ours, ended.
/// `None` while the host does not answer. How it ended is not written down yet.
pub async fn resume(pass: &Pass, deployment: &Deployment) -> Option<Ended> {
    match deployment.id.parse::<DeploymentId>() {
        Ok(id) => {
            let since = deployment.started_at;
            see_through(pass, deployment, &id, since, Standing::Kept).await
        }
        Err(error) => {
            // Not one of ours: nothing on the host can bear this name.
            let outcome = Outcome::Vanished {
                detail: error.to_string(),
            };
            Some(Ended::of(deployment, pass.config.action, outcome))
        }
    }
}

/// Waits for the end of an activation, over as many connections as it takes, and reads the host
/// back over a new one. `None` if the host does not answer in time; then the deployment stays in
/// flight and a later pass takes it up.
async fn see_through(
    pass: &Pass,
    deployment: &Deployment,
    id: &DeploymentId,
    wanted_since: Timestamp,
    standing: Standing,
) -> Option<Ended> {
    let activate = pass.config.timeouts.activate;
    let limit = proof::of_config(&pass.config.proof).limit(activate)
        + deploy::Proof::rollback_limit(activate);
    let deadline = Instant::now() + limit + MARGIN;
    let (connection, report, read_back) = ask_until(pass, deployment, id, deadline).await?;
    let attended = pass.world.attended.take(&deployment.id);
    let outcome = end::unattended_unless(attended, end::outcome(deployment, &report, &read_back)?);
    let mut ended = Ended::of(deployment, pass.config.action, outcome);
    ended.wanted_since = wanted_since;
    ended.standing = standing;
    ended.output = report.output_tail;
    // A boot leaves nothing of an activation.
    if broke_off(&ended.outcome) && read_back.boot_id == deployment.boot_id {
        ended.broke_off_on_boot = Some(read_back.boot_id.clone());
    }
    ended.read_back = Some(read_back);
    ended.connection = Some(connection);
    Some(ended)
}

/// Removes what an ended activation left on its host. Only after its end was written down: a crash
/// in between would leave nobody who knows how it ended.
pub async fn clean_up(pass: &Pass, connection: &Connection, id: &str) {
    let Ok(id) = id.parse::<DeploymentId>() else {
        return;
    };
    if let Err(error) = deploy::clean_up(connection, &id).await {
        tracing::debug!(host = %pass.host, deployment = %id, error = words(&error), "cannot clean up on the host");
    }
}

async fn ask_until(
    pass: &Pass,
    deployment: &Deployment,
    id: &DeploymentId,
    deadline: Instant,
) -> Option<(Connection, ActivationReport, Observation)> {
    let mut silent_since = None;
    loop {
        let asked = Instant::now();
        let left = deadline.saturating_duration_since(asked);
        match ask(pass, deployment, id, left).await {
            Ok(answer) => return Some(answer),
            Err(error) => {
                pass.world.attended.note(&deployment.id);
                tracing::debug!(host = %pass.host, deployment = %id, error = words(error.as_ref()), "asking again");
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
    pass: &Pass,
    deployment: &Deployment,
    id: &DeploymentId,
    left: Duration,
) -> Result<(Connection, ActivationReport, Observation), Box<dyn Error + Send + Sync>> {
    let timeouts = &pass.config.timeouts;
    let connections = &pass.setup.connections;
    let destinations = &pass.config.destinations;
    let connection = connections.reach(destinations, timeouts.connect).await?;
    let report = deploy::wait(&connection, id, left).await?;
    if report.verdict == ActivationVerdict::Awaiting {
        let fresh = proof::log_in(pass, &deployment.destination).await?;
        let looks = outside::look(&pass.config.proof).await;
        let report = deploy::acknowledge(&fresh, id, &looks, left).await?;
        let observation = deploy::observe(&fresh, timeouts.observe).await?;
        return Ok((fresh, report, observation));
    }
    let fresh: Result<Connection, SshError> = connections
        .reach_fresh(destinations, timeouts.connect)
        .await;
    let fresh = fresh?;
    let observation = deploy::observe(&fresh, timeouts.observe).await?;
    Ok((connection, report, observation))
}

/// A name that sorts by time and that no other deployment bears.
fn new_id(now: Timestamp) -> Result<DeploymentId, DeploymentIdError> {
    let time = now.strftime("%Y%m%dt%H%M%Sz");
    format!("{time}-{:08x}", rand::random::<u32>()).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployments_name_tells_when_it_began() {
        let id = new_id(Timestamp::UNIX_EPOCH).unwrap();
        assert!(id.as_str().starts_with("19700101t000000z-"), "{id}");
    }
}
