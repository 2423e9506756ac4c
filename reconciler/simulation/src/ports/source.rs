//! The port to a simulated repository.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deploy::FlakeSource;
use desired_state::{
    BranchName, Branches, Distrust, Fetched, Lineage, MirrorError, RemoteFailure, RepositoryName,
    Revision, Unfetched,
};
use parking_lot::Mutex;
use reconciler::context::ports::Source;
use tokio::time::sleep;

use crate::generator::Generator;
use crate::git::Repository;
use crate::life::Life;
use crate::machine::Fault;
use crate::world::World;

/// How long a fetch takes.
const FETCH: (Duration, Duration) = (Duration::from_millis(150), Duration::from_secs(8));

/// Our mirror of a simulated repository.
pub struct SourcePort {
    world: Arc<World>,
    life: Arc<Life>,
    name: RepositoryName,
    generator: Mutex<Generator>,
}

impl SourcePort {
    /// The mirror of this repository, for this life.
    pub fn new(world: Arc<World>, life: Arc<Life>, name: RepositoryName) -> Self {
        let generator = Generator::new(world.plan.seed, &format!("fetch {name}"));
        Self {
            world,
            life,
            name,
            generator: Mutex::new(generator),
        }
    }

    fn repository(&self) -> Result<&Repository, MirrorError> {
        let found = self.world.repositories.get(&self.name);
        found.ok_or_else(|| self.not_fetched())
    }

    fn not_fetched(&self) -> MirrorError {
        MirrorError::NotFetchedYet {
            directory: format!("/mirrors/{}", self.name).into(),
        }
    }

    fn unreachable(&self) -> MirrorError {
        MirrorError::Remote {
            url: format!("https://git.example/{}.git", self.name),
            failure: RemoteFailure::Unreachable,
            said: String::new(),
        }
    }
}

impl fmt::Debug for SourcePort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SourcePort")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for SourcePort {
    async fn fetch(&self, _: Branches) -> Result<Fetched, MirrorError> {
        self.life.point().await;
        let repository = self.repository()?;
        let long = self.generator.lock().between(FETCH.0, FETCH.1);
        sleep(long).await;
        let machine = &self.world.machine;
        if !repository.answers()
            || machine.has(Fault::NetworkDown)
            || machine.has(Fault::NoDescriptors)
        {
            return Err(self.unreachable());
        }
        if machine.has(Fault::DiskFull) {
            return Err(MirrorError::Disk {
                step: "write",
                path: format!("/mirrors/{}", self.name).into(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        let changed = repository.fetch();
        self.world.ledger.disturb();
        self.life.point().await;
        Ok(Fetched {
            changed,
            recloned: false,
            damage: None,
        })
    }

    async fn tip(&self, branch: &BranchName) -> Result<Option<Revision>, MirrorError> {
        self.life.point().await;
        let mirrored = self.repository()?.mirrored(branch);
        mirrored.ok_or_else(|| self.not_fetched())
    }

    async fn lineage(&self, from: &Revision, to: &Revision) -> Result<Lineage, MirrorError> {
        self.life.point().await;
        let lineage = self.repository()?.lineage(from, to);
        lineage.ok_or_else(|| MirrorError::UnknownRevision(to.to_string()))
    }

    async fn resolve(&self, text: &str) -> Result<Revision, MirrorError> {
        self.life.point().await;
        let found = self.repository()?.resolve(text);
        found.ok_or_else(|| MirrorError::UnknownRevision(text.to_owned()))
    }

    async fn verify(&self, _: &Revision) -> Option<Distrust> {
        None
    }

    async fn unfetched(&self, _: &Revision) -> Result<Option<Unfetched>, MirrorError> {
        Ok(None)
    }

    fn doubt(&self) {}

    fn flake(&self, revision: &Revision) -> FlakeSource {
        FlakeSource {
            mirror: format!("/mirrors/{}", self.name).into(),
            folder: ".".to_owned(),
            revision: revision.to_string(),
        }
    }
}
