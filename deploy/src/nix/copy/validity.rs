//! Whether a host has a system already.

use std::time::Duration;

use crate::ssh::{Connection, Privilege, RemoteCommand, SshError};
use crate::toplevel::Toplevel;

/// Asks whether a path is valid. A path that is not there is answered without starting Nix; one that
/// is may still be half a copy, and only Nix knows (nix-store(1), `--check-validity`).
const CHECK: &str = "test -e \"$1\" && exec nix-store --check-validity \"$1\"";
/// Asking takes 30 ms and a round trip, on a slow host seconds.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a host has a toplevel with all that it needs: one round trip.
///
/// A host whose Nix cannot be asked is said not to have it; copying to it then tells why.
pub async fn is_valid_on(host: &Connection, toplevel: &Toplevel) -> Result<bool, SshError> {
    let check = RemoteCommand::new("/bin/sh")
        .arguments(["-c", CHECK, "sh", toplevel.as_str()])
        .privilege(Privilege::Root)
        .timeout(CHECK_TIMEOUT);
    Ok(host.run(check).await?.code == 0)
}
