//! What is wrong with a value, before it is known where the value stands.

use super::mistake::{Origin, Remark};
use super::source::may_hold_a_secret;

/// The longest part of a value that a message repeats, in characters.
const SHOWN: usize = 80;

/// What is wrong with a value, before it is known where it stands.
pub(super) struct Complaint {
    what: String,
    why: String,
    mend: String,
}

impl Complaint {
    pub fn new(
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) -> Complaint {
        Complaint {
            what: what.into(),
            why: why.into(),
            mend: mend.into(),
        }
    }

    /// The same, said of the key `path`.
    pub fn named(self, path: &str) -> Complaint {
        Complaint {
            what: format!("{path}: {}", self.what),
            ..self
        }
    }

    /// The same, with another way to mend it.
    pub fn or(self, mend: &str) -> Complaint {
        Complaint {
            mend: format!("{}; or {mend}", self.mend),
            ..self
        }
    }

    /// The same, said of a place.
    pub fn at(self, origin: Origin) -> Remark {
        Remark {
            origin,
            what: self.what,
            why: self.why,
            mend: self.mend,
        }
    }
}

/// A value in quotes for a message, cut where it is long, and hidden where it may hold a password.
pub(super) fn quoted(value: &str) -> String {
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
