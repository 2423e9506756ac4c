//! `cargo xtask hosts`: the fleet by itself, for tests run by hand and for looking around.

use std::io::IsTerminal;

use anyhow::Result;

use crate::bootstrap;
use crate::fleet::{FLEET_VARIABLE, Fleet, HOSTS};

/// Boots the fleet and keeps it until Ctrl-C. Its first line can be given to a shell as it is.
///
/// # Errors
/// When a host does not boot.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person who started it"
)]
pub fn hosts() -> Result<()> {
    bootstrap::bootstrap()?;
    let fleet = Fleet::boot(&HOSTS)?;
    println!("{FLEET_VARIABLE}={}", fleet.file().display());
    if std::io::stderr().is_terminal() {
        for host in fleet.description().hosts.values() {
            eprintln!("ssh -F {} {}", host.ssh_config.display(), host.root_alias);
        }
        eprintln!("Ctrl-C ends them.");
    }
    loop {
        std::thread::park();
    }
}
