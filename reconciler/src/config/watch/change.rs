//! What a watch reports.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::loaded::Loaded;
use crate::config::reader::Diagnostics;

/// What has changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new configuration, parsed and checked. Secrets are to be loaded again with it.
    Reloaded(Arc<Loaded>),
    /// The file was changed to something that cannot be used; the configuration in force stays.
    Refused(Diagnostics),
    /// These webhook secrets, tokens, SSH keys or the store's key of the configuration in force have other contents, or are gone.
    SecretsChanged(Vec<PathBuf>),
    /// These known_hosts or ssh_config files, or files of who may sign, of the configuration in force have other contents, or are gone.
    SshFilesChanged(Vec<PathBuf>),
}
