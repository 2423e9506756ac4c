//! Words for a POSIX shell.

/// A word for a POSIX shell; plain words stay as they are.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_quoted_word_is_one_word_to_a_real_shell(word in "[^\0]{0,20}") {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(&word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
