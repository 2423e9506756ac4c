//! One attempt to bring a host somewhere, and how it ended.

use deploy::{Action, Observation, Outcome, Toplevel};
use desired_state::{Deployment, HistoryEntry, HostName};
use jiff::Timestamp;

use crate::model::goal::{Goal, GoalKind, Target};
use crate::model::history::HistoryKind;

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
    pub fn kind(self) -> HistoryKind {
        match self {
            Self::Deployment => HistoryKind::Deployment,
            Self::Reboot => HistoryKind::Reboot,
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// What it was for.
    pub goal: Goal,
    /// What was done.
    pub work: Work,
    /// The system, once known.
    pub toplevel: Option<Toplevel>,
    /// When it began.
    pub began: Timestamp,
    /// The deployment's name in the state and on the host, if it got so far.
    pub id: Option<String>,
    /// How.
    pub outcome: Outcome,
    /// What the host said about itself afterwards, over a new connection.
    pub read_back: Option<Observation>,
    /// Whether the activation broke off, and on which boot of the host.
    pub broke_off_on_boot: Option<String>,
    /// The last lines of output.
    pub output: String,
}

impl Attempt {
    /// An attempt of which no more is known than how it ended: nothing was started on the host.
    pub fn of_goal(
        goal: &Goal,
        toplevel: Option<Toplevel>,
        began: Timestamp,
        outcome: Outcome,
    ) -> Self {
        Self {
            goal: goal.clone(),
            work: Work::Deployment,
            toplevel,
            began,
            id: None,
            outcome,
            read_back: None,
            broke_off_on_boot: None,
            output: String::new(),
        }
    }

    /// The end of a deployment that was written down when it began; an action of another version
    /// is taken for the configured one.
    pub fn of_deployment(deployment: &Deployment, configured: Action, outcome: Outcome) -> Self {
        let goal = Goal {
            target: Target {
                revision: deployment.revision.clone(),
                action: deployment.action.parse().unwrap_or(configured),
            },
            since: deployment.started_at,
            cause: deployment.trigger.clone().into(),
            kind: GoalKind::Persistent,
        };
        Self {
            id: Some(deployment.id.clone()),
            ..Self::of_goal(
                &goal,
                deployment.toplevel.parse().ok(),
                deployment.started_at,
                outcome,
            )
        }
    }

    /// Whether the history has an entry for it: what a newer wish overtakes, or a host that is off,
    /// is no deployment unless something was started there.
    pub fn is_told(&self) -> bool {
        self.id.is_some() || self.outcome.is_success() || self.outcome.is_failure()
    }

    /// The history's entry that says so, at the time when it ended.
    pub fn entry(&self, host: &HostName, now: Timestamp) -> HistoryEntry {
        let mut entry = self.work.kind().entry(now);
        entry.host = Some(host.clone());
        entry.revision = Some(self.goal.target.revision.clone());
        entry.toplevel = self.toplevel.as_ref().map(ToString::to_string);
        entry.action = Some(self.goal.target.action.name().to_owned());
        entry.outcome = Some(self.outcome.label().to_owned());
        entry.detail = self.outcome.to_string();
        entry.cause = Some(self.goal.cause.to_string());
        entry.deployment = self.id.clone();
        entry.started_at = Some(self.began);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, failed, goal, host, revision, toplevel};

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt::of_goal(&goal('a'), Some(toplevel("new")), at(10), outcome)
    }

    #[test]
    fn what_started_nothing_and_neither_succeeded_nor_failed_has_no_entry() {
        for (outcome, is_told) in [
            (Outcome::Converged, true),
            (failed(), true),
            (Outcome::Superseded, false),
            (Outcome::Cancelled { by: "ada".into() }, false),
        ] {
            let mut attempt = attempt(outcome);
            assert_eq!(attempt.is_told(), is_told, "{attempt:?}");
            attempt.id = Some("20270115t080500z-01234567".into());
            assert!(attempt.is_told(), "it was started there");
        }
    }

    #[test]
    fn an_entry_tells_what_was_done_why_and_how_it_ended() {
        let reboot = Attempt {
            work: Work::Reboot,
            ..attempt(Outcome::Rebooted)
        };
        let entry = reboot.entry(&host(), at(20));
        assert_eq!(HistoryKind::of(&entry), Some(HistoryKind::Reboot));
        assert_eq!((entry.started_at, entry.at), (Some(at(10)), at(20)));
        assert_eq!(
            (entry.host, entry.revision),
            (Some(host()), Some(revision('a')))
        );
        assert_eq!(entry.toplevel, Some(toplevel("new").to_string()));
        assert_eq!(entry.action.as_deref(), Some("switch"));
        assert_eq!(entry.outcome.as_deref(), Some("rebooted"));
        assert_eq!(entry.detail, Outcome::Rebooted.to_string());
        assert_eq!(entry.cause.as_deref(), Some("poll"));
    }

    #[test]
    fn a_deployment_by_an_action_of_another_version_is_taken_for_the_configured_one() {
        let mut deployment = Deployment {
            id: "20270115t080500z-01234567".into(),
            host: host(),
            revision: revision('a'),
            toplevel: toplevel("new").to_string(),
            old_toplevel: toplevel("old").to_string(),
            action: "test".into(),
            boot_id: "before".into(),
            destination: "cyt-pi".into(),
            started_at: at(10),
            trigger: "pin by ada".into(),
        };
        for (action, taken) in [("test", Action::Test), ("teleport", Action::Boot)] {
            deployment.action = action.into();
            let attempt = Attempt::of_deployment(&deployment, Action::Boot, failed());
            assert_eq!(attempt.goal.target.action, taken);
            assert_eq!(attempt.id.as_ref(), Some(&deployment.id));
            assert_eq!(attempt.goal.cause.to_string(), "pin by ada");
            assert_eq!((attempt.began, attempt.goal.since), (at(10), at(10)));
        }
    }
}
