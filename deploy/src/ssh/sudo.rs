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
    // sudo(8) and sudo-rs.
    if complaint.contains("sudo: a password is required")
        || complaint.contains("sudo: a terminal is required")
        || complaint.contains("interactive authentication is required")
    {
        return Some(SshError::SudoPassword { address: address() });
    }
    let line = complaint.lines().find(|line| {
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
