//! What is wrong with a value, before it is known where the value stands.

use super::diagnostics::{Diagnostic, Origin};
use super::masking::may_hold_a_secret;

/// The longest part of a value that a message repeats, in characters.
const SHOWN: usize = 80;

/// What is wrong with a value, before it is known where it stands.
pub struct Problem {
    what: String,
    why: String,
    help: String,
}

impl Problem {
    /// What was found on one line, why that does not do, and what to write instead.
    pub fn new(
        what: impl Into<String>,
        why: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        Problem {
            what: what.into(),
            why: why.into(),
            help: help.into(),
        }
    }

    /// The same, said of the key `path`.
    pub fn named(self, path: &str) -> Problem {
        Problem {
            what: format!("{path}: {}", self.what),
            ..self
        }
    }

    /// The same, with another way to mend it.
    pub fn or(self, help: &str) -> Problem {
        Problem {
            help: format!("{}; or {help}", self.help),
            ..self
        }
    }

    /// The same, said of a place.
    pub fn at(self, origin: Origin) -> Diagnostic {
        Diagnostic {
            origin,
            what: self.what,
            why: self.why,
            help: self.help,
        }
    }
}

/// A value in quotes for a message, cut where it is long, and hidden where it may hold a password.
pub fn quoted(value: &str) -> String {
    if may_hold_a_secret(value) {
        return "`…`".to_owned();
    }
    let cut = value
        .char_indices()
        .nth(SHOWN)
        .map(|(at, _)| format!("{}…", &value[..at]));
    format!("`{}`", cut.as_deref().unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_password_is_never_repeated_and_a_long_one_is_cut() {
        assert_eq!(quoted("https://me:hunter2@git.example"), "`…`");
        assert_eq!(quoted(&"ä".repeat(200)).chars().count(), SHOWN + 3);
    }
}
