//! The builder that failed, and its log.

use super::last;

/// At most this many of the last lines of a failed builder's log are shown.
const LOG_LINES: usize = 20;

/// A builder that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedBuilder {
    /// The derivation.
    pub(crate) derivation: String,
    /// How: `failed with exit code 1`, `failed due to signal 9 (Killed)` …
    pub(crate) how: String,
    /// The last lines of its log.
    pub(crate) log: String,
}

impl FailedBuilder {
    /// Whether it was killed: by the kernel for want of memory, or by a person.
    pub(crate) fn was_killed(&self) -> bool {
        self.how.contains("signal 9") || self.how.contains("exit code 137")
    }
}

/// The first builder that failed; what failed after it failed because of it.
pub(crate) fn failed_builder(stderr: &str) -> Option<FailedBuilder> {
    let lines: Vec<&str> = stderr.lines().collect();
    lines.iter().enumerate().find_map(|(index, line)| {
        let line = line.trim_start();
        // Until 2.29, and since then where no log would help.
        if let Some(rest) = line.strip_prefix("error: builder for '") {
            let (derivation, how) = rest.split_once("' ")?;
            let how = how.trim_end_matches([';', ':']).to_owned();
            return Some(FailedBuilder {
                derivation: derivation.to_owned(),
                how,
                log: log_around(&lines, index),
            });
        }
        // Since 2.30.
        let rest = line.strip_prefix("error: Cannot build '")?;
        let derivation = rest.split_once('\'')?.0.to_owned();
        let reason = lines
            .get(index + 1)?
            .trim()
            .strip_prefix("Reason: builder ")?;
        let how = reason.trim_end_matches('.').to_owned();
        Some(FailedBuilder {
            derivation,
            how,
            log: log_around(&lines, index),
        })
    })
}

/// A builder's log: quoted by Nix after the error, as it is asked to, or as it came before it.
fn log_around(lines: &[&str], error: usize) -> String {
    let quoted: Vec<&str> = lines[error + 1..]
        .iter()
        .map(|line| line.trim_start())
        .skip_while(|line| !line.starts_with('>'))
        .take_while(|line| line.starts_with('>'))
        .map(|line| line.strip_prefix("> ").unwrap_or_default())
        .collect();
    if !quoted.is_empty() {
        return last(&quoted, LOG_LINES);
    }
    let before: Vec<&str> = lines[..error]
        .iter()
        .copied()
        .filter(|line| {
            !(line.starts_with("building '/nix/store/")
                || line.starts_with("  /nix/store/")
                || line.starts_with("copying path ")
                || line.starts_with("warning: ")
                || (line.ends_with("will be built:") || line.contains("will be fetched (")))
        })
        .collect();
    last(&before, LOG_LINES)
}
