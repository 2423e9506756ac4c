//! What of a commit is not in its repository: files of Git LFS and submodules. Where they should be, a checkout has
//! small pointer files and empty folders, and Nix would take these for the real thing.

use git2::{Error, ObjectType, Oid, Repository};

use crate::names::Revision;
use crate::shown::shown;

/// How a pointer begins (git-lfs(1), docs/spec.md: it has less than 1024 bytes).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
const LONGEST_POINTER: usize = 1024;

/// How many paths a message names, and how much of them, in characters.
const NAMED: usize = 3;
const SHOWN: usize = 200;

/// Why a commit is not deployed: what it has in other places than its repository, and its flake does not say what it
/// wants of it. A flake that does is Nix's to handle, as it says (Nix 2.27, `inputs.self`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfetched {
    /// Files of Git LFS.
    #[error(
        "the commit has pointers of Git LFS where these files should be: {paths}; with Nix 2.27 or newer, say `inputs.self.lfs = true;` in flake.nix, or take them out of LFS (git lfs migrate export); if no host needs them, say so in flake.nix: `# lfs = false`"
    )]
    LargeFiles {
        /// Which.
        paths: String,
    },
    /// Submodules.
    #[error(
        "the commit has submodules, which would be empty folders: {paths}; with Nix 2.27 or newer, say `inputs.self.submodules = true;` in flake.nix, or make them inputs of the flake; if no host needs them, say so in flake.nix: `# submodules = false`"
    )]
    Submodules {
        /// Which.
        paths: String,
    },
}

/// What of a commit is elsewhere, and not asked for by the flake in `folder`.
pub(super) fn find(
    repository: &Repository,
    revision: &Revision,
    folder: &str,
) -> Result<Option<Unfetched>, Error> {
    let tree = repository
        .find_commit(Oid::from_str(revision.as_str())?)?
        .tree()?;
    let (mut submodules, mut files, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
    let mut folders = vec![(String::new(), tree.id())];
    while let Some((parent, id)) = folders.pop() {
        for entry in &repository.find_tree(id)? {
            let name = String::from_utf8_lossy(entry.name_bytes());
            let path = format!("{parent}{name}");
            match entry.kind() {
                Some(ObjectType::Tree) => folders.push((format!("{path}/"), entry.id())),
                Some(ObjectType::Commit) => submodules.push(path),
                Some(ObjectType::Blob) if name == ".gitattributes" => attributes.push(entry.id()),
                Some(ObjectType::Blob) => files.push((path, entry.id())),
                _ => {}
            }
        }
    }
    let flake = match folder.trim_start_matches("./").trim_matches('/') {
        "" | "." => "flake.nix".to_owned(),
        folder => format!("{folder}/flake.nix"),
    };
    let Some((_, flake)) = files.iter().find(|(path, _)| *path == flake) else {
        return Ok(None); // The evaluation will say so.
    };
    let flake = text(repository, *flake)?;
    if !submodules.is_empty() && !speaks_of(&flake, "submodules") {
        let paths = named(&submodules);
        return Ok(Some(Unfetched::Submodules { paths }));
    }
    let mut uses_lfs = false;
    for id in attributes {
        uses_lfs |= text(repository, id)?.contains("filter=lfs");
    }
    if !uses_lfs || speaks_of(&flake, "lfs") {
        return Ok(None);
    }
    let odb = repository.odb()?;
    let mut pointers = Vec::new();
    for (path, id) in files {
        if odb.read_header(id)?.0 < LONGEST_POINTER && odb.read(id)?.data().starts_with(POINTER) {
            pointers.push(path);
        }
    }
    let paths = named(&pointers);
    Ok((!pointers.is_empty()).then_some(Unfetched::LargeFiles { paths }))
}

fn text(repository: &Repository, id: Oid) -> Result<String, Error> {
    let blob = repository.find_blob(id)?;
    Ok(String::from_utf8_lossy(blob.content()).into_owned())
}

/// Whether a flake gives an attribute of that name a value, in its code or in a comment.
fn speaks_of(flake: &str, attribute: &str) -> bool {
    let mut places = flake.match_indices(attribute);
    places.any(|(at, _)| flake[at + attribute.len()..].trim_start().starts_with('='))
}

/// The first of some paths, as they may be shown, and how many more there are.
fn named(paths: &[String]) -> String {
    let mut paths = paths.to_vec();
    paths.sort_unstable();
    let first = &paths[..paths.len().min(NAMED)];
    let named = shown(&first.join(", "), SHOWN);
    match paths.len() - first.len() {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
