//! Whether a builder failed because it could not download.

use crate::nix::diagnosis::builder::FailedBuilder;
use crate::nix::fetch::{self, FetchCause};
use crate::toplevel::DerivationPath;

/// Why a builder could not download, if that is what it is for and what it says; `own` is what Nix said of it.
///
/// Only a fixed-output derivation has a network (nix.conf(5), `sandbox`): what another builder prints of a
/// network is of its own doing, a test as a rule, and will be the same the next time.
pub(crate) fn failed_download(builder: &FailedBuilder, own: &str) -> Option<FetchCause> {
    let cause = fetch::download(&format!("{}\n{own}", builder.log))?;
    may_download(&builder.derivation).then_some(cause)
}

/// Where the derivation cannot be looked at, it is believed.
fn may_download(derivation: &str) -> bool {
    if derivation.parse::<DerivationPath>().is_err() {
        return true;
    }
    std::fs::read(derivation).map_or(true, |text| {
        is_fixed_output(&String::from_utf8_lossy(&text))
    })
}

/// Whether the first output of a derivation has a hash: `Derive([("out","<path>","<algorithm>","<hash>")],…`.
fn is_fixed_output(derivation: &str) -> bool {
    let output = derivation
        .split_once("[(")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("", |(output, _)| output);
    let fields: Vec<&str> = output.split(',').collect();
    fields
        .get(3)
        .is_none_or(|hash| !hash.trim_matches('"').is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_derivation_whose_output_has_a_hash_may_download() {
        let of = |output: &str| is_fixed_output(&format!("Derive([({output})],[],[],\"x\""));
        assert!(of(
            r#""out","/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-x.tar.gz","sha256","e3b0c44298fc""#
        ));
        assert!(!of(
            r#""out","/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-x","","""#
        ));
        assert!(is_fixed_output("not a derivation"));
    }
}
