//! How long a text may be, and what happens to one that is longer.

use std::borrow::Cow;

use super::error::StoreError;

/// A short word: an action, an event, an outcome, an id. In bytes.
pub(super) const WORD: usize = 64;
/// A name: who did it, which attribute. In bytes.
pub(super) const NAME: usize = 255;
/// A line: a store path, a destination, a cause. In bytes; a store path has 255 at most.
pub(super) const LINE: usize = 1024;
/// Why a person did it. In bytes.
pub(super) const PARAGRAPH: usize = 4096;
/// The detail of a history entry: the last lines of an output. In bytes.
pub(super) const DETAIL: usize = 8192;
/// The reconciler's own document for a host. In bytes; it is some hundred, so this catches runaway growth only.
pub(super) const DOCUMENT: usize = 1 << 20;

/// What stands at the end of a text that was cut.
const CUT: &str = "…";

/// A text that must be kept whole, such as a name that something else is found by.
///
/// # Errors
///
/// When it does not fit, or has a NUL in it.
pub(super) fn whole<'t>(
    field: &'static str,
    text: &'t str,
    limit: usize,
) -> Result<&'t str, StoreError> {
    if text.len() > limit {
        Err(StoreError::TooLong {
            field,
            length: text.len(),
            limit,
        })
    } else if text.contains('\0') {
        Err(StoreError::Nul { field })
    } else {
        Ok(text)
    }
}

/// A text for people: cut to the limit, for a long explanation must not keep the fact from being recorded.
/// A NUL becomes U+FFFD: PostgreSQL refuses it, and SQLite's `length` stops at it.
pub(super) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(cut(&text.replace('\0', "\u{fffd}"), limit).into_owned())
    } else if text.len() <= limit {
        Cow::Borrowed(text)
    } else {
        let room = limit.saturating_sub(CUT.len());
        let end = (0..=room).rev().find(|&end| text.is_char_boundary(end));
        let kept = end.and_then(|end| text.get(..end)).unwrap_or_default();
        Cow::Owned(format!("{kept}{CUT}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cut_text_fits_and_begins_as_the_text_did(text in "\\PC{0,60}", limit in 3usize..80) {
            let cut = cut(&text, limit);
            prop_assert!(cut.len() <= limit);
            if text.len() <= limit {
                prop_assert_eq!(&cut, &text);
            } else {
                let kept = cut.strip_suffix(CUT).unwrap();
                prop_assert!(text.starts_with(kept));
                prop_assert!(kept.len() + CUT.len() + 4 > limit);
            }
        }

        #[test]
        fn no_nul_survives_and_the_limit_holds_after_its_replacement(text in "[\0ab]{0,60}", limit in 3usize..80) {
            let cut = cut(&text, limit);
            prop_assert!(cut.len() <= limit && !cut.contains('\0'));
        }
    }

    #[test]
    fn a_text_that_must_be_whole_is_refused_rather_than_cut() {
        assert_eq!(whole("id", "abc", 3).unwrap(), "abc");
        let error = whole("id", "abcd", 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot record this id of 4 bytes: the limit is 3"
        );
        assert!(matches!(
            whole("id", "a\0c", 3),
            Err(StoreError::Nul { field: "id" })
        ));
    }
}
