//! The branches of the mirror: what they lead to, what of the past is kept, and which one `HEAD` names.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Error, ErrorClass, ErrorCode, Oid, Repository};

use super::health::damaged_ref;
use super::layout::KEPT;
use super::lineage;
use crate::names::{BranchName, Revision};

/// Where each branch points.
pub(super) type Tips = BTreeMap<BranchName, Revision>;

/// Which branches a fetch is for. A clone always brings all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Branches {
    /// All: somebody may ask for any.
    All,
    /// These, where hosts follow them: what bots do all day on others costs nothing.
    These(BTreeSet<BranchName>),
}

impl Branches {
    /// Those of `tips` that a fetch is for.
    pub(super) fn of(&self, tips: &Tips) -> Tips {
        let mut tips = tips.clone();
        if let Self::These(these) = self {
            tips.retain(|name, _| these.contains(name));
        }
        tips
    }
}

/// The branches, without those whose names are no [`BranchName`]s: no host can follow one.
pub(super) fn tips(repository: &Repository) -> Result<Tips, Error> {
    if let Some(damage) = damaged_ref(repository.path()) {
        let damaged = |what: &str| Error::new(ErrorCode::GenericError, ErrorClass::Reference, what);
        return Err(damaged(&damage));
    }
    let mut tips = Tips::new();
    for reference in repository.references_glob("refs/heads/*")? {
        let reference = reference?;
        let name = std::str::from_utf8(reference.name_bytes())
            .ok()
            .and_then(|name| name.strip_prefix("refs/heads/"))
            .and_then(|name| BranchName::try_from(name).ok());
        let revision = reference
            .target()
            .and_then(|id| Revision::try_from(id.to_string()).ok());
        if let (Some(name), Some(revision)) = (name, revision) {
            tips.insert(name, revision);
        }
    }
    Ok(tips)
}

/// The branches that are new, gone, or lead to another commit.
pub(super) fn changed(before: &Tips, after: &Tips) -> Vec<BranchName> {
    let names: BTreeSet<&BranchName> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

/// Removes the branches that the server does not have any more, and keeps their commits: one of the name `a/b` may be
/// about to take the place of a branch `a`.
pub(super) fn remove_gone(
    repository: &Repository,
    before: &Tips,
    server: &Tips,
) -> Result<(), Error> {
    for (name, old) in before
        .iter()
        .filter(|(name, _)| !server.contains_key(*name))
    {
        keep(repository, old)?;
        repository.find_reference(&name.reference())?.delete()?;
    }
    Ok(())
}

/// Gives every former tip that its branch does not lead to any more a ref of its own.
pub(super) fn keep_lost(repository: &Repository, before: &Tips, after: &Tips) -> Result<(), Error> {
    for (name, old) in before {
        if let Some(new) = after.get(name)
            && lineage::between(repository, old, new)?.is_rewound()
        {
            keep(repository, old)?;
        }
    }
    Ok(())
}

fn keep(repository: &Repository, old: &Revision) -> Result<(), Error> {
    let id = Oid::from_str(old.as_str())?;
    repository.reference(&format!("{KEPT}{id}"), id, true, "kept by reconcile")?;
    Ok(())
}

/// Makes `HEAD` lead to a commit (see the module `layout` for why): the server's own default branch, else the one
/// that it names now, else any; detached where there is no branch but something is kept.
pub(super) fn point_head(
    repository: &Repository,
    default: Option<&str>,
    tips: &Tips,
) -> Result<(), Error> {
    let head = repository.find_reference("HEAD")?;
    let now = head.symbolic_target()?.map(str::to_owned);
    let exists = |reference: &str| tips.keys().any(|name| name.reference() == reference);
    let wanted = default
        .filter(|name| exists(name))
        .map(str::to_owned)
        .or_else(|| now.clone().filter(|name| exists(name)))
        .or_else(|| tips.keys().next().map(BranchName::reference));
    match wanted {
        Some(wanted) if now.as_deref() == Some(&wanted) => Ok(()),
        Some(wanted) => repository.set_head(&wanted),
        None => match repository.references_glob(&format!("{KEPT}*"))?.next() {
            Some(kept) => match kept?.target() {
                Some(id) => repository.set_head_detached(id),
                None => Ok(()),
            },
            None => Ok(()),
        },
    }
}
