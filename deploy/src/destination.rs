//! Where a host is reached, and as whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::printable::escaped;

/// The longest destination: a user name, a host name of 253 and a port, with room to spare.
const MAX_LENGTH: usize = 400;

/// One way to reach a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// What `ssh` is given: an alias of the ssh_config, `user@host`, or `ssh://user@host:port`.
    pub address: String,
    /// How that user becomes root.
    pub sudo: Sudo,
}

/// How the user that logs in becomes root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sudo {
    /// Not at all: the user is root.
    #[default]
    No,
    /// By `sudo -n`, which never asks for a password.
    Yes,
    /// By `sudo -n`, but not to bring paths into the host's store: the host takes those that are signed
    /// by a key of its `trusted-public-keys`, as from anybody.
    ExceptCopy,
}

/// An address that cannot be given to `ssh`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be an SSH destination: give an alias of the ssh_config, user@host or \
     ssh://user@host:port, without spaces and not beginning with `-`"
)]
pub struct AddressError(String);

impl Destination {
    /// A destination whose address has been checked.
    pub fn new(address: &str, sudo: Sudo) -> Result<Self, AddressError> {
        let destination = Self {
            address: address.to_owned(),
            sudo,
        };
        destination.check()?;
        Ok(destination)
    }

    /// Whether the address can be handed to `ssh` as one argument: an address that begins with `-`
    /// would be an option, and white space or a quote would be read by a `ProxyCommand`'s shell.
    pub fn check(&self) -> Result<(), AddressError> {
        let address = self.address.as_str();
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@:/[]%+".contains(&byte);
        let host = address.rsplit('@').next().unwrap_or_default();
        if !address.is_empty()
            && address.len() <= MAX_LENGTH
            && !address.starts_with('-')
            && !host.is_empty()
            && !host.starts_with('-')
            && address.bytes().all(harmless)
        {
            Ok(())
        } else {
            Err(AddressError(escaped(address, MAX_LENGTH)))
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_ssh_knows_are_accepted() {
        for good in [
            "lazyworkhorse-admin",
            "ai-worker@lazyworkhorse",
            "ssh://root@10.0.0.1:2424",
            "ssh://root@[fd00::1]:22",
            "fe80::1%eth0",
        ] {
            assert!(Destination::new(good, Sudo::No).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_ssh_or_a_shell_would_read_as_something_else_is_refused() {
        for bad in [
            "",
            "-oProxyCommand=id",
            "user@-oProxyCommand=id",
            "a b",
            "a;id",
            "$(id)",
            "a\n",
            "user@",
            "a'b",
        ] {
            assert!(Destination::new(bad, Sudo::No).is_err(), "{bad:?}");
        }
    }
}
