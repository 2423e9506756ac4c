//! The netrc file with our token, for what Nix itself downloads.

use std::path::PathBuf;

use crate::nix::access::UnusableToken;
use crate::nix::private_files;

/// The name of the file, in our private directory and in that of nix.conf.
pub(super) const FILE: &str = "netrc";

/// What the machine's administrator has in its netrc file, which ours replaces.
pub(super) async fn machines_own() -> String {
    let directory =
        std::env::var_os("NIX_CONF_DIR").map_or_else(|| PathBuf::from("/etc/nix"), PathBuf::from);
    private_files::read(&directory.join(FILE))
        .await
        .unwrap_or_default()
}

/// The netrc file for what Nix itself downloads (tarball inputs, private caches), before what the
/// machine's own netrc file says (nix.conf(5), "netrc-file").
pub(super) fn content(
    host: &str,
    username: &str,
    token: &str,
    machines_own: &str,
) -> Result<String, UnusableToken> {
    let token = token.trim_end_matches(['\n', '\r']);
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(UnusableToken);
    }
    // netrc knows no ports.
    let machine = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    Ok(format!(
        "machine {machine}\nlogin {username}\npassword {token}\n\n{machines_own}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netrc_has_one_machine_without_port_and_keeps_the_machines_own() {
        assert_eq!(
            content("git.example:3000", "u", "abc\n", "machine cache\n").unwrap(),
            "machine git.example\nlogin u\npassword abc\n\nmachine cache\n"
        );
        for bad in ["", "\n", "a b", "a\nmachine evil"] {
            assert_eq!(content("h", "u", bad, ""), Err(UnusableToken));
        }
    }
}
