//! The environment as an argument: every scalar outside of the host and repository tables may come from it.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// The environment variables that count, by name.
pub type Environment = BTreeMap<String, String>;

/// What every variable of ours begins with.
pub const PREFIX: &str = "RECONCILE_";

/// The variables of ours among `variables`, usually `std::env::vars_os()`.
///
/// What is not UTF-8 is taken with replacement characters, which no key accepts in silence.
pub fn environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
    variables
        .into_iter()
        .filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        })
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_of_ours_count_and_none_is_lost_for_its_bytes() {
        use std::os::unix::ffi::OsStringExt;
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let all = [
            (bytes(b"PATH"), bytes(b"/bin")),
            (bytes(b"RECONCILE_LOG_LEVEL"), bytes(b"in\xfffo")),
        ];
        let ours = environment(all);
        assert_eq!(ours.len(), 1);
        assert_eq!(ours["RECONCILE_LOG_LEVEL"], "in\u{fffd}fo");
    }
}
