//! What strangers sent, made fit for a log line.

use http::HeaderMap;

/// The most characters of one outside string in a log line; a UUID has 36.
const SHOWN: usize = 128;

/// Escapes control, formatting and other unprintable characters and cuts at 128 characters, so
/// that outside text can neither forge a log line nor steer a terminal nor fill a disk.
pub fn escaped(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(SHOWN).collect();
    if text.escape_debug().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The value of the first of these headers that is there and not empty, escaped and cut.
/// Forgejo sends some event headers with an empty value, and means the next one.
pub(crate) fn first_header(headers: &HeaderMap, names: &[&str]) -> Option<String> {
    names
        .iter()
        .filter_map(|name| headers.get(*name))
        .find(|value| !value.is_empty())
        .map(|value| escaped(&String::from_utf8_lossy(value.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_escapes_and_direction_marks_become_visible() {
        assert_eq!(
            escaped("a\nb\r\u{1b}[31m\u{202e}c\u{0}"),
            "a\\nb\\r\\u{1b}[31m\\u{202e}c\\0"
        );
    }

    #[test]
    fn ordinary_text_of_any_language_stays() {
        assert_eq!(escaped("würze/日本-🚀"), "würze/日本-🚀");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(escaped(&"x".repeat(5000)).chars().count(), SHOWN + 1);
        assert_eq!(escaped(&"x".repeat(SHOWN)).chars().count(), SHOWN);
    }
}
