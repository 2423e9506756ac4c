//! `cargo xtask hosts`: the fleet by itself, for tests run by hand and for looking around.

use std::io::IsTerminal;

use anyhow::Result;

use crate::bootstrap;
use crate::fleet::{FLEET_VARIABLE, Fleet, HOSTS};

/// Boots hosts, all of them if none is named, and keeps them until Ctrl-C. Its first line can be given to a shell as it is.
///
/// # Errors
/// When a host does not boot.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person who started it"
)]
pub fn hosts(names: &[String]) -> Result<()> {
    bootstrap::bootstrap()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fleet = Fleet::boot(if names.is_empty() { &HOSTS } else { &names })?;
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
