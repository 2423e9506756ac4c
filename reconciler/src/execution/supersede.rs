//! Ends work that is not wanted any more.
//!
//! What is wanted can change at any instant: a push, a pin, a suspension, a corrected setting. So whoever works
//! subscribes **before** he reads what is wanted; what changes after that is either read, or noticed.

use std::future::Future;

use desired_state::{HostName, StoreError};
use planning::desired::desired;
use planning::maintenance::Openness;
use planning::model::cause::Cause;
use planning::model::goal::Goal;
use tokio::time::Instant;

use crate::config::Fingerprint;
use crate::context::ChangesSince;
use crate::execution::reconciliation::Reconciliation;

/// Why work is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Something else is wanted of the host: a newer commit, a pin, or the same by other settings.
    Superseded,
    /// A person has suspended the host.
    Suspended,
    /// It is of no fleet of ours any more.
    LeftFleet,
    /// Other hosts have rolled the commit back.
    HaltedBy(Vec<HostName>),
    /// Its window has closed.
    WindowClosed,
}

/// Whether what a reconciliation works for is still wanted.
#[derive(Debug)]
pub struct StillWanted<'r> {
    of: &'r Reconciliation,
    /// The settings that the work stands on.
    settings: Option<Fingerprint>,
    changes: ChangesSince,
}

impl<'r> StillWanted<'r> {
    /// From now on, nothing that changes is missed. To be called before what is wanted is read.
    pub fn from_now_on(of: &'r Reconciliation) -> Self {
        Self {
            of,
            settings: of.clients.config.fingerprint_of(&of.host),
            changes: of.context.wish_changes(),
        }
    }

    /// Does `work` until it ends, or until it is not wanted any more: then the work is dropped with every process
    /// it started.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn during<T>(
        &mut self,
        goal: &Goal,
        work: impl Future<Output = T>,
    ) -> Result<Result<T, Stop>, StoreError> {
        // Both are always polled: while one waits for the state, the other may be who holds it.
        tokio::select! {
            biased;
            done = work => Ok(Ok(done)),
            ended = self.until_not(goal) => ended.map(Err),
        }
    }

    /// Returns when `goal` is not wanted any more.
    async fn until_not(&mut self, goal: &Goal) -> Result<Stop, StoreError> {
        loop {
            self.changes.changed().await;
            if let Err(stop) = self.check(goal).await? {
                return Ok(stop);
            }
        }
    }

    /// Whether `goal` still is wanted.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn check(&self, goal: &Goal) -> Result<Result<(), Stop>, StoreError> {
        let Reconciliation { context, host, .. } = self.of;
        let clients = context.clients();
        let Some(config) = clients.host(host) else {
            return Ok(Err(Stop::LeftFleet));
        };
        let stored = context.store.host_record(host).await?;
        // A person who holds the host back is not one more push.
        if stored.suspension.is_some() && !self.of.asked().is_forced() {
            return Ok(Err(Stop::Suspended));
        }
        let order = self.of.order.as_ref();
        let now_wanted = desired(config, stored.pin.as_ref(), stored.wish.as_ref(), order).ok();
        let is_the_same = now_wanted.as_ref().map(|one| &one.target) == Some(goal.asked_for());
        if is_the_same && clients.config.fingerprint_of(host) == self.settings {
            return Ok(Ok(()));
        }
        // Patience is for pushes; a person's pin or order, and corrected settings, end work at once.
        let is_a_push =
            !is_the_same && now_wanted.is_some_and(|one| matches!(one.cause, Cause::Branch(_)));
        let starving = &context.registries.starving;
        if is_a_push && starving.is_out_of_patience(host, Instant::now()) {
            return Ok(Ok(()));
        }
        if is_a_push {
            starving.superseded(host, Instant::now());
        }
        Ok(Err(Stop::Superseded))
    }

    /// Whether the host may be changed for `goal` now. It may have waited for its turn for hours, and what was decided
    /// on then is looked at once more: what is wanted, how the commit fared elsewhere, the window.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn check_before_change(&self, goal: &Goal) -> Result<Result<(), Stop>, StoreError> {
        if let Err(stop) = self.check(goal).await? {
            return Ok(Err(stop));
        }
        let of = self.of;
        if of.order.is_none() {
            let by = of.halted_by(goal).await?;
            if !by.is_empty() {
                return Ok(Err(Stop::HaltedBy(by)));
            }
        }
        // A reboot has windows of its own, and is decided on once more.
        let has_a_window = goal.target.action.changes_host()
            && goal.cause != Cause::ForReboot
            && !of.asked().is_forced();
        if has_a_window && of.openness(of.now()) != Openness::Open {
            return Ok(Err(Stop::WindowClosed));
        }
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests;
