//! The branches of the mirror: what they lead to, what of the past is kept, and which one `HEAD` names.

use std::collections::BTreeMap;

use git2::{Error, ErrorClass, ErrorCode, Oid, Repository};

use super::health::damaged_ref;
use super::layout::KEPT;
use super::lineage::{self, Lineage};
use crate::names::{BranchName, Revision};

/// Where each branch points.
pub(super) type Tips = BTreeMap<BranchName, Revision>;

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
    let names: std::collections::BTreeSet<&BranchName> =
        before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

/// Gives every former tip that its branch does not lead to any more a ref of its own.
pub(super) fn keep_lost(repository: &Repository, before: &Tips, after: &Tips) -> Result<(), Error> {
    for (name, old) in before {
        let follows = match after.get(name) {
            Some(new) => lineage::between(repository, old, new)?,
            None => Lineage::Rewound,
        };
        let old = Oid::from_str(old.as_str())?;
        // What the mirror had before it was cloned again may be gone from the server.
        if follows.is_rewound() && repository.odb()?.exists(old) {
            let kept = format!("{KEPT}{old}");
            repository.reference(&kept, old, true, "kept by reconcile")?;
        }
    }
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
