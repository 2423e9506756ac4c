//! Which word a person meant who wrote another one.

/// The candidate that a person who wrote `written` most likely meant.
pub fn nearest<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    /// Below this two words share little but a few letters; found by trying misspelled keys.
    const ALIKE: f64 = 0.8;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The help that names the nearest candidate, or all of them.
pub fn did_you_mean(written: &str, candidates: &[&str]) -> String {
    match nearest(written, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("use one of: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_stranger_has_none() {
        let keys = ["secret_files", "listen", "poll_interval"];
        assert_eq!(nearest("secret_file", keys), Some("secret_files"));
        assert_eq!(nearest("lisetn", keys), Some("listen"));
        assert_eq!(nearest("poll", keys), Some("poll_interval"));
        assert_eq!(nearest("zebra", keys), None);
    }
}
