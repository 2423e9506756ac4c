//! A host that is being made: what makes it another one than the next.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::architecture::Architecture;
use super::host::Host;
use super::keys::CHEAP_LOGINS;
use super::network::Cable;
use super::{keys, layers, network};
use crate::claim::network_name;

/// The host that is reached as two users on an odd port, and whose Nix wants signatures from those it does not trust.
const TWO_USERS: &str = "lazyworkhorse";

/// Keeps what `testbed/host/reset` restores beside the base system.
const KEEP: &str = "set -e; cd /etc; mkdir -p testbed/made; \
    cp -a --parents /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/sudoers.d /etc/nix/nix.conf testbed/made";

/// Everything that decides what one new host is.
pub(super) struct Plan<'a> {
    pub number: u8,
    pub index: u8,
    pub name: &'a str,
    pub bridge: &'a str,
    pub keys: &'a keys::Keys,
    pub layers: &'a [PathBuf],
    pub architecture: Architecture,
}

impl Plan<'_> {
    /// Boots it.
    pub fn boot(&self) -> Result<Host> {
        let claim = self
            .keys
            .identity
            .parent()
            .context("a key without a folder")?;
        let directory = claim.join("hosts").join(self.name);
        let (upper, root) = (directory.join("upper"), directory.join("root"));
        layers::mount(self.layers, &upper, &directory.join("work"), &root)?;
        let (root_alias, worker_alias) = self.aliases();
        let host = Host {
            name: self.name.to_owned(),
            root_alias,
            worker_alias,
            address: network::host_address(self.number, self.index),
            port: self.port(),
            cable: Cable {
                namespace: network_name(self.number, self.name),
                veth: network_name(self.number, &format!("h{}", self.index)),
                bridge: self.bridge.to_owned(),
                mac: network::host_mac(self.number, self.index),
            },
            host_key: self.settle_in(&root)?,
            directory,
            leader: None,
            ssh_config: self.keys.ssh_config.clone(),
            base_toplevel: layers::base_toplevel(self.layers)?,
            architecture: self.architecture,
        };
        host.power_on()?;
        host.console(KEEP)?;
        Ok(Host {
            leader: host.init()?,
            ..host
        })
    }

    /// Writes what makes this host another one than the next; gives its public host key.
    fn settle_in(&self, root: &Path) -> Result<String> {
        let etc = root.join("etc");
        let name = self.name;
        // A machine id of its own: with none, systemd would take this for the first boot and enable ssh.socket again.
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
        let address = network::host_address(self.number, self.index);
        let sshd_config = format!(
            "Port {}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             HostKey /etc/ssh/ssh_host_ed25519_key\n{CHEAP_LOGINS}",
            self.port()
        );
        let nix_conf = fs::read_to_string(etc.join("nix/nix.conf"))? + self.trust();
        let files = [
            ("hostname", 0o644, format!("{name}\n")),
            // sudo looks its own host up at every call.
            (
                "hosts",
                0o644,
                format!("127.0.0.1 localhost {name}\n::1 localhost\n"),
            ),
            ("machine-id", 0o444, id),
            ("testbed/address", 0o644, format!("{address}/24\n")),
            (
                "testbed/authorized_keys",
                0o644,
                format!("{}\n", self.keys.public),
            ),
            ("ssh/sshd_config.d/testbed.conf", 0o644, sshd_config),
            ("nix/nix.conf", 0o644, nix_conf),
        ];
        for (path, mode, text) in files {
            layers::write(&etc.join(path), mode, &text)?;
        }
        let public = keys::generate(&etc.join("ssh/ssh_host_ed25519_key"), name)?;
        Ok(public.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    /// The aliases that log in as root and as `ai-worker`.
    fn aliases(&self) -> (String, String) {
        if self.has_two_users() {
            (format!("{}-admin", self.name), self.name.to_owned())
        } else {
            (self.name.to_owned(), format!("{}-worker", self.name))
        }
    }

    fn port(&self) -> u16 {
        if self.has_two_users() { 2424 } else { 22 }
    }

    /// Whom its Nix trusts, as lines of nix.conf.
    fn trust(&self) -> &'static str {
        if self.has_two_users() {
            // The case that breaks copying: unsigned paths, from a user whom the Nix daemon does not trust.
            "require-sigs = true\ntrusted-users = root\n"
        } else {
            "require-sigs = false\ntrusted-users = root ai-worker\n"
        }
    }

    fn has_two_users(&self) -> bool {
        self.name == TWO_USERS
    }
}
