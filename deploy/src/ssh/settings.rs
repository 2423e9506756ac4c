//! How hosts are reached.

use std::path::PathBuf;
use std::time::Duration;

/// How hosts are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSettings {
    /// The ssh_config to use (`ssh -F`); `None` is the user's own.
    pub config_file: Option<PathBuf>,
    /// Where the control sockets live; at most about 70 bytes long. It is made if it is missing.
    pub control_directory: PathBuf,
    /// How long one destination may take to let us in.
    pub connect_timeout: Duration,
    /// How many commands may run over one connection at once, at least 1; sshd's `MaxSessions` is 10.
    pub max_sessions: usize,
}
