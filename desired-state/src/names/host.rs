//! The name of a host.

use super::checked::checked_text;

/// The longest host name, in bytes: a DNS label (RFC 1035 §2.3.4), which is also what `hostname` of NixOS allows.
const LONGEST: usize = 63;

checked_text! {
    /// The name of a host, as in `nixosConfigurations.<host>` and in the configuration.
    ///
    /// 1 to 63 ASCII letters, digits, `-`, `_` and `.`, beginning with a letter or a digit, without `..`:
    /// so it can be a folder's name, a part of a unit's name and an SSH alias, and is never an option or a parent folder.
    HostName, "host name", check
}

fn check(text: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > LONGEST {
        Err("it is longer than 63 bytes")
    } else if !text.chars().all(allowed) {
        Err("only letters, digits, '-', '_' and '.' may stand in it")
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Err("it must begin with a letter or a digit")
    } else if text.contains("..") {
        Err("it must not contain '..'")
    } else {
        Ok(())
    }
}
