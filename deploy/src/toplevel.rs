//! Store paths that have been checked: a built system, and the derivation that builds it.
//!
//! Everything that names a store path in a command line comes through here, so that no outside text
//! (a host's answer, an evaluation's output, a record of our own) reaches a shell or Nix unchecked.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::printable::escaped;

/// The only store directory that binary caches and NixOS hosts use.
const STORE_DIRECTORY: &str = "/nix/store/";
/// The length of the hash part of a store path (160 bits in Nix's base 32; Nix manual, "Store path").
const HASH_LENGTH: usize = 32;
/// The digits of Nix's base 32: no `e`, `o`, `t`, `u` (Nix manual, "Nix32").
const BASE32_DIGITS: &str = "0123456789abcdfghijklmnpqrsvwxyz";
/// The longest name of a store path, without the hash (nix `store/path.cc`, `StorePath::MaxPathLen`).
const MAX_NAME_LENGTH: usize = 211;
/// How a derivation's file name ends.
const DERIVATION_EXTENSION: &str = ".drv";

/// Why a text is not a store path of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorePathError {
    /// The text does not begin with `/nix/store/`.
    #[error("`{0}` is not in /nix/store")]
    OutsideStore(String),
    /// The hash part is not 32 digits of Nix's base 32 followed by `-`.
    #[error("`{0}` has no valid store hash (32 characters of Nix's base 32, then `-`)")]
    BadHash(String),
    /// The name has a character that Nix does not allow, is empty, or is too long.
    #[error("`{0}` has no valid store name (letters, digits and `+-._?=`, at most 211)")]
    BadName(String),
    /// A derivation was wanted and this is something else.
    #[error("`{0}` is not a derivation (its name does not end in .drv)")]
    NotADerivation(String),
    /// A built system was wanted and this is a derivation.
    #[error("`{0}` is a derivation, not what it builds")]
    IsADerivation(String),
}

/// The toplevel of a NixOS system in the store: `/nix/store/<32 base32>-<name>`, never a derivation
/// and never a path below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Toplevel(String);

/// A store derivation: `/nix/store/<32 base32>-<name>.drv`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DerivationPath(String);

impl Toplevel {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without `/nix/store/` and the hash: what a person reads (`nixos-system-cyt-pi-25.11`).
    pub fn name(&self) -> &str {
        &self.0[STORE_DIRECTORY.len() + HASH_LENGTH + 1..]
    }
}

impl DerivationPath {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Toplevel {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        if text.ends_with(DERIVATION_EXTENSION) {
            return Err(StorePathError::IsADerivation(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for DerivationPath {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        if !text.ends_with(DERIVATION_EXTENSION) {
            return Err(StorePathError::NotADerivation(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Checks what every store path has: the directory, the hash and the name.
fn check(text: &str) -> Result<(), StorePathError> {
    let shown = || escaped(text, MAX_NAME_LENGTH);
    let Some(base) = text.strip_prefix(STORE_DIRECTORY) else {
        return Err(StorePathError::OutsideStore(shown()));
    };
    let hash_is_good = base
        .get(..HASH_LENGTH)
        .is_some_and(|hash| hash.chars().all(|digit| BASE32_DIGITS.contains(digit)));
    let Some(name) = base
        .get(HASH_LENGTH..)
        .and_then(|rest| rest.strip_prefix('-'))
    else {
        return Err(StorePathError::BadHash(shown()));
    };
    if !hash_is_good {
        return Err(StorePathError::BadHash(shown()));
    }
    let name_is_good = (1..=MAX_NAME_LENGTH).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte));
    if !name_is_good {
        return Err(StorePathError::BadName(shown()));
    }
    Ok(())
}

/// What both kinds of path are to the rest of the program: text that was checked.
macro_rules! checked_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<Path> for $name {
            fn as_ref(&self) -> &Path {
                Path::new(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = StorePathError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(path: $name) -> String {
                path.0
            }
        }
    };
}
checked_text!(Toplevel);
checked_text!(DerivationPath);

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8";

    #[test]
    fn a_path_as_nix_prints_it_is_read_and_shown_unchanged() {
        let text = format!("/nix/store/{HASH}-nixos-system-cyt-pi-25.11");
        let toplevel: Toplevel = text.parse().unwrap();
        assert_eq!(toplevel.to_string(), text);
        assert_eq!(toplevel.name(), "nixos-system-cyt-pi-25.11");
        assert_eq!(
            serde_json::to_string(&toplevel).unwrap(),
            format!("\"{text}\"")
        );
        assert_eq!(
            serde_json::from_str::<Toplevel>(&format!("\"{text}\"")).unwrap(),
            toplevel
        );
    }

    #[test]
    fn a_derivation_is_not_taken_for_a_system_nor_the_other_way_round() {
        let derivation = format!("/nix/store/{HASH}-system.drv");
        let system = format!("/nix/store/{HASH}-system");
        assert!(matches!(
            derivation.parse::<Toplevel>(),
            Err(StorePathError::IsADerivation(_))
        ));
        assert!(matches!(
            system.parse::<DerivationPath>(),
            Err(StorePathError::NotADerivation(_))
        ));
        assert!(derivation.parse::<DerivationPath>().is_ok());
    }

    #[test]
    fn what_could_reach_a_shell_or_leave_the_store_is_refused() {
        for bad in [
            "".to_owned(),
            "/nix/store/".to_owned(),
            format!("/nix/store/{HASH}"),
            format!("/nix/store/{HASH}-"),
            format!("/nix/store/{HASH}-.."),
            format!("/nix/store/{HASH}-a/../../../etc"),
            format!("/nix/store/{HASH}-a b"),
            format!("/nix/store/{HASH}-a;reboot"),
            format!("/nix/store/{HASH}-a\n"),
            format!("/nix/store/{HASH}-$(id)"),
            format!("/nix/store/{HASH}-ä"),
            format!("/nix/store/{}-a", HASH.replace('0', "e")),
            format!("/nix/store/{}é-a", &HASH[1..]),
            format!("/gnu/store/{HASH}-a"),
            format!("/nix/store/{HASH}-{}", "a".repeat(212)),
        ] {
            assert!(bad.parse::<Toplevel>().is_err(), "{bad:?} was accepted");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_either_refused_or_kept_as_it_is(text in "(/nix/store/)?[a-z0-9]{30,33}-?.{0,20}") {
            if let Ok(toplevel) = text.parse::<Toplevel>() {
                assert_eq!(toplevel.as_str(), text);
            }
        }
    }
}
