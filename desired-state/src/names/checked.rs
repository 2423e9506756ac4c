//! What all checked names of this crate share: one error, and one way to be made and read.

use crate::shown::shown;

/// How much of a refused text an error message shows, in characters: enough to find it, too little to fill a log.
const SHOWN: usize = 80;

/// Says why a text is not the kind of name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {what}: {why}")]
pub struct Invalid {
    what: &'static str,
    text: String,
    why: &'static str,
}

impl Invalid {
    /// Refuses `text` as a `what`.
    pub(crate) fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self {
            what,
            text: shown(text, SHOWN),
            why,
        }
    }

    /// What the text should have been, for instance "host name".
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The rule that the text breaks.
    #[must_use]
    pub fn why(&self) -> &'static str {
        self.why
    }
}

/// Makes a newtype around a text that a function checks: the only way to have one is to pass the check.
///
/// The check is a `fn(&str) -> Result<(), &'static str>` that returns the rule that is broken.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::names::checked::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(why) => Err($crate::names::checked::Invalid::new($what, &text, why)),
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::names::checked::Invalid;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::try_from(text.to_owned())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::names::checked::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(super) use checked_text;

#[cfg(test)]
mod tests;
