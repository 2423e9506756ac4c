//! Pure: what `git ls-remote` says of a server's branches.

use super::branches::Tips;
use crate::names::{BranchName, Revision};

/// What curl says of a redirect, before it follows it (its lib/multi.c).
const REDIRECTED: &str = "Issue another request to this URL: '";

/// The branches of a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Where each leads.
    pub tips: Tips,
    /// The name of the default branch, as a reference.
    pub default: Option<String>,
    /// Whether the ids are those of a SHA-256 repository.
    pub is_sha256: bool,
}

impl Listing {
    /// Reads the output of `git ls-remote --symref`: an id or `ref: NAME`, a tab, a name (git-ls-remote(1), OUTPUT).
    pub(super) fn read(printed: &[u8]) -> Self {
        let mut listing = Self::default();
        for line in printed.split(|byte| *byte == b'\n') {
            // A name that is not UTF-8 is no name that a host could follow.
            let line = std::str::from_utf8(line).ok();
            let Some((value, name)) = line.and_then(|line| line.split_once('\t')) else {
                continue;
            };
            if let ("HEAD", Some(default)) = (name, value.strip_prefix("ref: ")) {
                listing.default = Some(default.to_owned());
            } else if value.len() == 64 {
                listing.is_sha256 = true;
            } else if let (Some(branch), Ok(revision)) = (
                name.strip_prefix("refs/heads/"),
                Revision::try_from(value.to_owned()),
            ) && let Ok(branch) = BranchName::try_from(branch)
            {
                listing.tips.insert(branch, revision);
            }
        }
        listing
    }

    /// Whether curl was led to another server than `origin`, by its trace.
    pub(super) fn is_redirected_from(origin: &str, trace: &str) -> bool {
        let led = trace.lines().filter_map(|line| line.split_once(REDIRECTED));
        let mut urls = led.map(|(_, url)| url::Url::parse(url.trim_end_matches('\'')));
        urls.any(|url| !url.is_ok_and(|url| url.origin().ascii_serialization() == origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_and_the_default_one_are_read_and_all_else_is_passed_over() {
        let id = "925d69ac6fc6757e3a4b57400edd43dbd8802186";
        let printed = format!(
            "ref: refs/heads/main\tHEAD\n{id}\tHEAD\n{id}\trefs/heads/main\n\
             {id}\trefs/heads/feature/größer\n{id}\trefs/remotes/origin/HEAD\n"
        );
        let mut printed = printed.into_bytes();
        printed.extend([id.as_bytes(), b"\trefs/heads/caf\xe9\n"].concat());
        let listing = Listing::read(&printed);
        assert_eq!(listing.default.as_deref(), Some("refs/heads/main"));
        let names: Vec<&str> = listing.tips.keys().map(AsRef::as_ref).collect();
        assert_eq!(names, ["feature/größer", "main"]);
        assert!(!listing.is_sha256);
        assert!(Listing::read(format!("{}\tHEAD\n", "a".repeat(64)).as_bytes()).is_sha256);
        assert_eq!(Listing::read(b""), Listing::default());
    }

    #[test]
    fn only_a_redirect_to_another_server_leads_elsewhere() {
        let trace = |url: &str| format!("1:2:3 http.c:725  == Info: {REDIRECTED}{url}'\n");
        let from = |url: &str| Listing::is_redirected_from("https://g:3000", &trace(url));
        assert!(!from("https://g:3000/new/name/info/refs"));
        for other in ["https://g/a", "http://g:3000/a", "https://other:3000/a"] {
            assert!(from(other), "{other}");
        }
    }
}
