//! Nix, a repository and a clock, as a test has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deploy::{
    Attribute, BuildError, BuildRequest, BuildRoot, CollectError, CopyError, EvaluateError,
    Evaluated, FlakeSource, Freed, MinFree, Specialisation, Toplevel,
};
use desired_state::{
    BranchName, Branches, Distrust, Fetched, Lineage, MirrorError, RepositoryName, Revision,
    Unfetched,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use planning::model::backoff::Jitter;
use planning::model::spec::RepositoryConfig;
use tokio::time::Instant;

use super::hosts::ScriptedHosts;
use super::script::Script;
use super::{BEGINNING, system};
use crate::config::Config;
use crate::context::ports::{Clock, EvaluationResults, Hosts, Nix, Outside, Source, Way};

/// The first digit of a commit, which is all of them.
fn digit(revision: &str) -> char {
    revision.chars().next().unwrap()
}

/// What a commit evaluates to, for whichever host.
pub fn evaluated(revision: &str) -> Evaluated {
    let toplevel = system(digit(revision));
    Evaluated {
        derivation: format!("{toplevel}.drv").parse().unwrap(),
        toplevel,
        system: "x86_64-linux".into(),
    }
}

/// Nix, for which a commit `a` is a system of that name.
#[derive(Debug)]
pub struct ScriptedNix {
    script: Arc<Script>,
    /// The platform of what is built.
    pub platform: Mutex<Option<String>>,
    /// What is kept from the garbage collector.
    pub roots: Mutex<Vec<BuildRoot>>,
    /// Why what was built cannot be switched to.
    pub unswitchable: Mutex<Option<String>>,
    /// What is free.
    pub free: Mutex<Option<u64>>,
}

#[async_trait]
impl Nix for ScriptedNix {
    async fn evaluate(
        &self,
        source: &FlakeSource,
        attributes: &[Attribute],
        _timeout: Duration,
    ) -> EvaluationResults {
        let names: Vec<String> = attributes.iter().map(ToString::to_string).collect();
        let call = format!("evaluate {}: {}", digit(&source.revision), names.join(" "));
        let answer: Result<_, EvaluateError> = self.script.call(call).await;
        let answer = answer
            .map(|()| evaluated(&source.revision))
            .map_err(Arc::new);
        let all = attributes.iter().cloned();
        all.map(|one| (one, answer.clone())).collect()
    }

    async fn build(
        &self,
        request: &BuildRequest,
        on_host: Option<&Way>,
    ) -> Result<Toplevel, BuildError> {
        let place = on_host.map_or("here", |way| way.host.as_str());
        let call = format!("build {} {place}", digit(&request.revision));
        self.script.call::<BuildError>(call).await?;
        Ok(request.evaluated.toplevel.clone())
    }

    async fn platform_of(&self, _: &Toplevel) -> Option<String> {
        self.platform.lock().clone()
    }

    async fn unswitchable(&self, _: &Toplevel, _: Option<&Specialisation>) -> Option<String> {
        self.unswitchable.lock().clone()
    }

    async fn copy(
        &self,
        _: &Toplevel,
        way: &Way,
        _: MinFree,
        _timeout: Duration,
    ) -> Result<(), CopyError> {
        self.script.call(format!("copy to {}", way.host)).await
    }

    async fn collect_garbage(&self, _timeout: Duration) -> Result<Freed, CollectError> {
        self.script
            .call::<CollectError>("collect here".into())
            .await?;
        Ok(Freed { paths: 3, bytes: 5 })
    }

    async fn build_roots(&self) -> std::io::Result<Vec<BuildRoot>> {
        Ok(self.roots.lock().clone())
    }

    async fn let_go(&self, root: &BuildRoot) -> std::io::Result<()> {
        self.script
            .call(format!("let go of {}", digit(&root.revision)))
            .await
    }

    fn free_bytes(&self) -> Option<u64> {
        *self.free.lock()
    }
}

/// A repository.
#[derive(Debug)]
pub struct ScriptedSource {
    script: Arc<Script>,
    /// Where each branch is.
    pub tips: Mutex<BTreeMap<BranchName, Revision>>,
    /// Commits that nobody has signed.
    pub distrusted: Mutex<BTreeSet<Revision>>,
    /// What the last fetch was for.
    pub fetched: Mutex<Option<Branches>>,
    /// Commits with a submodule `common`.
    pub with_submodules: Mutex<BTreeSet<Revision>>,
    /// Whether the next push rewinds its branch.
    pub is_rewound: Mutex<bool>,
}

#[async_trait]
impl Source for ScriptedSource {
    async fn fetch(&self, branches: Branches) -> Result<Fetched, MirrorError> {
        *self.fetched.lock() = Some(branches);
        self.script.call::<MirrorError>("fetch".into()).await?;
        Ok(Fetched {
            changed: self.tips.lock().keys().cloned().collect(),
            recloned: false,
            damage: None,
        })
    }

    async fn tip(&self, branch: &BranchName) -> Result<Option<Revision>, MirrorError> {
        Ok(self.tips.lock().get(branch).cloned())
    }

    async fn lineage(&self, from: &Revision, to: &Revision) -> Result<Lineage, MirrorError> {
        Ok(match *self.is_rewound.lock() {
            _ if from == to => Lineage::Same,
            true => Lineage::Rewound,
            false => Lineage::Forward,
        })
    }

    async fn resolve(&self, text: &str) -> Result<Revision, MirrorError> {
        let unknown = |_| MirrorError::UnknownRevision(text.to_owned());
        text.parse().map_err(unknown)
    }

    async fn verify(&self, revision: &Revision) -> Option<Distrust> {
        let distrusted = self.distrusted.lock();
        distrusted.contains(revision).then_some(Distrust::Unsigned)
    }

    async fn unfetched(&self, revision: &Revision) -> Result<Option<Unfetched>, MirrorError> {
        let paths = "common".to_owned();
        let has_some = self.with_submodules.lock().contains(revision);
        Ok(has_some.then_some(Unfetched::Submodules { paths }))
    }

    fn doubt(&self) {
        self.script.note("doubt");
    }

    fn flake(&self, revision: &Revision) -> FlakeSource {
        FlakeSource {
            mirror: "/mirror".into(),
            folder: ".".into(),
            revision: revision.to_string(),
        }
    }
}

/// A clock that goes with tokio's, which a test pauses.
#[derive(Debug)]
pub struct ScriptedClock {
    began: Instant,
    numbers: Mutex<u32>,
}

impl Clock for ScriptedClock {
    fn now(&self) -> Timestamp {
        BEGINNING.checked_add(self.began.elapsed()).unwrap()
    }

    fn jitter(&self) -> Jitter {
        Jitter::NONE
    }

    fn number(&self) -> u32 {
        let mut numbers = self.numbers.lock();
        *numbers += 1;
        *numbers
    }
}

/// All of the outside; the same whatever the config says.
#[derive(Debug)]
pub struct ScriptedOutside {
    /// What is to happen.
    pub script: Arc<Script>,
    /// The hosts.
    pub hosts: Arc<ScriptedHosts>,
    /// Nix.
    pub nix: Arc<ScriptedNix>,
    /// Every repository.
    pub source: Arc<ScriptedSource>,
    clock: Arc<ScriptedClock>,
}

impl ScriptedOutside {
    pub(super) fn new() -> Self {
        let script = Arc::new(Script::default());
        Self {
            hosts: Arc::new(ScriptedHosts::new(Arc::clone(&script))),
            nix: Arc::new(ScriptedNix {
                script: Arc::clone(&script),
                platform: Mutex::default(),
                unswitchable: Mutex::default(),
                roots: Mutex::default(),
                free: Mutex::default(),
            }),
            source: Arc::new(ScriptedSource {
                script: Arc::clone(&script),
                tips: Mutex::default(),
                distrusted: Mutex::default(),
                fetched: Mutex::default(),
                with_submodules: Mutex::default(),
                is_rewound: Mutex::default(),
            }),
            clock: Arc::new(ScriptedClock {
                began: Instant::now(),
                numbers: Mutex::default(),
            }),
            script,
        }
    }
}

impl Outside for ScriptedOutside {
    fn hosts(&self, _: &Config) -> Arc<dyn Hosts> {
        Arc::clone(&self.hosts) as Arc<dyn Hosts>
    }

    fn nix(&self, _: &Config) -> Arc<dyn Nix> {
        Arc::clone(&self.nix) as Arc<dyn Nix>
    }

    fn nix_of(&self, _: &RepositoryName, _: &RepositoryConfig, config: &Config) -> Arc<dyn Nix> {
        self.nix(config)
    }

    fn source(
        &self,
        _: &RepositoryName,
        _: &RepositoryConfig,
        _: &Config,
    ) -> Result<Arc<dyn Source>, MirrorError> {
        Ok(Arc::clone(&self.source) as Arc<dyn Source>)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn renew(&self) {}
}
