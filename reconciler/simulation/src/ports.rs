//! The ports to the simulated world, for one life of the controller.

pub mod hosts;
pub mod nix;
pub mod source;
pub mod store;

use std::fmt;
use std::sync::Arc;

use desired_state::{MirrorError, RepositoryName};
use planning::model::spec::RepositoryConfig;
use reconciler::config::Config;
use reconciler::context::ports::{Clock, Hosts, Nix, Outside, Source};

use crate::life::Life;
use crate::ports::hosts::HostsPort;
use crate::ports::nix::NixPort;
use crate::ports::source::SourcePort;
use crate::world::World;

/// Makes the ports.
pub struct Simulated {
    world: Arc<World>,
    life: Arc<Life>,
}

impl Simulated {
    /// Those to this world, for this life.
    pub fn new(world: Arc<World>, life: Arc<Life>) -> Self {
        Self { world, life }
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Simulated").finish_non_exhaustive()
    }
}

impl Outside for Simulated {
    fn hosts(&self, _: &Config) -> Arc<dyn Hosts> {
        Arc::new(HostsPort::new(
            Arc::clone(&self.world),
            Arc::clone(&self.life),
        ))
    }

    fn nix(&self, _: &Config) -> Arc<dyn Nix> {
        Arc::new(NixPort::new(
            Arc::clone(&self.world),
            Arc::clone(&self.life),
            None,
        ))
    }

    fn nix_of(&self, name: &RepositoryName, _: &RepositoryConfig, _: &Config) -> Arc<dyn Nix> {
        let (world, life) = (Arc::clone(&self.world), Arc::clone(&self.life));
        Arc::new(NixPort::new(world, life, Some(name.clone())))
    }

    fn source(
        &self,
        name: &RepositoryName,
        _: &RepositoryConfig,
        _: &Config,
    ) -> Result<Arc<dyn Source>, MirrorError> {
        let (world, life) = (Arc::clone(&self.world), Arc::clone(&self.life));
        Ok(Arc::new(SourcePort::new(world, life, name.clone())))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        let clock: Arc<dyn Clock> = self.world.clock.clone();
        clock
    }

    fn renew(&self) {}
}
