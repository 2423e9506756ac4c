//! How one attempt to bring a host somewhere ended, and what is remembered of it.

use deploy::{Action, Connection, Observation, Outcome, Toplevel};
use desired_state::{Deployment, HistoryEntry, HostName};
use jiff::Timestamp;

use crate::activation::broke_off;
use crate::clock;
use crate::desired::{Desired, Standing};
use crate::memory::{Memory, Quarantine, Target};

/// What an attempt did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It brought the host to a system, or tried to.
    Deployment,
    /// It rebooted the host into one.
    Reboot,
}

impl Work {
    /// What the history calls it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Reboot => "reboot",
        }
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub struct Ended {
    /// What it was for.
    pub target: Target,
    /// Since when that was wanted.
    pub wanted_since: Timestamp,
    /// Whether the loop keeps the host there.
    pub standing: Standing,
    /// What was done.
    pub work: Work,
    /// The system, once known.
    pub toplevel: Option<Toplevel>,
    /// When it began.
    pub began: Timestamp,
    /// What led to it.
    pub cause: String,
    /// The deployment's name in the store and on the host, if it got so far.
    pub id: Option<String>,
    /// How.
    pub outcome: Outcome,
    /// What the host said about itself afterwards, over a new connection.
    pub read_back: Option<Observation>,
    /// Whether the activation broke off, and on which boot of the host.
    pub broke_off_on_boot: Option<String>,
    /// The last lines of output.
    pub output: String,
    /// The way to its host, for removing what the activation left there.
    pub connection: Option<Connection>,
    /// Whether the host got for the first time to where a push wants it.
    pub converged_anew: bool,
}

impl Ended {
    /// An attempt that ended before anything was started on the host.
    pub fn before_activation(
        desired: &Desired,
        toplevel: Option<Toplevel>,
        outcome: Outcome,
    ) -> Self {
        Self {
            target: desired.target.clone(),
            wanted_since: desired.since,
            standing: desired.standing.clone(),
            work: Work::Deployment,
            toplevel,
            began: clock::now(),
            cause: desired.cause.clone(),
            id: None,
            outcome,
            read_back: None,
            broke_off_on_boot: None,
            output: String::new(),
            connection: None,
            converged_anew: false,
        }
    }

    /// The end of a deployment that was written down when it began; an action of another version
    /// is taken for the configured one.
    pub fn of(deployment: &Deployment, configured: Action, outcome: Outcome) -> Self {
        Self {
            target: Target {
                revision: deployment.revision.clone(),
                action: deployment.action.parse().unwrap_or(configured),
            },
            wanted_since: deployment.started_at,
            standing: Standing::Kept,
            work: Work::Deployment,
            toplevel: deployment.toplevel.parse().ok(),
            began: deployment.started_at,
            cause: deployment.trigger.clone(),
            id: Some(deployment.id.clone()),
            outcome,
            read_back: None,
            broke_off_on_boot: None,
            output: String::new(),
            connection: None,
            converged_anew: false,
        }
    }

    /// Whether the history has a line for it: what a newer wish overtakes, or a host that is off,
    /// is no deployment unless something was started there.
    pub fn is_told(&self) -> bool {
        self.id.is_some() || self.outcome.is_success() || self.outcome.is_failure()
    }

    /// The line of the history that says so.
    pub fn history(&self, host: &HostName) -> HistoryEntry {
        let mut entry = HistoryEntry::new(clock::now(), self.work.kind());
        entry.host = Some(host.clone());
        entry.revision = Some(self.target.revision.clone());
        entry.toplevel = self.toplevel.as_ref().map(ToString::to_string);
        entry.action = Some(self.target.action.name().to_owned());
        entry.outcome = Some(self.outcome.label().to_owned());
        entry.detail = self.outcome.to_string();
        entry.cause = Some(self.cause.clone());
        entry.deployment = self.id.clone();
        entry.started_at = Some(self.began);
        entry
    }
}

impl Memory {
    /// Writes down what an attempt did to the host.
    pub fn note_activation(&mut self, ended: &Ended) {
        let Some(toplevel) = &ended.toplevel else {
            return;
        };
        match ended.outcome {
            Outcome::Built | Outcome::DryActivated => {
                self.done_once = Some((ended.target.action, toplevel.clone()));
            }
            _ => {}
        }
        if ended.outcome.quarantines() {
            self.quarantine = Some(Quarantine {
                toplevel: toplevel.clone(),
                outcome: ended.outcome.clone(),
                since: clock::now(),
            });
        }
        if let Some(boot) = &ended.broke_off_on_boot {
            self.broken_activation = Some((toplevel.clone(), boot.clone()));
        } else if ended.outcome.is_in_sync() && ended.target.action != Action::Boot {
            self.broken_activation = None;
        }
        if ended.target.action.sets_profile() {
            if ended.outcome.is_in_sync() {
                self.half_installed = None;
            } else if broke_off(&ended.outcome) {
                // The next look says that it is not, where its profile is another.
                self.half_installed = Some(toplevel.clone());
            }
        }
    }
}
