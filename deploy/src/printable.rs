//! Outside text, made fit to print.

/// Outside text made safe to print: no terminal sequences, control characters escaped, lines kept.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // Colours and cursor movement: ESC [ parameters, up to a letter (ECMA-48, CSI).
            '\u{1b}' if characters.peek() == Some(&'[') => {
                characters.next();
                while characters
                    .next()
                    .is_some_and(|next| !('@'..='~').contains(&next))
                {}
            }
            '\n' | '\t' => safe.push(character),
            '\r' => {}
            control if control.is_control() => safe.extend(control.escape_default()),
            other => safe.push(other),
        }
    }
    safe
}

/// Longer lines than this are cut: they are the server's, not ours.
pub(crate) const MAX_SHOWN: usize = 300;

/// Foreign text as it may be shown in one line: bounded, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    printable(text.trim().as_bytes())
        .replace(['\n', '\t'], " ")
        .chars()
        .take(MAX_SHOWN)
        .collect()
}

/// Foreign text inside an error: every character that does not print is written as Rust writes it, and
/// what is beyond so many characters is left out.
pub(crate) fn escaped(text: &str, limit: usize) -> String {
    text.escape_debug().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_taken_out() {
        assert_eq!(
            printable(b"\x1b[31;1merror:\x1b[0m a\tb\r\n\x07\x1b]0;x\xff"),
            "error: a\tb\n\\u{7}\\u{1b}]0;x\u{fffd}"
        );
    }
}
