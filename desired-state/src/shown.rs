//! Text from outside, made fit to print.

/// At most `limit` characters of a text, with '…' behind it where it was cut. What a terminal would obey, or a person
/// could not see, is escaped: control characters, line ends, and characters without a glyph.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(limit) {
        match c {
            // Escaped only where they stand in a literal.
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_or_that_nobody_sees_is_left() {
        assert_eq!(shown("\u{1b}[31mred\r\n", 80), "\\u{1b}[31mred\\r\\n");
        assert_eq!(
            shown("a\u{202e}b\u{200b}\u{9b}", 80),
            "a\\u{202e}b\\u{200b}\\u{9b}"
        );
        let plain = "größer 漢 🦀 'it' said \"no\" \\";
        assert_eq!(shown(plain, 80), plain);
    }

    #[test]
    fn a_text_is_cut_by_characters_and_says_so() {
        assert_eq!(shown("äää", 3), "äää");
        assert_eq!(shown("äääb", 3), "äää…");
        assert_eq!(shown("", 0), "");
    }
}
