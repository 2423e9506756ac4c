//! The port to Nix on the simulated machine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deploy::{
    Attribute, BuildError, BuildRequest, BuildRoot, CollectError, CopyError, EvaluateError,
    Evaluated, FetchCause, FlakeSource, Freed, MinFree, NixTrouble, Specialisation, Toplevel,
};
use desired_state::{HostName, RepositoryName};
use parking_lot::Mutex;
use reconciler::context::ports::{Clock as _, EvaluationResults, Nix, Way};
use tokio::time::{Instant, sleep};

use crate::generator::Generator;
use crate::host::is_until;
use crate::invariants::attempts;
use crate::life::Life;
use crate::machine::Fault;
use crate::systems::Behaviour;
use crate::world::World;

/// How long an evaluation takes.
const EVALUATION: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(120));
/// How long a copy takes.
const COPY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How long a collection takes.
const COLLECTION: Duration = Duration::from_secs(240);
/// How often something fails for once.
const FAILS_FOR_ONCE: f64 = 0.03;

/// Nix on the machine.
pub struct NixPort {
    world: Arc<World>,
    life: Arc<Life>,
    repository: Option<RepositoryName>,
    generator: Mutex<Generator>,
}

/// Something that nothing keeps is in use while this lives.
struct AtWork<'a> {
    world: &'a World,
    what: String,
}

impl<'a> AtWork<'a> {
    fn begin(world: &'a World, what: String) -> Self {
        world.machine.begins_work(&what);
        Self { world, what }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.world.machine.ends_work(&self.what);
    }
}

impl NixPort {
    /// Nix for what belongs to this repository or to none, for this life.
    pub fn new(world: Arc<World>, life: Arc<Life>, repository: Option<RepositoryName>) -> Self {
        let generator = Generator::new(world.plan.seed, &format!("nix {}", life.number()));
        Self {
            world,
            life,
            repository,
            generator: Mutex::new(generator),
        }
    }

    fn draw(&self, range: (Duration, Duration)) -> Duration {
        self.generator.lock().between(range.0, range.1)
    }

    fn fails_for_once(&self) -> bool {
        self.generator.lock().chance(FAILS_FOR_ONCE)
    }

    fn trouble(&self) -> Option<NixTrouble> {
        let detail = "No space left on device".to_owned();
        if self.world.machine.has(Fault::DiskFull) {
            return Some(NixTrouble::DiskFull { detail });
        }
        self.world
            .machine
            .has(Fault::NoDescriptors)
            .then(|| NixTrouble::NotRun {
                program: "nix".to_owned(),
                source: std::io::Error::from_raw_os_error(24),
            })
    }

    fn evaluate_one(
        &self,
        revision: &str,
        attribute: &Attribute,
    ) -> Result<Evaluated, EvaluateError> {
        let missing = || EvaluateError::AttributeMissing {
            attribute: attribute.clone(),
            nearest: None,
            available: Vec::new(),
        };
        let host = attribute.as_str();
        let is_known = self
            .world
            .plan
            .hosts
            .keys()
            .any(|name| name.as_str() == host);
        let repository = self
            .repository
            .as_ref()
            .and_then(|name| self.world.repositories.get(name));
        let (Some(repository), Ok(revision), true) = (repository, revision.parse(), is_known)
        else {
            return Err(missing());
        };
        let system = repository
            .system(&self.world.systems, &revision, host)
            .ok_or_else(missing)?;
        let system = system.map_err(|()| EvaluateError::Code {
            detail: "error: undefined variable 'pkgz'".to_owned(),
        })?;
        Ok(Evaluated {
            derivation: system.derivation,
            toplevel: system.toplevel,
            system: "x86_64-linux".to_owned(),
        })
    }

    async fn build_one(&self, request: &BuildRequest) -> Result<Toplevel, BuildError> {
        let toplevel = request.evaluated.toplevel.clone();
        let system = self.world.systems.get(&toplevel);
        let is_there = self.world.machine.has_built(&toplevel);
        let long = match &system {
            Some(system) if !is_there => system.build,
            _ => Duration::from_millis(500),
        };
        sleep(long).await;
        if let Some(trouble) = self.trouble() {
            return Err(BuildError::Nix(trouble));
        }
        let derivation = request.evaluated.derivation.to_string();
        let log = String::new();
        if system.is_some_and(|system| system.behaviour == Behaviour::DoesNotBuild) {
            let how = "failed with exit code 1".to_owned();
            return Err(BuildError::BuilderFailed {
                derivation,
                how,
                log,
            });
        }
        if !is_there && self.fails_for_once() {
            let how = "was killed by signal 9".to_owned();
            return Err(BuildError::BuilderKilled {
                derivation,
                how,
                log,
            });
        }
        Ok(toplevel)
    }
}

impl fmt::Debug for NixPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NixPort").finish_non_exhaustive()
    }
}

#[async_trait]
impl Nix for NixPort {
    async fn evaluate(
        &self,
        source: &FlakeSource,
        attributes: &[Attribute],
        _: Duration,
    ) -> EvaluationResults {
        self.life.point().await;
        let _at_work = AtWork::begin(&self.world, format!("evaluate {}", source.revision));
        sleep(self.draw(EVALUATION)).await;
        self.life.point().await;
        let fetch =
            (self.fails_for_once() || self.world.machine.has(Fault::NetworkDown)).then(|| {
                Arc::new(EvaluateError::InputFetch {
                    cause: FetchCause::Network,
                    detail: "Could not resolve host: github.com".to_owned(),
                })
            });
        let trouble = self
            .trouble()
            .map(|trouble| Arc::new(EvaluateError::Nix(trouble)));
        let failure = trouble.or(fetch);
        let one = |attribute: &Attribute| {
            let result = match &failure {
                Some(failure) => Err(Arc::clone(failure)),
                None => self
                    .evaluate_one(&source.revision, attribute)
                    .map_err(Arc::new),
            };
            (attribute.clone(), result)
        };
        attributes.iter().map(one).collect()
    }

    async fn build(&self, request: &BuildRequest, _: Option<&Way>) -> Result<Toplevel, BuildError> {
        self.life.point().await;
        let host: Option<HostName> = request.host.parse().ok();
        if let (Some(host), Ok(revision)) = (&host, request.revision.parse()) {
            attempts::are_spaced(&self.world, host, &revision);
        }
        let _at_work = AtWork::begin(
            &self.world,
            format!("build {} {}", request.host, request.revision),
        );
        let built = self.build_one(request).await;
        self.life.point().await;
        match &built {
            Ok(toplevel) => {
                let now = self.world.clock.now();
                self.world
                    .machine
                    .keep(&request.host, &request.revision, toplevel, now);
            }
            Err(error) if error.is_worth_retrying() => {
                if let (Some(host), Ok(revision)) = (&host, request.revision.parse()) {
                    attempts::failed(&self.world, host, &revision, Duration::ZERO);
                }
            }
            Err(_) => {}
        }
        built
    }

    async fn platform_of(&self, _: &Toplevel) -> Option<String> {
        Some("x86_64-linux".to_owned())
    }

    async fn unswitchable(&self, _: &Toplevel, _: Option<&Specialisation>) -> Option<String> {
        None
    }

    async fn copy(
        &self,
        toplevel: &Toplevel,
        way: &Way,
        _: MinFree,
        _: Duration,
    ) -> Result<(), CopyError> {
        self.life.point().await;
        let _at_work = AtWork::begin(&self.world, format!("copy {}", way.host));
        let lost = || CopyError::ConnectionLost {
            address: way.host.to_string(),
            detail: "Broken pipe".to_owned(),
        };
        let host = self.world.hosts.get(&way.host).ok_or_else(lost)?;
        let is_there = host.state().store.contains(toplevel);
        let long = if is_there {
            host.latency
        } else {
            self.draw(COPY)
        };
        let long = long * host.state().slowness;
        sleep(long).await;
        self.life.point().await;
        if !self.world.machine.has_built(toplevel) {
            let detail = "path is not valid".to_owned();
            return Err(CopyError::PathGone { detail });
        }
        let is_cut = self.world.machine.has(Fault::NetworkDown) || host.login(true).is_err();
        if is_cut || (!is_there && self.fails_for_once()) {
            return Err(lost());
        }
        if is_until(host.state().full_until, Instant::now()) {
            return Err(CopyError::NoSpace {
                needed: 2 << 30,
                free: 0,
                reserve: 256 << 20,
            });
        }
        host.change(|state| state.store.insert(toplevel.clone()));
        Ok(())
    }

    async fn collect_garbage(&self, _: Duration) -> Result<Freed, CollectError> {
        self.life.point().await;
        let at_work = self.world.machine.at_work();
        if !at_work.is_empty() {
            let what = format!("garbage is collected during: {}", at_work.join(", "));
            self.world
                .ledger
                .breaks("nothing_in_use_is_collected", None, what);
        }
        sleep(COLLECTION).await;
        Ok(Freed {
            paths: 100,
            bytes: 1 << 30,
        })
    }

    async fn build_roots(&self) -> std::io::Result<Vec<BuildRoot>> {
        self.life.point().await;
        Ok(self.world.machine.roots())
    }

    async fn let_go(&self, root: &BuildRoot) -> std::io::Result<()> {
        self.life.point().await;
        self.world.machine.let_go(root);
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        Some(if self.world.machine.has(Fault::DiskFull) {
            0
        } else {
            100 << 30
        })
    }
}
