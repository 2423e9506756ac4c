//! Where a host's system is built.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a host's system is built.
///
/// As text: `here`, `target`, or anything else for [`BuildOn::Builder`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum BuildOn {
    /// On this machine, or on the builders that this machine's Nix has by itself.
    #[default]
    Here,
    /// On the host itself: for hosts of another architecture, or when this machine has little memory.
    Target,
    /// On another machine: an ssh destination (`user@builder`, an alias), or a whole line of Nix's
    /// `builders` setting (`ssh-ng://builder aarch64-linux - 4`; `nix.conf(5)`, "builders").
    Builder(String),
}

impl From<String> for BuildOn {
    fn from(text: String) -> Self {
        match text.trim() {
            "here" => Self::Here,
            "target" => Self::Target,
            builder => Self::Builder(builder.to_owned()),
        }
    }
}

impl FromStr for BuildOn {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

impl From<BuildOn> for String {
    fn from(on: BuildOn) -> String {
        on.to_string()
    }
}

impl fmt::Display for BuildOn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Here => "here",
            Self::Target => "target",
            Self::Builder(builder) => builder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_words_are_places_and_all_else_is_a_builder() {
        assert_eq!(BuildOn::from("here".to_owned()), BuildOn::Here);
        assert_eq!(BuildOn::from("target".to_owned()), BuildOn::Target);
        for builder in ["root@arm", "ssh-ng://arm aarch64-linux - 4"] {
            assert_eq!(
                BuildOn::from(builder.to_owned()),
                BuildOn::Builder(builder.to_owned())
            );
            assert_eq!(BuildOn::from(builder.to_owned()).to_string(), builder);
        }
    }
}
