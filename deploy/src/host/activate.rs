//! Activates a system on a host, detached from our connection.
//!
//! On the host runs `supervisor/*.sh`, as a transient unit of its own (`systemd-run(1)`), without a pipe
//! to us: a connection that drops, or a daemon that is killed, leaves it alone, and whoever comes back
//! asks for it by its id. What it did is in `/run/reconcile/<id>`, until [`clean_up`].
//!
//! The new system stays only once it has proven itself, see [`Proof`]: [`wait`] comes back with
//! [`ActivationVerdict::Awaiting`], and somebody has to [`acknowledge`] over a connection made since.

mod id;
mod proof;
mod report;
mod rollback_reason;
mod verdict;

pub use id::{DeploymentId, DeploymentIdError};
pub use proof::{FromOutside, HostProbe, OnDegraded, OnRollbackFailed, Proof};
pub use report::{ActivationReport, Step};
pub use rollback_reason::RollbackReason;
pub use verdict::ActivationVerdict;

use std::time::Duration;

use tokio::time::Instant;

use crate::action::Action;
use crate::host::script::{ended, last_line, script};
use crate::min_free::MinFree;
use crate::shell::NulByte;
use crate::specialisation::RunsAs;
use crate::ssh::{Completed, Connection, Privilege, RemoteCommand, SshError};
use crate::toplevel::Toplevel;

/// What is to be activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationRequest {
    /// The name of the deployment; a repeated start with the same id does nothing.
    pub id: DeploymentId,
    /// What to do; never [`Action::Build`].
    pub action: Action,
    /// The system, already copied to the host.
    pub new: Toplevel,
    /// What of it runs: itself, or one of its specialisations. It boots itself in any case.
    pub runs_as: RunsAs,
    /// What the host was seen to run; if it runs something else by now, the start is refused.
    pub observed: Toplevel,
    /// How long the host lets one activation run, this one or the one back; whole seconds, at least
    /// one.
    pub timeout: Duration,
    /// What the system has to prove before it stays.
    pub proof: Proof,
    /// What has to stay free on `/boot`: a system that does not fit beside it is refused before anything is changed.
    pub min_free_boot: MinFree,
}

/// What a start did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// The activation runs now.
    New,
    /// It had been started under this id before.
    Already,
}

/// Why an activation could not be started or followed. What the activation itself did is never an
/// error but an [`ActivationVerdict`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivateError {
    /// The action [`Action::Build`] has nothing to activate.
    #[error("the action `{0}` does not activate anything")]
    NothingToActivate(Action),
    /// What the system has to prove cannot be asked of a shell.
    #[error("the host cannot be told what the system has to prove: {0}")]
    NulByte(#[from] NulByte),
    /// The connection failed; whether the activation runs is unknown, ask again with the same id.
    #[error("the connection failed while {step}")]
    Ssh {
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: SshError,
    },
    /// The host could not start the unit.
    #[error("the host could not start the activation: {detail}")]
    NotStarted {
        /// What the host printed.
        detail: String,
    },
    /// The host's answer makes no sense.
    #[error("the host's answer while {step} cannot be read: {detail}")]
    Unreadable {
        /// What was being done.
        step: &'static str,
        /// The beginning of the answer.
        detail: String,
    },
}

impl ActivateError {
    /// Whether asking again can succeed.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            ActivateError::NothingToActivate(_) | ActivateError::NulByte(_) => false,
            ActivateError::Ssh { source, .. } => source.is_worth_retrying(),
            ActivateError::NotStarted { .. } | ActivateError::Unreadable { .. } => true,
        }
    }
}

/// What runs on the host, as one script; the plan comes before it.
const SUPERVISOR: &str = concat!(
    include_str!("holder.sh"),
    include_str!("platform.sh"),
    include_str!("supervisor/steps.sh"),
    include_str!("supervisor/room.sh"),
    include_str!("supervisor/health.sh"),
    include_str!("supervisor/switching.sh"),
    include_str!("supervisor/specialisation.sh"),
    include_str!("supervisor/activation.sh"),
    include_str!("supervisor/ending.sh"),
    include_str!("supervisor/calls.sh"),
);

/// Saves the supervisor, which is the input, as a file before it runs: cut off on the way, it does
/// nothing, because what calls the rest is its last line. It has no quote and no backslash.
const RECEIVE: &str = "umask 077; mkdir -p /run/reconcile && cat >/run/reconcile/.$1.$$ && \
exec /bin/sh /run/reconcile/.$1.$$ start \"$@\"";

/// How long the host may take to start a unit: it writes a file and asks systemd.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one waiting command lasts. When the connection is lost it stays on the host until then.
const ONE_WAIT: Duration = Duration::from_secs(60);
/// How much longer than it promised a waiting command may take until it is given up.
const WAIT_SLACK: Duration = Duration::from_secs(20);
/// How long removing a folder and resetting a unit may take.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(30);
/// The steps and the last 16 KiB of the output, with room.
const REPORT_LIMIT: usize = 64 * 1024;

/// Starts the activation as a transient unit `reconcile-<id>` and returns as soon as it runs.
///
/// Harmless to repeat with the same id, also when an earlier call's connection was lost.
pub async fn start(
    connection: &Connection,
    request: &ActivationRequest,
) -> Result<Started, ActivateError> {
    if !request.action.touches_host() {
        return Err(ActivateError::NothingToActivate(request.action));
    }
    let step = "starting the activation";
    let limit = request.proof.limit(request.timeout).as_secs().to_string();
    let check_boot = match request.min_free_boot.is_checked() {
        true => "yes",
        false => "no",
    };
    let boot_reserve = request.min_free_boot.as_bytes();
    let room = format!("check_boot={check_boot}\nboot_reserve={boot_reserve}\n");
    let script =
        request.proof.plan(request.timeout)? + &room + &request.runs_as.plan() + SUPERVISOR;
    let command = RemoteCommand::new("/bin/sh")
        .arguments(["-c", RECEIVE, "sh", request.id.as_str()])
        .arguments([request.action.name()])
        .arguments([request.new.as_str(), request.observed.as_str(), &limit])
        .stdin(script)
        .privilege(Privilege::Root)
        .timeout(START_TIMEOUT);
    let completed = run(connection, command, step).await?;
    match last_line(&completed.text()) {
        "new" => Ok(Started::New),
        "already" => Ok(Started::Already),
        "not-started" => Err(ActivateError::NotStarted {
            detail: completed.complaint(),
        }),
        _ => Err(unreadable(step, &completed)),
    }
}

/// Waits until the activation has ended, or asks for an acknowledgement
/// ([`ActivationVerdict::Awaiting`]), or `timeout` is over ([`ActivationVerdict::StillRunning`]).
///
/// Works for any deployment whose id is known, also one that an earlier process started. When the
/// connection is lost, call it again over another.
pub async fn wait(
    connection: &Connection,
    id: &DeploymentId,
    timeout: Duration,
) -> Result<ActivationReport, ActivateError> {
    follow(
        connection,
        id,
        timeout,
        "wait",
        None,
        "waiting for the activation",
    )
    .await
}

/// Tells the host that a login works, and how everything looks from here, and waits on as [`wait`] does.
/// To prove anything, `connection` must have been made after [`wait`] came back with
/// [`ActivationVerdict::Awaiting`].
///
/// It may come too late: the host has decided by then, and the report tells. Harmless to repeat.
pub async fn acknowledge(
    connection: &Connection,
    id: &DeploymentId,
    looks: &FromOutside,
    timeout: Duration,
) -> Result<ActivationReport, ActivateError> {
    let step = "acknowledging the activation";
    let failed = match looks {
        FromOutside::Good => None,
        FromOutside::Failed { probe } => Some(proof::plain_name(probe)),
    };
    follow(connection, id, timeout, "acknowledge", failed, step).await
}

async fn follow(
    connection: &Connection,
    id: &DeploymentId,
    timeout: Duration,
    verb: &str,
    more: Option<String>,
    step: &'static str,
) -> Result<ActivationReport, ActivateError> {
    let deadline = Instant::now() + timeout;
    loop {
        let this_time = deadline
            .saturating_duration_since(Instant::now())
            .min(ONE_WAIT);
        let seconds = this_time.as_secs_f64().ceil().to_string();
        let mut words = vec![verb, id.as_str(), &seconds];
        words.extend(more.as_deref());
        let command = script(SUPERVISOR, words)
            .timeout(this_time + WAIT_SLACK)
            .output_limit(REPORT_LIMIT);
        let completed = run(connection, command, step).await?;
        let report = ActivationReport::read(&completed.stdout)
            .ok_or_else(|| unreadable(step, &completed))?;
        if report.verdict != ActivationVerdict::StillRunning || Instant::now() >= deadline {
            return Ok(report);
        }
    }
}

/// Removes what an ended deployment left on the host. Does nothing to one that runs.
pub async fn clean_up(connection: &Connection, id: &DeploymentId) -> Result<(), ActivateError> {
    let step = "cleaning up after the activation";
    let command = script(SUPERVISOR, ["clean", id.as_str()]).timeout(CLEAN_TIMEOUT);
    let completed = run(connection, command, step).await?;
    match last_line(&completed.text()) {
        "clean" | "running" => Ok(()),
        _ => Err(unreadable(step, &completed)),
    }
}

async fn run(
    connection: &Connection,
    command: RemoteCommand,
    step: &'static str,
) -> Result<Completed, ActivateError> {
    connection
        .run(command)
        .await
        .map_err(|source| ActivateError::Ssh { step, source })
}

fn unreadable(step: &'static str, completed: &Completed) -> ActivateError {
    ActivateError::Unreadable {
        step,
        detail: ended(completed),
    }
}
