//! Words for a POSIX shell.

use std::borrow::Cow;

use crate::printable::escaped;

/// How much of a word is repeated in the error.
const MAX_SHOWN: usize = 100;

/// A word that no shell can be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has a NUL byte, which no command can be given")]
pub struct NulByte(
    /// The word, escaped.
    pub String,
);

/// One word for a shell that reads it from a script or after `-c`, here or on a host. Plain words stay as
/// they are.
///
/// # Errors
/// When it has a NUL byte.
pub(crate) fn quoted(word: &str) -> Result<Cow<'_, str>, NulByte> {
    shlex::try_quote(word).map_err(|_| NulByte(escaped(word, MAX_SHOWN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_nul_byte_is_refused_and_named() {
        let error = quoted("a\0b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a\\0b` has a NUL byte, which no command can be given"
        );
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_word_is_one_word_to_a_real_shell(word in "([^\0]|[ '\"\\\\$`!^~\n\r]){0,20}") {
            let script = format!("printf %s {}", quoted(&word).unwrap());
            for shell in ["sh", "bash"] {
                let output = std::process::Command::new(shell).args(["-c", &script]).output();
                // Not every machine has both.
                let Ok(output) = output else { continue };
                assert_eq!(String::from_utf8_lossy(&output.stdout), word, "{shell}: {script}");
            }
        }
    }
}
