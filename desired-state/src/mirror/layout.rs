//! Where a mirror stands on disk, and what makes it good for Nix.
//!
//! # What Nix needs of `git+file://DIRECTORY?rev=REVISION` (tried with Nix 2.8.0 and 2.26.3)
//!
//! - **`DIRECTORY/.git`**. Nix 2.8 copies a repository without it (a bare one) into its cache before it reads it, and
//!   then asks for a `ref`; with it, the repository is read in place. 2.26 is content with both.
//! - **A `HEAD` that leads to a commit**. Nix 2.8 runs `git rev-parse --abbrev-ref HEAD` although a `rev` was given,
//!   and fails where `HEAD` names a branch without commits. 2.26 does not mind that, but warns about a detached
//!   `HEAD`. So `HEAD` names a branch that exists, and is detached only where there is none.
//! - **The objects of the commit**, and nothing more: no ref has to lead to a `rev` that is given without a `ref`,
//!   `allRefs` is not needed, and a rewound or deleted branch's commits can be evaluated for as long as they are kept.
//! - **`core.bare`** may be either; it is true here, so that nobody checks anything out by mistake.
//! - **The same owner**: git refuses a repository of another user (`safe.directory` in git-config(1)), and Nix with it.
//! - **The URL of a remote `origin`**, for submodules with relative URLs, and for the server of Git LFS (Nix 2.27,
//!   git.cc and git-lfs-fetch.cc). Nobody fetches by it, and it holds no secret.
//! - `dir=` works as with any repository.
//!
//! # What is kept
//!
//! Nothing is ever thrown away: no garbage collection runs (`gc.auto` is 0), packs are only joined, with all that is in
//! them, and every tip that a forced push or a deletion left behind gets a ref of its own, [`KEPT`], so that `git gc` by
//! a person keeps it too. Pins and old revisions stay good until the mirror itself is lost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{Repository, RepositoryInitOptions};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::MirrorError;
use super::stop::Stop;

/// The folder of refs that hold on to commits which no branch leads to any more; the last part is the commit's id.
pub(super) const KEPT: &str = "refs/reconcile/kept/";

/// The branch that a new mirror's `HEAD` names until the first fetch.
const INITIAL_BRANCH: &str = "main";

/// How often a fetch looks whether another process has let go of the mirror.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The paths of a mirror: the mirror itself, and what may stand beside it.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    directory: PathBuf,
}

impl Layout {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The repository.
    pub(super) fn git(&self) -> PathBuf {
        self.directory.join(".git")
    }

    /// Whether nothing was cloned yet. An empty folder, made ready by somebody, is nothing too.
    pub(super) fn is_missing(&self) -> bool {
        match fs::read_dir(&self.directory) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// A clone under way. It becomes the mirror in one rename, so half a clone never is one.
    fn new_directory(&self) -> PathBuf {
        self.beside("new")
    }

    /// The last mirror that was found damaged, for a person to look at.
    pub(super) fn broken_directory(&self) -> PathBuf {
        self.beside("broken")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.directory.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        name.into()
    }

    /// Takes the lock that keeps two processes from writing to one mirror; it is let go with the value, also by
    /// `kill -9`.
    pub(super) fn lock(&self, stop: &Stop) -> Result<Flock<fs::File>, MirrorError> {
        let path = self.beside("lock");
        let failed = |source| disk("lock", &path, source);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut file = fs::File::create(&path).map_err(failed)?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((same, Errno::EWOULDBLOCK | Errno::EINTR)) => file = same,
                Err((_, error)) => return Err(failed(error.into())),
            }
            if stop.is_over() {
                return Err(MirrorError::Busy {
                    directory: self.directory.clone(),
                    limit: stop.silence(),
                });
            }
            std::thread::sleep(LOCK_RETRY.min(stop.time_left()));
        }
    }

    /// Makes an empty repository beside the mirror, in place of one that was left half done.
    pub(super) fn start_clone(&self) -> Result<Repository, MirrorError> {
        let path = self.new_directory();
        remove(&path)?;
        let mut options = RepositoryInitOptions::new();
        options
            .bare(true)
            .mkpath(true)
            .external_template(false)
            .initial_head(INITIAL_BRANCH);
        Repository::init_opts(path.join(".git"), &options)
            .and_then(|repository| {
                repository.config()?.set_i32("gc.auto", 0)?;
                Ok(repository)
            })
            .map_err(git("make a repository"))
    }

    /// Puts the finished clone into the mirror's place, and a damaged mirror out of it.
    pub(super) fn finish_clone(&self) -> Result<(), MirrorError> {
        // Removes an empty folder, and nothing else.
        let _ = fs::remove_dir(&self.directory);
        if self.directory.exists() {
            let broken = self.broken_directory();
            remove(&broken)?;
            fs::rename(&self.directory, &broken)
                .map_err(|error| disk("move away", &self.directory, error))?;
        }
        fs::rename(self.new_directory(), &self.directory)
            .map_err(|error| disk("put the new clone at", &self.directory, error))?;
        self.sync()
    }

    /// Puts away what a process that was killed left in the mirror: git and libgit2 hold `*.lock` files while they
    /// change refs, and would wait for their owner for ever; a `*.keep` would keep a pack from being joined with others;
    /// half-received packs only take space. To be called with the lock held, for then nobody else is at work.
    pub(super) fn clear_leftovers(&self) -> Result<(), MirrorError> {
        remove(&self.new_directory())?;
        let git = self.git();
        for file in ["HEAD", "config", "packed-refs"] {
            remove(&git.join(format!("{file}.lock")))?;
        }
        remove_below(&git.join("refs"), 0, &|name| name.ends_with(".lock"))?;
        let is_pack = |name: &str| name.starts_with("pack-") && !name.ends_with(".keep");
        remove_below(&git.join("objects/pack"), 0, &|name| !is_pack(name))
    }

    /// How many packs there are. Each fetch that finds something brings one.
    pub(super) fn packs(&self) -> usize {
        let entries = fs::read_dir(self.git().join("objects/pack"));
        let is_pack = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|e| e == "pack");
        entries.map_or(0, |entries| entries.flatten().filter(is_pack).count())
    }

    /// Brings everything to the disk: a branch that we answered for must be there after a power cut.
    pub(super) fn sync(&self) -> Result<(), MirrorError> {
        fs::File::open(&self.directory)
            .and_then(|directory| Ok(nix::unistd::syncfs(directory)?))
            .map_err(|error| disk("write to the disk", &self.directory, error))
    }
}

/// How deep folders of refs are looked through: a branch name of 255 bytes has at most 128 parts.
pub(super) const DEEPEST: usize = 130;

fn remove_below(
    directory: &Path,
    depth: usize,
    is_leftover: &dyn Fn(&str) -> bool,
) -> Result<(), MirrorError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // Not there, or not a folder: the check of the mirror will say so.
        Err(_) => return Ok(()),
    };
    for entry in entries.flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && depth < DEEPEST {
            remove_below(&entry.path(), depth + 1, is_leftover)?;
        } else if !is_directory && is_leftover(&entry.file_name().to_string_lossy()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file or a folder with all that is in it; one that is not there is fine.
fn remove(path: &Path) -> Result<(), MirrorError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(()),
        // A file stands where a folder should: damage, which the look at the mirror finds.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(disk("remove", path, error)),
    }
}

pub(super) fn disk(step: &'static str, path: &Path, source: io::Error) -> MirrorError {
    MirrorError::Disk {
        step,
        path: path.to_owned(),
        source,
    }
}

pub(super) fn git(step: &'static str) -> impl Fn(git2::Error) -> MirrorError {
    move |source| MirrorError::Git { step, source }
}
