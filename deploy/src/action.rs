//! What a deployment does with a built system, in `nixos-rebuild`'s own words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::printable::escaped;

/// The five actions, named as by `nixos-rebuild` (`nixos-rebuild(8)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Activate the system now and make it the boot default.
    Switch,
    /// Make the system the boot default, without activating it.
    Boot,
    /// Activate the system now; the next boot is as before.
    Test,
    /// Only build; the host is not touched.
    Build,
    /// Copy the system and show what an activation would do.
    DryActivate,
}

/// A text is none of the five actions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown action `{0}`: it is one of switch, boot, test, build, dry-activate")]
pub struct UnknownAction(String);

impl Action {
    /// All actions, in the order in which they are shown to people.
    pub const ALL: [Action; 5] = [
        Action::Switch,
        Action::Boot,
        Action::Test,
        Action::Build,
        Action::DryActivate,
    ];

    /// The name as a person writes it, which is also the argument of `switch-to-configuration`.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Switch => "switch",
            Action::Boot => "boot",
            Action::Test => "test",
            Action::Build => "build",
            Action::DryActivate => "dry-activate",
        }
    }

    /// Whether the system is copied to the host and a command runs there.
    pub const fn touches_host(self) -> bool {
        !matches!(self, Action::Build)
    }

    /// Whether the host runs the system afterwards.
    pub const fn activates(self) -> bool {
        matches!(self, Action::Switch | Action::Test)
    }

    /// Whether the system becomes the system profile and so the boot default.
    pub const fn sets_profile(self) -> bool {
        matches!(self, Action::Switch | Action::Boot)
    }

    /// Whether the host is another afterwards: in what it runs, or in what it boots.
    pub const fn changes_host(self) -> bool {
        self.activates() || self.sets_profile()
    }

    /// Whether a deployment that a person asked for pins the host to that revision: it changes the
    /// host for longer than the command runs, and the loop must not undo it.
    pub const fn becomes_pin(self) -> bool {
        self.changes_host()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Action::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or_else(|| UnknownAction(escaped(text, MAX_SHOWN)))
    }
}

/// How much of a wrong name is repeated in the error.
const MAX_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_is_the_same_in_json() {
        for action in Action::ALL {
            assert_eq!(action.name().parse::<Action>().unwrap(), action);
            assert_eq!(
                serde_json::to_string(&action).unwrap(),
                format!("\"{action}\"")
            );
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = "Switch\n".parse::<Action>().unwrap_err().to_string();
        assert!(error.contains("`Switch\\n`"), "{error}");
        assert!(error.contains("dry-activate"), "{error}");
    }

    #[test]
    fn what_each_action_does() {
        let table = Action::ALL.map(|action| {
            (
                action.touches_host(),
                action.activates(),
                action.sets_profile(),
                action.becomes_pin(),
            )
        });
        assert_eq!(
            table,
            [
                (true, true, true, true),     // switch
                (true, false, true, true),    // boot
                (true, true, false, true),    // test
                (false, false, false, false), // build
                (true, false, false, false),  // dry-activate
            ]
        );
    }
}
