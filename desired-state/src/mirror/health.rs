//! Is the mirror on disk whole?
//!
//! A pack may be missing, a file cut short by a power cut or a full disk, `HEAD` overwritten. What is damaged is
//! cloned again, never repaired. Only what the disk holds is looked at: trouble with the network, memory or
//! permissions is an error of its own, and never a reason to clone again.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use git2::{ErrorClass, ErrorCode, ObjectType, Oid, Repository};

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};
use tokio::time::Instant;

use super::error::MirrorError;
use super::layout::{DEEPEST, Layout, git};
use super::stop::Stop;

/// How long a thorough look may take at most: an `infra` repository takes far less than a second; a fork of
/// nixpkgs is looked at as far as it goes.
const THOROUGH_LIMIT: Duration = Duration::from_secs(20);

/// How much of a loose object is unpacked to see whether it is whole, in bytes.
const LARGEST_LOOSE: usize = 64 * 1024 * 1024;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// `HEAD`, every ref, and the commit and top folder that each leads to: milliseconds, before every fetch.
    Quick,
    /// Also every file of every branch, and every commit of the history: after a start, and after doubt arose.
    Thorough,
}

/// What was found.
pub(super) enum Health {
    /// Nothing has been cloned yet.
    Missing,
    /// Whole, as far as was looked.
    Sound(Repository),
    /// Damaged: what was found.
    Damaged(String),
}

/// Looks at the mirror.
pub(super) fn examine(layout: &Layout, look: Look, stop: &Stop) -> Result<Health, MirrorError> {
    if layout.is_missing() {
        return Ok(Health::Missing);
    }
    let until = Instant::now() + THOROUGH_LIMIT;
    let is_over = || stop.is_over() || Instant::now() >= until;
    let objects = layout.git().join("objects");
    let damage = damaged_ref(&layout.git()).or_else(|| match look {
        Look::Quick => None,
        Look::Thorough => cut_loose_object(&objects, &is_over),
    });
    if let Some(damage) = damage {
        return Ok(Health::Damaged(damage));
    }
    let examined = Repository::open_bare(layout.git()).and_then(|repository| {
        check_refs(&repository)?;
        if look == Look::Thorough {
            check_objects(&repository, &is_over)?;
        }
        Ok(repository)
    });
    match examined {
        Ok(repository) => Ok(Health::Sound(repository)),
        Err(error) if error.code() == ErrorCode::Owner => Err(MirrorError::NotOurs {
            directory: layout.directory().to_owned(),
        }),
        Err(error) if is_damage(&error) => Ok(Health::Damaged(error.message().to_owned())),
        Err(error) => Err(git("read")(error)),
    }
}

/// Whether an error tells of damage on disk rather than of a system in need.
pub(super) fn is_damage(error: &git2::Error) -> bool {
    let code = matches!(
        error.code(),
        ErrorCode::NotFound | ErrorCode::HashsumMismatch
    );
    let class = matches!(
        error.class(),
        ErrorClass::Reference
            | ErrorClass::Zlib
            | ErrorClass::Repository
            | ErrorClass::Config
            | ErrorClass::Odb
            | ErrorClass::Object
            | ErrorClass::Tree
            | ErrorClass::Indexer
    );
    code || class
}

/// The first ref file that holds neither a commit id nor the name of another ref. libgit2 passes over such files when
/// it lists refs, and a branch would seem to be gone.
pub(super) fn damaged_ref(git: &Path) -> Option<String> {
    damaged_ref_below(&git.join("refs"), 0)
}

fn damaged_ref_below(directory: &Path, depth: usize) -> Option<String> {
    let entries = std::fs::read_dir(directory).ok()?;
    entries.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return (depth < DEEPEST).then(|| damaged_ref_below(&path, depth + 1))?;
        }
        // A ref that cannot be read at all is libgit2's to report, with the system's reason.
        let contents = std::fs::read(&path).ok()?;
        let line = contents.strip_suffix(b"\n").unwrap_or(&contents);
        let is_id = line.len() == 40 && line.iter().all(u8::is_ascii_hexdigit);
        let is_name = line.starts_with(b"ref: refs/");
        (!is_id && !is_name).then(|| format!("{} holds no commit id", path.display()))
    })
}

fn check_refs(repository: &Repository) -> Result<(), git2::Error> {
    // A HEAD that names a branch without commits is sound: an empty repository has one.
    repository.find_reference("HEAD")?;
    for reference in repository.references()? {
        if let Some(id) = reference?.target() {
            repository.find_commit(id)?.tree()?;
        }
    }
    Ok(())
}

/// Reads what every branch holds now, then every commit of the history, then all else that is there.
fn check_objects(repository: &Repository, is_over: &dyn Fn() -> bool) -> Result<(), git2::Error> {
    let odb = repository.odb()?;
    let mut seen = HashSet::new();
    let mut history = repository.revwalk()?;
    for reference in repository.references()? {
        let reference = reference?;
        let Some(tip) = reference.target() else {
            continue;
        };
        history.push(tip)?;
        if reference.is_branch() {
            check_tree(repository, &odb, tip, &mut seen, is_over)?;
        }
    }
    for commit in history {
        seen.insert(commit?);
        if is_over() {
            return Ok(());
        }
    }
    let mut rest = Vec::new();
    odb.foreach(|id| {
        rest.push(*id);
        !is_over()
    })
    .or_else(|error| if is_over() { Ok(()) } else { Err(error) })?;
    for id in rest {
        if seen.insert(id) {
            odb.read(id)?;
        }
        if is_over() {
            return Ok(());
        }
    }
    Ok(())
}

/// The first loose object whose compressed data end too soon. libgit2 up to 1.9.7 reads such a one for ever
/// (libgit2 issue 7342), so it must not come to see it. The mirror itself only ever gets packs; loose objects come
/// from a person's `git gc`.
fn cut_loose_object(objects: &Path, is_over: &dyn Fn() -> bool) -> Option<String> {
    let folders = std::fs::read_dir(objects).ok()?.flatten();
    let is_loose = |entry: &std::fs::DirEntry| entry.file_name().len() == 2;
    let files = folders
        .filter(is_loose)
        .filter_map(|folder| std::fs::read_dir(folder.path()).ok())
        .flat_map(Iterator::flatten);
    for file in files.take_while(|_| !is_over()) {
        let compressed = std::fs::read(file.path()).ok()?;
        match decompress_to_vec_zlib_with_limit(&compressed, LARGEST_LOOSE) {
            Ok(_) => {}
            Err(error) if error.status == TINFLStatus::HasMoreOutput => {}
            Err(_) => return Some(format!("{} is cut short", file.path().display())),
        }
    }
    None
}

/// Reads every file below a commit; reading checks the id (`git_libgit2_opts` STRICT_HASH_VERIFICATION, on by default).
fn check_tree(
    repository: &Repository,
    odb: &git2::Odb<'_>,
    commit: Oid,
    seen: &mut HashSet<Oid>,
    is_over: &dyn Fn() -> bool,
) -> Result<(), git2::Error> {
    let mut trees = vec![repository.find_commit(commit)?.tree_id()];
    while let Some(tree) = trees.pop() {
        if is_over() {
            return Ok(());
        }
        for entry in &repository.find_tree(tree)? {
            if !seen.insert(entry.id()) {
                continue;
            }
            match entry.kind() {
                Some(ObjectType::Tree) => trees.push(entry.id()),
                Some(ObjectType::Blob) => drop(odb.read(entry.id())?),
                // A submodule's commit lives in another repository.
                _ => {}
            }
        }
    }
    Ok(())
}
