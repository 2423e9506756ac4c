//! SSH for a fleet: one key that may log in everywhere, host keys known beforehand, and an `ssh_config` with aliases.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::host::Host;
use super::layers::write;
use crate::process::run;

/// For sshd_config(5) of the test bed: the key exchange that OpenSSH prefers takes 0.2 s of a core on each side, and
/// with everything on one machine that would be most of what a login costs.
pub(crate) const CHEAP_LOGINS: &str = "KexAlgorithms curve25519-sha256\n";

/// Files that let one reach a fleet.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub identity: PathBuf,
    pub public: String,
    pub known_hosts: PathBuf,
    pub ssh_config: PathBuf,
}

/// Makes the key that logs in.
pub(super) fn make(claim: &Path) -> Result<Keys> {
    let identity = claim.join("id_ed25519");
    let public = generate(&identity, "test-bed")?;
    Ok(Keys {
        identity,
        public,
        known_hosts: claim.join("known_hosts"),
        ssh_config: claim.join("ssh_config"),
    })
}

/// Makes a key pair without a passphrase; gives its public line.
///
/// # Errors
/// When ssh-keygen fails.
pub fn generate(path: &Path, comment: &str) -> Result<String> {
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(path))?;
    Ok(fs::read_to_string(path.with_extension("pub"))?
        .trim()
        .to_owned())
}

/// Writes `known_hosts` and `ssh_config` for hosts.
pub(super) fn write_client_files(keys: &Keys, hosts: &[Host]) -> Result<()> {
    let (mut known, mut config) = (String::new(), String::new());
    for host in hosts {
        let Host {
            name,
            address,
            port,
            host_key,
            root_alias,
            worker_alias,
            ..
        } = host;
        // Known by name for the aliases, and by address for ssh:// destinations.
        writeln!(known, "{name},{address},[{address}]:{port} {host_key}")?;
        for (alias, user) in [(root_alias, "root"), (worker_alias, "ai-worker")] {
            writeln!(
                config,
                "Host {alias}\n  HostName {address}\n  Port {port}\n  User {user}\n  HostKeyAlias {name}\n"
            )?;
        }
    }
    writeln!(
        config,
        "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
         StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 10",
        keys.identity.display(),
        keys.known_hosts.display()
    )?;
    write(&keys.known_hosts, 0o644, &known)?;
    write(&keys.ssh_config, 0o644, &config)
}
