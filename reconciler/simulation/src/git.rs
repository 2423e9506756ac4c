//! A repository on its server, and our mirror of it.

use std::collections::BTreeMap;

use desired_state::{BranchName, Lineage, RepositoryName, Revision};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::generator::Generator;
use crate::systems::{Behaviour, System, Systems};

/// What a commit does to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its systems work, but for bad luck on one host or another.
    Good,
    /// Its systems work everywhere, and it changes every host.
    Perfect,
    /// Its systems are bad everywhere.
    Bad(Behaviour),
    /// It does not evaluate.
    DoesNotEvaluate,
}

#[derive(Debug, Clone)]
struct Commit {
    id: Revision,
    parent: Option<usize>,
    kind: Kind,
    /// The share of hosts that it changes.
    share: f64,
}

/// A repository on its server, and our mirror of it.
#[derive(Debug)]
pub struct Repository {
    name: RepositoryName,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    commits: Vec<Commit>,
    index: BTreeMap<Revision, usize>,
    branches: BTreeMap<BranchName, usize>,
    mainline: BTreeMap<BranchName, usize>,
    mirror: Option<BTreeMap<BranchName, usize>>,
    away_until: Option<Instant>,
}

impl Repository {
    /// An empty one.
    pub fn new(name: RepositoryName, seed: u64) -> Self {
        Self {
            name,
            seed,
            state: Mutex::default(),
        }
    }

    /// Its name on the server.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Commits on top of a branch, or anew where `onto` names another commit than its tip: a forced push.
    pub fn commit(
        &self,
        branch: &BranchName,
        kind: Kind,
        share: f64,
        onto: Option<&Revision>,
    ) -> Revision {
        let mut state = self.state.lock();
        let tip = state.branches.get(branch).copied();
        let parent = onto.and_then(|onto| state.index.get(onto).copied()).or(tip);
        let number = state.commits.len();
        let id = id(self.seed, &self.name, number);
        state.commits.push(Commit {
            id: id.clone(),
            parent,
            kind,
            share,
        });
        state.index.insert(id.clone(), number);
        state.branches.insert(branch.clone(), number);
        state.mainline.insert(branch.clone(), number);
        id
    }

    /// Rewinds a branch to a new commit beside its tip. Its main line goes on where it was.
    pub fn rewind(&self, branch: &BranchName, kind: Kind, share: f64) -> Option<Revision> {
        let beside = self.parent(&self.tip(branch)?)?;
        let before = self.state.lock().mainline.get(branch).copied();
        let id = self.commit(branch, kind, share, Some(&beside));
        if let Some(before) = before {
            self.state.lock().mainline.insert(branch.clone(), before);
        }
        Some(id)
    }

    /// The newest commit that every push but forced ones has led to.
    pub fn mainline(&self, branch: &BranchName) -> Option<Revision> {
        let state = self.state.lock();
        state
            .mainline
            .get(branch)
            .map(|index| state.commits[*index].id.clone())
    }

    /// Where a branch points on the server.
    pub fn tip(&self, branch: &BranchName) -> Option<Revision> {
        let state = self.state.lock();
        state
            .branches
            .get(branch)
            .map(|index| state.commits[*index].id.clone())
    }

    /// The commit before this one.
    pub fn parent(&self, of: &Revision) -> Option<Revision> {
        let state = self.state.lock();
        let parent = state.commits[*state.index.get(of)?].parent?;
        Some(state.commits[parent].id.clone())
    }

    /// A branch that is there no more.
    pub fn delete(&self, branch: &BranchName) -> Option<Revision> {
        let mut state = self.state.lock();
        let index = state.branches.remove(branch)?;
        Some(state.commits[index].id.clone())
    }

    /// A branch that is there again, at this commit.
    pub fn restore(&self, branch: &BranchName, at: &Revision) {
        let mut state = self.state.lock();
        if let Some(index) = state.index.get(at).copied() {
            state.branches.insert(branch.clone(), index);
        }
    }

    /// The server does not answer until then.
    pub fn go_away_until(&self, until: Option<Instant>) {
        self.state.lock().away_until = until;
    }

    /// Whether the server answers.
    pub fn answers(&self) -> bool {
        self.state
            .lock()
            .away_until
            .is_none_or(|until| until <= Instant::now())
    }

    /// Brings the mirror to where the server is; gives the branches that differ.
    pub fn fetch(&self) -> Vec<BranchName> {
        let mut state = self.state.lock();
        let before = state.mirror.take().unwrap_or_default();
        let after = state.branches.clone();
        let names = before.keys().chain(after.keys());
        let mut changed: Vec<BranchName> = names
            .filter(|name| before.get(*name) != after.get(*name))
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        state.mirror = Some(after);
        changed
    }

    /// Where a branch points in the mirror; `None` where there is no mirror yet.
    pub fn mirrored(&self, branch: &BranchName) -> Option<Option<Revision>> {
        let state = self.state.lock();
        let index = state.mirror.as_ref()?.get(branch).copied();
        Some(index.map(|index| state.commits[index].id.clone()))
    }

    /// How `to` stands to `from`.
    pub fn lineage(&self, from: &Revision, to: &Revision) -> Option<Lineage> {
        let state = self.state.lock();
        let to = *state.index.get(to)?;
        let Some(from) = state.index.get(from).copied() else {
            return Some(Lineage::Rewound);
        };
        if from == to {
            return Some(Lineage::Same);
        }
        Some(match state.descends(to, from) {
            true => Lineage::Forward,
            false => Lineage::Rewound,
        })
    }

    /// The commit that a text begins.
    pub fn resolve(&self, text: &str) -> Option<Revision> {
        let state = self.state.lock();
        let mut all = state
            .index
            .keys()
            .filter(|id| id.to_string().starts_with(text));
        all.next().filter(|_| all.next().is_none()).cloned()
    }

    /// What a host's system is in a commit; `Err` where that does not evaluate, `None` where there is no such commit.
    pub fn system(
        &self,
        systems: &Systems,
        of: &Revision,
        host: &str,
    ) -> Option<Result<System, ()>> {
        let (content, kind) = {
            let state = self.state.lock();
            let index = *state.index.get(of)?;
            if state.commits[index].kind == Kind::DoesNotEvaluate {
                return Some(Err(()));
            }
            let content = state.content(index, self.seed, host);
            (content, state.commits[content].kind)
        };
        let bad = match kind {
            Kind::Bad(behaviour) => Some(behaviour),
            _ => None,
        };
        let content = format!("{}{content}", self.name.as_str().replace('/', "."));
        let system = systems.of(self.seed, host, &content, bad);
        if kind == Kind::Perfect {
            systems.mend(&system.toplevel);
        }
        systems.get(&system.toplevel).map(Ok)
    }
}

impl State {
    fn descends(&self, commit: usize, from: usize) -> bool {
        let mut at = Some(commit);
        while let Some(index) = at {
            if index == from {
                return true;
            }
            at = self.commits[index].parent;
        }
        false
    }

    /// The commit that last changed a host.
    fn content(&self, commit: usize, seed: u64, host: &str) -> usize {
        let mut at = commit;
        loop {
            let Commit {
                parent,
                kind,
                share,
                ..
            } = &self.commits[at];
            let mut generator = Generator::new(seed, &format!("changes {at} {host}"));
            let changes = *kind != Kind::DoesNotEvaluate && generator.chance(*share);
            match parent {
                Some(parent) if !changes => at = *parent,
                _ => return at,
            }
        }
    }
}

fn id(seed: u64, repository: &RepositoryName, number: usize) -> Revision {
    let mut generator = Generator::new(seed, &format!("commit {repository} {number}"));
    let text = format!(
        "{:016x}{:016x}{:08x}",
        generator.number(),
        generator.number(),
        generator.number() as u32
    );
    match text.parse() {
        Ok(id) => id,
        Err(_) => unreachable!("40 hexadecimal digits are a commit's id"),
    }
}
