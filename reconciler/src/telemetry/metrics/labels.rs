//! Labels that are known before anything happens.

/// A part of the way from a push to a switched host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Fetching the repository.
    Fetch,
    /// Evaluating the flake.
    Evaluate,
    /// Asking the host what it runs.
    Observe,
    /// Building the system.
    Build,
    /// Copying it.
    Copy,
    /// Activating it and reading back.
    Activate,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 6] = [
        Self::Fetch,
        Self::Evaluate,
        Self::Observe,
        Self::Build,
        Self::Copy,
        Self::Activate,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Evaluate => "evaluate",
            Self::Observe => "observe",
            Self::Build => "build",
            Self::Copy => "copy",
            Self::Activate => "activate",
        }
    }
}

/// What came of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Branches had moved.
    Found,
    /// None had.
    Nothing,
    /// The repository could not be fetched.
    Failed,
}

impl Polled {
    /// Everything that can come of it.
    pub const ALL: [Self; 3] = [Self::Found, Self::Nothing, Self::Failed];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
        }
    }
}

/// What became of a change of the config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigChange {
    /// It was taken up.
    Reloaded,
    /// It cannot be used; what was in force stays.
    Refused,
}

impl ConfigChange {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Reloaded, Self::Refused];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Reloaded => "reloaded",
            Self::Refused => "refused",
        }
    }
}
