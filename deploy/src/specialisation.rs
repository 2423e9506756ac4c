//! Specialisations: variants of a system that lie in it, each a system of its own.
//!
//! A toplevel has them as links `specialisation/NAME` (nixpkgs,
//! `nixos/modules/system/activation/specialisation.nix`); who switches to one runs another store path
//! than the toplevel's own, and is still on that toplevel.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::toplevel::Toplevel;

/// A longer name is none that a boot menu could show.
const MAX_LENGTH: usize = 64;

/// The text is not the name of a specialisation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a specialisation's name has letters, digits, `_`, `-` and `.`, and begins with none of the last two"
)]
pub struct SpecialisationError;

/// The name of a specialisation: one file name, never an option.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Specialisation(String);

impl Specialisation {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Specialisation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Specialisation {
    type Err = SpecialisationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_name = (1..=MAX_LENGTH).contains(&text.len())
            && text.bytes().all(is_plain)
            && !text.starts_with(['-', '.']);
        match is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(SpecialisationError),
        }
    }
}

impl TryFrom<String> for Specialisation {
    type Error = SpecialisationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Specialisation> for String {
    fn from(specialisation: Specialisation) -> Self {
        specialisation.0
    }
}

/// That what runs is a specialisation of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialisationOf {
    /// Its name there.
    pub name: Specialisation,
    /// The system that it is one of.
    pub toplevel: Toplevel,
}

/// What of a system runs once it is activated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunsAs {
    /// The system itself.
    #[default]
    Base,
    /// The specialisation of this name, where the system has one; else the system itself.
    Kept(Specialisation),
    /// The specialisation of this name; a system without one is refused.
    Wanted(Specialisation),
}

impl RunsAs {
    /// Assignments of the supervisor's shell; a name needs no quotes there.
    pub(crate) fn plan(&self) -> String {
        let (name, rule) = match self {
            RunsAs::Base => ("", "kept"),
            RunsAs::Kept(name) => (name.as_str(), "kept"),
            RunsAs::Wanted(name) => (name.as_str(), "wanted"),
        };
        format!("specialisation={name}\nspecialisation_rule={rule}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specialisations_name_is_one_file_name_that_no_shell_takes_for_more() {
        for good in ["travel", "on-the-road", "gpu_passthrough", "a.b", "9"] {
            assert_eq!(good.parse::<Specialisation>().unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in [
            "", "..", ".x", "-x", "a/b", "a b", "a\n", "$(id)", "é", &long,
        ] {
            assert!(bad.parse::<Specialisation>().is_err(), "{bad:?}");
        }
    }
}
