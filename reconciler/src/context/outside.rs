//! The real outside: OpenSSH, Nix, git, and the machine's clock.

mod clock;
mod hosts;
mod nix;
mod source;

pub use clock::SystemClock;
pub use source::MirrorSource;

use std::sync::Arc;
use std::time::Duration;

use deploy::{Connections, SshSettings};
use desired_state::{MirrorError, RepositoryName};
use parking_lot::Mutex;
use planning::model::spec::RepositoryConfig;

use crate::config::{Config, SshConfig};
use crate::context::ports::{Clock, Hosts, Nix, Outside, Source};

/// Reaching one destination; hosts with a longer `timeouts.connect` try their next one meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The machine that we run on, and all that it reaches.
#[derive(Debug, Default)]
pub struct Machine {
    /// Kept over a reload where nothing changed, so that it does not drop warm connections.
    connections: Mutex<Option<(SshConfig, Connections)>>,
}

impl Machine {
    fn connections(&self, config: &Config) -> Connections {
        let mut kept = self.connections.lock();
        if let Some((ssh, connections)) = &*kept
            && *ssh == config.ssh
        {
            return connections.clone();
        }
        let connections = Connections::new(SshSettings {
            config_file: config.ssh.config_file.clone(),
            control_directory: config.state_directory.join("ssh"),
            connect_timeout: CONNECT_TIMEOUT,
            max_sessions: config.ssh.max_sessions,
        });
        *kept = Some((config.ssh.clone(), connections.clone()));
        connections
    }
}

impl Outside for Machine {
    fn hosts(&self, config: &Config) -> Arc<dyn Hosts> {
        Arc::new(hosts::SshHosts::new(self.connections(config)))
    }

    fn nix(&self, config: &Config) -> Arc<dyn Nix> {
        let settings = nix::settings(config);
        Arc::new(nix::LocalNix::new(settings, self.connections(config)))
    }

    fn nix_of(
        &self,
        name: &RepositoryName,
        repository: &RepositoryConfig,
        config: &Config,
    ) -> Arc<dyn Nix> {
        let settings = nix::settings_of(name, repository, config);
        Arc::new(nix::LocalNix::new(settings, self.connections(config)))
    }

    fn source(
        &self,
        name: &RepositoryName,
        repository: &RepositoryConfig,
        config: &Config,
    ) -> Result<Arc<dyn Source>, MirrorError> {
        Ok(Arc::new(MirrorSource::open(name, repository, config)?))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn renew(&self) {
        *self.connections.lock() = None;
    }
}
