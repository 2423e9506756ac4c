//! Reads from what was said whether it was `sudo` that refused.

use super::error::SshError;
use super::remote_command::Completed;
use crate::printable::shown;

/// Whether it was `sudo`, not the command, that ended so.
pub(super) fn fault(address: &str, completed: &Completed) -> Option<SshError> {
    let address = || address.to_owned();
    let complaint = String::from_utf8_lossy(&completed.stderr);
    if completed.code == 127 && complaint.contains("sudo: not found") {
        return Some(SshError::SudoMissing { address: address() });
    }
    if completed.code != 1 {
        return None;
    }
    // sudo(8) and sudo-rs. What the command itself complains of may have the same words.
    let mut said = complaint.lines().filter(|line| {
        line.starts_with("sudo: ")
            || line.starts_with("Sorry, user ")
            || line.contains("is not in the sudoers file")
    });
    if said.clone().any(|line| {
        line.contains("a password is required")
            || line.contains("a terminal is required")
            || line.contains("interactive authentication is required")
    }) {
        return Some(SshError::SudoPassword { address: address() });
    }
    let line = said.find(|line| {
        line.contains("is not in the sudoers file")
            || line.contains("is not allowed to")
            || line.contains("may not run sudo")
            || line.contains("you must have a tty")
            || line.contains("I'm afraid I can't do that")
            || line.contains("no new privileges")
            || line.contains("must be owned by uid 0")
    })?;
    Some(SshError::SudoRefused {
        address: address(),
        detail: shown(line),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_complains_of_is_no_refusal_of_sudo() {
        let of = |stderr: &str| {
            let completed = Completed {
                code: 1,
                stdout: Vec::new(),
                stderr: stderr.into(),
                is_cut: false,
            };
            fault("pi", &completed).map(|error| error.to_string())
        };
        for (stderr, refusal) in [
            ("sudo: a password is required", Some("asks for a password")),
            (
                "sudo: interactive authentication is required",
                Some("asks for a password"),
            ),
            (
                "Sorry, user u is not allowed to execute '/bin/sh' as root on pi.",
                Some("refuses that user"),
            ),
            ("u is not in the sudoers file.", Some("refuses that user")),
            (
                "sudo: /run/current-system/sw/bin/sudo must be owned by uid 0 and have the setuid bit set",
                Some("refuses that user"),
            ),
            (
                "sudo: unable to resolve host pi: Name or service not known",
                None,
            ),
            ("polkit: u is not allowed to do this", None),
            ("bwrap: prctl: no new privileges", None),
            ("pam_unix(su): a password is required", None),
        ] {
            let said = of(stderr);
            match refusal {
                Some(words) => assert!(said.is_some_and(|said| said.contains(words)), "{stderr}"),
                None => assert_eq!(said, None, "{stderr}"),
            }
        }
    }
}
