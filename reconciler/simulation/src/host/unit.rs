//! A deployment on its host: `/run/reconcile/ID`.

use deploy::{ActivationRequest, ActivationVerdict, FromOutside, Toplevel};
use tokio::time::Instant;

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is changed yet.
    Preparing,
    /// The new system is being activated.
    Activating,
    /// It runs, and is looked at.
    Settling,
    /// It waits for the acknowledgement.
    Awaiting,
    /// It is made the boot default.
    Committing,
    /// The old system is being activated again.
    GoingBack,
}

/// By which connection a login was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcknowledgedBy {
    /// One that was made since the system runs.
    NewLogin,
    /// One that there was before.
    OldConnection,
}

/// A deployment on its host.
#[derive(Debug, Clone)]
pub struct Unit {
    /// What is to be done.
    pub request: ActivationRequest,
    /// How far it is.
    pub phase: Phase,
    /// How it ended.
    pub verdict: Option<ActivationVerdict>,
    /// When it ended.
    pub ended: Option<Instant>,
    /// What was decided while it waited: by whom, and how it looks from outside.
    pub decision: Option<(AcknowledgedBy, FromOutside)>,
    /// Since when it waits.
    pub awaiting_since: Option<Instant>,
    /// The units that were failed when it ended.
    pub failed_units: Vec<String>,
    /// What the profile named when it began.
    pub old_profile: Option<(u32, Toplevel)>,
}

impl Unit {
    /// One that has just begun.
    pub fn new(request: ActivationRequest) -> Self {
        Self {
            request,
            phase: Phase::Preparing,
            verdict: None,
            ended: None,
            decision: None,
            awaiting_since: None,
            failed_units: Vec::new(),
            old_profile: None,
        }
    }

    /// Whether it runs `switch-to-configuration` now.
    pub fn holds_the_switch(&self) -> bool {
        let switches = matches!(
            self.phase,
            Phase::Activating | Phase::Committing | Phase::GoingBack
        );
        switches && self.verdict.is_none()
    }

    /// Whether it waits for an acknowledgement that nobody has given.
    pub fn is_awaiting(&self) -> bool {
        self.phase == Phase::Awaiting && self.decision.is_none() && self.verdict.is_none()
    }
}
