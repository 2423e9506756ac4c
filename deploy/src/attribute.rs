//! The name of a host inside the flake.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::printable::escaped;

/// Longer names than this are a mistake; host names end at 63.
const MAX_LENGTH: usize = 128;

/// A name under `nixosConfigurations` of the flake, for example `cyt-pi`.
///
/// Letters, digits, `-`, `_` and `.`, beginning with a letter, a digit or `_`, at most 128. It needs
/// quotes in Nix (a dot would separate attributes), but no escapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Attribute(String);

/// A text is not a name that can stand under `nixosConfigurations`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of a flake's nixosConfigurations: letters, digits, `-`, `_` and `.`, \
     beginning with a letter, a digit or `_`, at most {MAX_LENGTH}"
)]
pub struct AttributeError(String);

impl Attribute {
    /// The name as it is, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a person most likely meant by this one: that which takes the fewest edits, if they
    /// are few.
    pub(crate) fn nearest<'a>(&self, available: &'a [String]) -> Option<&'a str> {
        let wanted = self.0.to_lowercase();
        available
            .iter()
            .map(|name| {
                let edits = strsim::levenshtein(&wanted, &name.to_lowercase());
                (edits, name.as_str())
            })
            .filter(|(edits, name)| *edits <= wanted.len().max(name.len()) / 2)
            .min()
            .map(|(_, name)| name)
    }
}

impl FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let begins_well =
            text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        let all_are_good = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if begins_well && all_are_good && text.len() <= MAX_LENGTH {
            Ok(Self(text.to_owned()))
        } else {
            Err(AttributeError(escaped(text, MAX_LENGTH)))
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Attribute {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Attribute {
    type Error = AttributeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Attribute> for String {
    fn from(attribute: Attribute) -> String {
        attribute.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_are_accepted() {
        for good in [
            "cyt-pi",
            "uConsole",
            "lazyworkhorse",
            "a.example.org",
            "_x",
            "7",
        ] {
            assert_eq!(good.parse::<Attribute>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn what_would_need_an_escape_in_nix_is_refused() {
        for bad in [
            "",
            "-x",
            ".x",
            "a\"b",
            "a${b}",
            "a b",
            "a\\",
            "é",
            "a\n",
            &"a".repeat(129),
        ] {
            assert!(bad.parse::<Attribute>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let names = ["cyt-pi", "uConsole", "lazyworkhorse"].map(str::to_owned);
        let nearest = |wanted: &str, names| {
            wanted
                .parse::<Attribute>()
                .unwrap()
                .nearest(names)
                .map(str::to_owned)
        };
        assert_eq!(nearest("cyt_pi", &names[..]).as_deref(), Some("cyt-pi"));
        assert_eq!(nearest("uconsole", &names).as_deref(), Some("uConsole"));
        assert_eq!(
            nearest("lazyworkhrose", &names).as_deref(),
            Some("lazyworkhorse")
        );
        assert_eq!(nearest("zebra", &names), None);
        assert_eq!(nearest("zebra", &[]), None);
    }
}
