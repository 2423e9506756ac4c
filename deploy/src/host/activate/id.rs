//! The name under which a deployment runs on a host.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::printable::escaped;

/// The name of one deployment, chosen by us, under which it runs on the host: 8 to 64 of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeploymentId(String);

/// A text is not a [`DeploymentId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a deployment id (8 to 64 of a-z, 0-9 and `-`, not beginning with `-`)")]
pub struct DeploymentIdError(String);

/// The shortest and the longest id: long enough to be unique, short enough for a unit's name.
const ID_LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

impl DeploymentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeploymentId {
    type Err = DeploymentIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = ID_LENGTH.contains(&text.len())
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(DeploymentIdError(escaped(text, *ID_LENGTH.end())))
        }
    }
}

impl TryFrom<String> for DeploymentId {
    type Error = DeploymentIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DeploymentId> for String {
    fn from(id: DeploymentId) -> String {
        id.0
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl AsRef<str> for DeploymentId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_the_folder_or_the_units_name_is_refused() {
        assert!("d-20250101-abc".parse::<DeploymentId>().is_ok());
        for bad in [
            "",
            "short",
            "-2345678",
            "../../etc",
            "a/b/c/d/e",
            "ABCDEFGH",
            "abcdefg\n",
            "abcd efgh",
            "abcdefg$",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<DeploymentId>().is_err(), "{bad:?}");
        }
    }
}
