//! A commit id.

use super::checked::checked_text;

/// The length of a SHA-1 object id in hex, gitglossary(7).
const LENGTH: usize = 40;

/// The length of a SHA-256 object id in hex, for a message that says why it is refused.
const SHA256_LENGTH: usize = 64;

/// How much of a revision is shown to people: 12 digits, which the Linux kernel found unique enough for itself.
const SHORT: usize = 12;

checked_text! {
    /// A commit id: 40 lower-case hexadecimal digits, and not the forty zeros by which git says "no commit".
    Revision, "revision", check
}

impl Revision {
    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..SHORT).unwrap_or(&self.0)
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    let hexadecimal = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !hexadecimal {
        Err("only the lower-case hexadecimal digits 0-9 and a-f may stand in it")
    } else if text.len() == SHA256_LENGTH {
        Err("it is the id of a SHA-256 repository, which is not supported")
    } else if text.len() != LENGTH {
        Err("it must have 40 digits")
    } else if text.bytes().all(|b| b == b'0') {
        Err("forty zeros mean that there is no commit")
    } else {
        Ok(())
    }
}
