//! The kinds and outcomes of the history, as far as something is decided by them.

use desired_state::HistoryEntry;
use jiff::Timestamp;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryKind {
    /// The branch asks for another commit.
    Wish,
    /// The branch went, came back, or was rewound.
    Branch,
    /// An attempt to bring a host to a system.
    Deployment,
    /// A reboot of ours.
    Reboot,
    /// Something else than us changed a host.
    Drift,
    /// A host waits.
    Wait,
    /// A person pinned a host to a commit.
    Pin,
    /// A person let it follow its branch again.
    Unpin,
    /// A person suspended a host.
    Suspend,
    /// A person resumed it.
    Resume,
}

impl HistoryKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Wish,
        Self::Branch,
        Self::Deployment,
        Self::Reboot,
        Self::Drift,
        Self::Wait,
        Self::Pin,
        Self::Unpin,
        Self::Suspend,
        Self::Resume,
    ];

    /// As the history has it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Wish => "wish",
            Self::Branch => "branch",
            Self::Deployment => "deployment",
            Self::Reboot => "reboot",
            Self::Drift => "drift",
            Self::Wait => "wait",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    /// The kind of an entry; `None` where another version of this program wrote it.
    pub fn of(entry: &HistoryEntry) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.label() == entry.kind)
    }

    /// An entry of this kind that says no more than when.
    pub fn entry(self, at: Timestamp) -> HistoryEntry {
        HistoryEntry::new(at, self.label())
    }
}

/// How an attempt of the history ended, as far as something is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastOutcome {
    /// The system stayed.
    Stayed,
    /// The system could not stay.
    CouldNotStay,
    /// Nothing follows from it.
    Other,
}

/// The labels by which an attempt's system stayed ([`deploy::Outcome::label`]).
const STAYED: [&str; 3] = ["converged", "degraded", "rebooted"];

/// The labels by which it could not.
pub const COULD_NOT_STAY: [&str; 2] = ["rolled_back", "rollback_failed"];

impl PastOutcome {
    /// How an entry ended.
    pub fn of(entry: &HistoryEntry) -> Self {
        match entry.outcome.as_deref() {
            Some(label) if STAYED.contains(&label) => Self::Stayed,
            Some(label) if COULD_NOT_STAY.contains(&label) => Self::CouldNotStay,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use deploy::{Outcome, RollbackReason};

    use super::*;

    #[test]
    fn an_outcome_is_told_in_the_words_by_which_it_is_found_again() {
        let rolled_back = Outcome::RolledBack {
            reason: RollbackReason::NotAcknowledged,
            detail: String::new(),
        };
        let rollback_failed = Outcome::RollbackFailed {
            step: "restore".into(),
            code: None,
            reason: RollbackReason::NotAcknowledged,
            detail: String::new(),
        };
        for (outcome, expected) in [
            (Outcome::Converged, PastOutcome::Stayed),
            (Outcome::Rebooted, PastOutcome::Stayed),
            (rolled_back, PastOutcome::CouldNotStay),
            (rollback_failed, PastOutcome::CouldNotStay),
            (Outcome::Built, PastOutcome::Other),
            (Outcome::Superseded, PastOutcome::Other),
        ] {
            let mut entry = HistoryKind::Deployment.entry(Timestamp::UNIX_EPOCH);
            entry.outcome = Some(outcome.label().to_owned());
            assert_eq!(PastOutcome::of(&entry), expected, "{outcome:?}");
        }
    }
}
