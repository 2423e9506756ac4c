//! Every way a deployment ends, and what follows from each.

mod display;
mod reported;

use serde::{Deserialize, Serialize};

use crate::host::activate::RollbackReason;
use crate::host::reboot::BootEntry;

/// How a deployment, one attempt to bring one host to one system, ended.
///
/// | outcome | what is true on the host | in sync | what follows |
/// |---|---|---|---|
/// | `converged` | the system is there | yes | nothing |
/// | `degraded` | the system is there, some units are failed (exit 4) | yes | nothing; people look at the units |
/// | `built`, `dry_activated` | untouched, as asked | no | nothing, until the next revision |
/// | `reboot_required` | the system cannot be activated live (exit 100), nothing changed | no | nothing, until a person or a policy reboots |
/// | `rebooted` | it has booted the system | yes | nothing |
/// | `booted_another` | it came back from its reboot on another system | no | nothing: it is left there, and not rebooted again by itself |
/// | `did_not_come_back` | unknown: it does not answer since it was told to reboot, and its deadline is over | unknown | nothing: a person is needed; it is not rebooted again by itself |
/// | `did_not_reboot` | as before: it was told to reboot, and did not | as before | nothing: it is not told again by itself |
/// | `activation_refused` | the activation said no before it changed anything (exit 1) | no | backoff; nothing until the revision changes where a check of the system itself refused, or nothing in it can be switched to |
/// | `wrong_platform` | untouched: the system was built for another platform than the host's | no | nothing, until another revision |
/// | `no_space` | untouched: what the system needs does not fit on the host | no | backoff |
/// | `rolled_back` | the old system is there again: the new one failed to activate, to prove itself or to become the boot default | no | quarantine: nothing, until another system is wanted, the config changes or a person says `--force`; backoff if it only was that nobody of us was there to acknowledge |
/// | `rollback_failed` | neither the new system nor the old one is wholly there | no | nothing: a person is needed |
/// | `changed_meanwhile` | somebody else changed the system or the profile during the deployment; theirs is kept | unknown | look again soon |
/// | `activation_failed` | a step failed, and there was nothing to go back to: nothing was changed yet, or it ran this system before | no | backoff |
/// | `activation_interrupted` | untouched: it was killed before it changed anything; or booted anew: the host went down in the middle | no | backoff |
/// | `locked` | untouched: another switch is running there | no | backoff |
/// | `observed_changed` | untouched: it ran something else by the time we started | no | look again soon |
/// | `vanished` | unknown: the host rebooted, or the start never arrived | unknown | look again soon |
/// | `unreachable` | unknown | unknown | backoff; never counted as a failed deployment |
/// | `access_refused` | untouched: key, host key or `sudo` is wrong | no | backoff, a person is needed |
/// | `evaluation_failed`, `build_failed`, `copy_failed` | untouched | no | backoff when transient, else nothing until the revision changes |
/// | `timed_out` | unknown if it was in the activation, else untouched | no | backoff |
/// | `superseded` | untouched: a newer wish arrived | no | the newer wish, soon |
/// | `cancelled` | untouched, or as far as it had come | no | nothing; a person asked for it |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The host was read back and runs what it should.
    Converged,
    /// As [`Outcome::Converged`], but units are failed (`switch-to-configuration` exit code 4).
    Degraded {
        /// The failed units, as systemd names them.
        units: Vec<String>,
    },
    /// The action `build` has been done.
    Built,
    /// The action `dry-activate` has been done.
    DryActivated,
    /// The system can only be reached by a reboot; nothing was changed.
    RebootRequired {
        /// What makes it so, in words.
        reasons: Vec<String>,
    },
    /// It was told to reboot, and has booted the system.
    Rebooted,
    /// It was told to reboot, and has booted another system.
    BootedAnother {
        /// The system that it has booted.
        booted: String,
        /// The system that it was to boot.
        wanted: String,
    },
    /// It was told to reboot, and has not answered since.
    DidNotComeBack {
        /// What it was to boot.
        entry: BootEntry,
        /// Why it does not answer.
        detail: String,
    },
    /// It was told to reboot, and still is on the same boot.
    DidNotReboot {
        /// What is known about it.
        detail: String,
    },
    /// The activation refused before it changed anything.
    ActivationRefused {
        /// The last lines that it printed.
        detail: String,
        /// Whether the same system can be taken later.
        #[serde(default)]
        transience: Transience,
    },
    /// The system was built to run on another platform than the host's.
    WrongPlatform {
        /// The system's, as Nix names it: `aarch64-linux`.
        system: String,
        /// The host's.
        host: String,
    },
    /// What the system needs does not fit on the host.
    NoSpace {
        /// Where: `/nix/store` or `/boot`.
        place: String,
        /// What would be brought there, in bytes.
        needed: u64,
        /// What is free there, in bytes.
        free: u64,
        /// What has to stay free there, in bytes.
        reserve: u64,
    },
    /// The system could not stay, and the host is back on the one before.
    RolledBack {
        /// Why it could not stay.
        reason: RollbackReason,
        /// The last lines that were printed.
        detail: String,
    },
    /// The system could not stay, and going back failed too.
    RollbackFailed {
        /// The step of going back that failed: `restore`, `restore-profile`, `restore-boot` …
        step: String,
        /// Its exit code.
        code: Option<i32>,
        /// Why the system could not stay.
        reason: RollbackReason,
        /// The last lines that were printed.
        detail: String,
    },
    /// Somebody else changed the host during the deployment, and theirs was left alone.
    ChangedMeanwhile {
        /// What they changed, and to what.
        what: String,
    },
    /// A step failed where there was nothing to go back to.
    ActivationFailed {
        /// The step that failed: `keep`, `sync`, `test` …
        step: String,
        /// Its exit code; above 128 it was killed by the signal of that number less 128.
        code: Option<i32>,
        /// The last lines that it printed.
        detail: String,
    },
    /// The activation was killed or its time ran out on the host.
    ActivationInterrupted {
        /// What systemd says about the end of the unit: `timeout`, `signal`, `oom-kill` …
        cause: String,
    },
    /// Another switch holds the lock.
    Locked {
        /// The holder: process id, command, unit.
        by: String,
    },
    /// The host ran something else than what the decision was made on.
    ObservedChanged {
        /// What it ran by then.
        running: String,
    },
    /// The traces of the deployment are gone.
    Vanished {
        /// What is known about it.
        detail: String,
    },
    /// The host could not be reached; what runs there is unknown.
    Unreachable {
        /// By destination, what failed.
        detail: String,
    },
    /// The host was reached and did not let us in, or not become root.
    AccessRefused {
        /// What was refused, and the mend.
        detail: String,
    },
    /// The flake could not be evaluated.
    EvaluationFailed {
        /// What Nix said.
        detail: String,
        /// Whether trying again makes sense.
        transience: Transience,
    },
    /// The system could not be built.
    BuildFailed {
        /// What Nix said.
        detail: String,
        /// Whether trying again makes sense.
        transience: Transience,
    },
    /// The system could not be copied to the host.
    CopyFailed {
        /// What Nix said.
        detail: String,
        /// Whether trying again makes sense.
        transience: Transience,
    },
    /// A phase took longer than it may.
    TimedOut {
        /// The phase: `evaluate`, `build`, `copy`, `activate` …
        phase: String,
    },
    /// A newer wish made this deployment pointless.
    Superseded,
    /// A person ended it.
    Cancelled {
        /// Who.
        by: String,
    },
}

/// Whether the same attempt can succeed later without anybody changing the revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transience {
    /// It can: a network, a lock, a full disk.
    #[default]
    Transient,
    /// It cannot: the source itself is wrong.
    Permanent,
}

impl Transience {
    /// From an error's own `is_worth_retrying()`.
    pub fn when_retrying_is(worth_it: bool) -> Self {
        if worth_it {
            Transience::Transient
        } else {
            Transience::Permanent
        }
    }
}

/// When the same wish is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not before something changes: a revision, the configuration, a person.
    Never,
    /// After the host's backoff.
    Backoff,
    /// At the next look, without counting a failure.
    Soon,
}

impl Outcome {
    /// The value of the label `outcome` in metrics, history and JSON.
    pub const fn label(&self) -> &'static str {
        match self {
            Outcome::Converged => "converged",
            Outcome::Degraded { .. } => "degraded",
            Outcome::Built => "built",
            Outcome::DryActivated => "dry_activated",
            Outcome::RebootRequired { .. } => "reboot_required",
            Outcome::Rebooted => "rebooted",
            Outcome::BootedAnother { .. } => "booted_another",
            Outcome::DidNotComeBack { .. } => "did_not_come_back",
            Outcome::DidNotReboot { .. } => "did_not_reboot",
            Outcome::ActivationRefused { .. } => "activation_refused",
            Outcome::WrongPlatform { .. } => "wrong_platform",
            Outcome::NoSpace { .. } => "no_space",
            Outcome::RolledBack { .. } => "rolled_back",
            Outcome::RollbackFailed { .. } => "rollback_failed",
            Outcome::ChangedMeanwhile { .. } => "changed_meanwhile",
            Outcome::ActivationFailed { .. } => "activation_failed",
            Outcome::ActivationInterrupted { .. } => "activation_interrupted",
            Outcome::Locked { .. } => "locked",
            Outcome::ObservedChanged { .. } => "observed_changed",
            Outcome::Vanished { .. } => "vanished",
            Outcome::Unreachable { .. } => "unreachable",
            Outcome::AccessRefused { .. } => "access_refused",
            Outcome::EvaluationFailed { .. } => "evaluation_failed",
            Outcome::BuildFailed { .. } => "build_failed",
            Outcome::CopyFailed { .. } => "copy_failed",
            Outcome::TimedOut { .. } => "timed_out",
            Outcome::Superseded => "superseded",
            Outcome::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether what was asked for has been done.
    pub const fn is_success(&self) -> bool {
        matches!(
            self,
            Outcome::Converged
                | Outcome::Degraded { .. }
                | Outcome::Rebooted
                | Outcome::Built
                | Outcome::DryActivated
        )
    }

    /// Whether the host now is where the wish wants it.
    pub const fn is_in_sync(&self) -> bool {
        matches!(
            self,
            Outcome::Converged | Outcome::Degraded { .. } | Outcome::Rebooted
        )
    }

    /// Whether this counts as a failed deployment of that system. A host that is off, a lock that
    /// somebody holds, or a change of mind say nothing about the system.
    pub const fn is_failure(&self) -> bool {
        match self {
            Outcome::Converged
            | Outcome::Degraded { .. }
            | Outcome::Rebooted
            | Outcome::Built
            | Outcome::DryActivated
            | Outcome::Locked { .. }
            | Outcome::ObservedChanged { .. }
            | Outcome::ChangedMeanwhile { .. }
            | Outcome::Vanished { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Superseded
            | Outcome::Cancelled { .. } => false,
            Outcome::RolledBack { reason, .. } => reason.is_the_systems(),
            Outcome::RollbackFailed { .. }
            | Outcome::RebootRequired { .. }
            | Outcome::BootedAnother { .. }
            | Outcome::DidNotComeBack { .. }
            | Outcome::DidNotReboot { .. }
            | Outcome::ActivationRefused { .. }
            | Outcome::WrongPlatform { .. }
            | Outcome::NoSpace { .. }
            | Outcome::ActivationFailed { .. }
            | Outcome::ActivationInterrupted { .. }
            | Outcome::AccessRefused { .. }
            | Outcome::EvaluationFailed { .. }
            | Outcome::BuildFailed { .. }
            | Outcome::CopyFailed { .. }
            | Outcome::TimedOut { .. } => true,
        }
    }

    /// Whether this very system is kept from the host from now on, until a person or a change of the
    /// config says otherwise: it was tried there, and could not stay.
    pub const fn quarantines(&self) -> bool {
        match self {
            Outcome::RolledBack { reason, .. } => reason.is_the_systems(),
            Outcome::RollbackFailed { .. } => true,
            _ => false,
        }
    }

    /// When the same wish is tried again.
    pub const fn retry(&self) -> Retry {
        match self {
            Outcome::RolledBack { reason, .. } if !reason.is_the_systems() => Retry::Backoff,
            Outcome::RolledBack { .. } | Outcome::RollbackFailed { .. } => Retry::Never,
            Outcome::Converged
            | Outcome::Degraded { .. }
            | Outcome::Built
            | Outcome::DryActivated
            | Outcome::RebootRequired { .. }
            | Outcome::WrongPlatform { .. }
            | Outcome::Rebooted
            | Outcome::BootedAnother { .. }
            | Outcome::DidNotComeBack { .. }
            | Outcome::DidNotReboot { .. }
            | Outcome::Cancelled { .. } => Retry::Never,
            Outcome::NoSpace { .. }
            | Outcome::ActivationFailed { .. }
            | Outcome::ActivationInterrupted { .. }
            | Outcome::Locked { .. }
            | Outcome::Unreachable { .. }
            | Outcome::AccessRefused { .. }
            | Outcome::TimedOut { .. } => Retry::Backoff,
            Outcome::ObservedChanged { .. }
            | Outcome::ChangedMeanwhile { .. }
            | Outcome::Vanished { .. }
            | Outcome::Superseded => Retry::Soon,
            Outcome::ActivationRefused { transience, .. }
            | Outcome::EvaluationFailed { transience, .. }
            | Outcome::BuildFailed { transience, .. }
            | Outcome::CopyFailed { transience, .. } => match transience {
                Transience::Transient => Retry::Backoff,
                Transience::Permanent => Retry::Never,
            },
        }
    }
}

#[cfg(test)]
mod tests;
