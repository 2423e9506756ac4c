//! The gate before each turn of the controller's store.

use std::fmt;
use std::io;
use std::sync::Arc;

use desired_state::Gate;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::life::Life;
use crate::machine::Fault;
use crate::world::World;

/// The store of one life, on the disk of the machine.
pub struct Disk {
    world: Arc<World>,
    life: Arc<Life>,
}

impl Disk {
    /// The disk of this world's machine, for this life.
    pub fn new(world: Arc<World>, life: Arc<Life>) -> Self {
        Self { world, life }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Gate for Disk {
    fn pass(&self) -> BoxFuture<'static, io::Result<()>> {
        let is_full = self.world.machine.has(Fault::DiskFull);
        let life = Arc::clone(&self.life);
        async move {
            life.turn().await;
            match is_full {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
        .boxed()
    }
}
