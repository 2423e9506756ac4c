//! One fetch by git, in a thread that may block.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::{ConfigLevel, Repository};

use super::address::{Address, for_git};
use super::branches::{self, Branches, Tips};
use super::credentials;
use super::error::MirrorError;
use super::git::{Ended, Failed, SOURCE, Said, environment, run};
use super::health::{self, Health, Look};
use super::layout::{Layout, disk, git};
use super::libgit2;
use super::listing::Listing;
use super::remote_failure::{RemoteFailure, from_git, is_our_disk_full, last_words};
use super::settings::{Access, MirrorSettings};
use super::stop::Stop;
use crate::names::BranchName;

/// Every branch to the branch of the same name, forced pushes included. Tags are left out: no host follows one.
const ALL_BRANCHES: &str = "+refs/heads/*:refs/heads/*";

/// Where a repository comes from, in its config.
const ORIGIN: &str = "remote.origin.url";

/// What a fetch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Something,
}

impl Found {
    /// How many packs may lie about after it. Where nothing was found, nobody waits; a repository that is never quiet is
    /// tidied up nevertheless.
    fn packs_at_most(self) -> usize {
        match self {
            Self::Nothing => 8,
            Self::Something => 40,
        }
    }
}

/// What became of a fetch.
pub(super) struct Done {
    /// The branches as they are now.
    pub tips: Tips,
    /// What was found damaged, if the mirror was cloned again.
    pub damage: Option<String>,
}

/// One fetch from a server.
pub(super) struct Fetch<'a> {
    settings: &'a MirrorSettings,
    address: &'a Address,
    stop: &'a Arc<Stop>,
}

impl<'a> Fetch<'a> {
    /// Gets libgit2 ready, and looks at the credentials.
    pub(super) fn prepare(
        settings: &'a MirrorSettings,
        address: &'a Address,
        stop: &'a Arc<Stop>,
    ) -> Result<Self, MirrorError> {
        libgit2::configure()?;
        credentials::check(&settings.access)?;
        Ok(Self {
            settings,
            address,
            stop,
        })
    }

    /// Fetches into the mirror, or clones it where there is none or a damaged one. A mirror `in_doubt` is looked at
    /// thoroughly first, and is out of doubt after that.
    pub(super) fn run(
        &self,
        layout: &Layout,
        branches: &Branches,
        in_doubt: &AtomicBool,
    ) -> Result<Done, MirrorError> {
        let _lock = layout.lock(self.stop)?;
        layout.clear_leftovers()?;
        let look = if in_doubt.load(Ordering::Relaxed) {
            Look::Thorough
        } else {
            Look::Quick
        };
        let health = health::examine(layout, look, self.stop)?;
        in_doubt.store(false, Ordering::Relaxed);
        self.stop.moved();
        let damage = match health {
            Health::Sound(repository) => {
                let before = branches::tips(&repository).map_err(git("list the branches"))?;
                let tips = self.bring_up_to_date(&repository, branches)?;
                let found = if before == tips {
                    Found::Nothing
                } else {
                    Found::Something
                };
                if found == Found::Something {
                    layout.sync()?;
                }
                self.join_packs(layout, found);
                return Ok(Done { tips, damage: None });
            }
            Health::Missing => None,
            Health::Damaged(what) => Some(what),
        };
        let tips = self.bring_up_to_date(&layout.start_clone()?, &Branches::All)?;
        layout.finish_clone()?;
        Ok(Done { tips, damage })
    }

    /// Asks the server for its branches, as a fetch begins, and downloads nothing.
    pub(super) fn ask(&self) -> Result<Listing, MirrorError> {
        let mut variables = self.environment();
        if let Address::Http { .. } = self.address {
            // What git does not say itself: to whom it was redirected, why it could not connect, what the answer is.
            for traced in [
                "GIT_TRACE_CURL",
                "GIT_TRACE_CURL_NO_DATA",
                "GIT_TRACE_REDACT",
            ] {
                variables.push((traced.to_owned(), "1".to_owned()));
            }
        }
        // Both patterns are sent to the server, which leaves out all else (gitprotocol-v2(5), ref-prefix).
        let arguments = ["ls-remote", "--symref", SOURCE, "HEAD", "refs/heads/*"];
        let asked = run(Path::new("/"), &arguments, variables, self.stop);
        if let Ok(ended) = &asked
            && let Address::Http { origin } = self.address
        {
            self.check_server(origin, ended)?;
        }
        let listing = Listing::read(&self.succeeded(asked)?);
        if listing.is_sha256 {
            return Err(self.remote(RemoteFailure::Sha256, String::new()));
        }
        Ok(listing)
    }

    /// Whether a web server is the one that was meant, and one of git.
    fn check_server(&self, origin: &str, ended: &Ended) -> Result<(), MirrorError> {
        let trace = ended.said.trace();
        // Redirects within the server are followed, as for a renamed repository.
        if Listing::is_redirected_from(origin, trace) {
            return Err(self.remote(RemoteFailure::Redirected, self.quoted(&ended.said)));
        }
        // A page that is empty, or text, is for git a repository without branches of the "dumb" kind.
        let is_git = trace
            .to_ascii_lowercase()
            .contains("application/x-git-upload-pack-advertisement");
        if ended.is_success && ended.printed.is_empty() && !is_git {
            return Err(self.remote(RemoteFailure::NotGit, self.quoted(&ended.said)));
        }
        Ok(())
    }

    /// Brings branches of `repository` to where the server's are.
    fn bring_up_to_date(
        &self,
        repository: &Repository,
        branches: &Branches,
    ) -> Result<Tips, MirrorError> {
        self.name_origin(repository)
            .map_err(git("write the config"))?;
        let before = branches::tips(repository).map_err(git("list the branches"))?;
        let listing = self.ask()?;
        self.stop.moved();
        branches::remove_gone(repository, &before, &listing.tips)
            .map_err(git("remove branches"))?;
        let wanted = branches.of(&listing.tips);
        if wanted != branches.of(&before) {
            let names = wanted.keys().map(BranchName::reference);
            let refspecs = match branches {
                Branches::All => vec![ALL_BRANCHES.to_owned()],
                Branches::These(_) => names.map(|name| format!("+{name}:{name}")).collect(),
            };
            self.transfer(repository.path(), &refspecs)?;
        }
        let tips = branches::tips(repository).map_err(git("list the branches"))?;
        branches::keep_lost(repository, &before, &tips).map_err(git("keep old commits"))?;
        let default = listing.default.as_deref();
        branches::point_head(repository, default, &tips).map_err(git("set HEAD"))?;
        Ok(tips)
    }

    /// Writes down where the repository comes from (see the module `layout` for why).
    fn name_origin(&self, repository: &Repository) -> Result<(), git2::Error> {
        let mut config = repository.config()?.open_level(ConfigLevel::Local)?;
        let url = for_git(&self.settings.url);
        if config.get_string(ORIGIN).is_ok_and(|known| known == url) {
            return Ok(());
        }
        config.set_str(ORIGIN, &url)
    }

    /// Downloads and moves branches.
    fn transfer(&self, repository: &Path, refspecs: &[String]) -> Result<(), MirrorError> {
        if refspecs.is_empty() {
            return Ok(());
        }
        let mut arguments = vec![
            "--git-dir=.",
            "fetch",
            "--progress",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
            SOURCE,
        ];
        arguments.extend(refspecs.iter().map(String::as_str));
        let fetched = run(repository, &arguments, self.environment(), self.stop);
        match self.succeeded(fetched) {
            Ok(_) => Ok(()),
            // The server has just told us its branches, and nothing tells of it now: it is the mirror itself.
            Err(MirrorError::Remote {
                failure: RemoteFailure::Unrecognized,
                said,
                ..
            }) => Err(git("fetch")(git2::Error::from_str(&said))),
            Err(error) => Err(error),
        }
    }

    /// Joins packs, and puts loose refs into one file, once there are many: each look-up, ours or Nix's, goes through all
    /// of them.
    ///
    /// Safe beside readers: what is new is in place before anything old goes, and who misses something looks again
    /// (git-repack(1) `-d`; `git_odb_refresh` in libgit2). Packs are joined with all that is in them, reachable or not,
    /// and each time so few that the work stays small (`--geometric`). It may fail, for it is tried again at the next
    /// fetch, and nothing but time depends on it.
    fn join_packs(&self, layout: &Layout, found: Found) {
        if layout.packs() <= found.packs_at_most() {
            return;
        }
        for arguments in [
            &["--git-dir=.", "repack", "--geometric=2", "-d", "-q"][..],
            &["--git-dir=.", "pack-refs", "--all"],
        ] {
            self.stop.moved();
            let _ = run(&layout.git(), arguments, self.environment(), self.stop);
        }
    }

    fn environment(&self) -> Vec<(String, String)> {
        environment(self.settings, self.address, self.stop.silence())
    }

    /// What git printed, if it succeeded; else the cause.
    fn succeeded(&self, git: Result<Ended, Failed>) -> Result<Vec<u8>, MirrorError> {
        match git {
            Ok(ended) if ended.is_success => Ok(ended.printed),
            Ok(ended) => Err(self.explain(&ended.said)),
            Err(Failed::NotRun(error)) => {
                Err(self.remote(RemoteFailure::GitMissing, last_words(&error.to_string())))
            }
            Err(Failed::Stopped(said)) => Err(MirrorError::TimedOut {
                url: self.settings.url.clone(),
                limit: self.stop.silence(),
                said: self.quoted(&said),
            }),
        }
    }

    /// Names the cause of a failure.
    fn explain(&self, said: &Said) -> MirrorError {
        let words = said.words();
        if is_our_disk_full(&words) {
            let full = std::io::Error::from_raw_os_error(nix::errno::Errno::ENOSPC as i32);
            return disk("fetch into", &self.settings.directory, full);
        }
        // Why it could not connect is what curl says only in the trace.
        let refused = said
            .trace()
            .lines()
            .filter(|line| line.contains(" failed: "));
        let all = refused.fold(words, |all, line| all + line + "\n");
        let failure = from_git(said.ssh_status, &all).unwrap_or(RemoteFailure::Unrecognized);
        self.remote(failure, self.quoted(said))
    }

    /// The last words, and how far a transfer came that was under way. A server that was told a token may be out to have
    /// it told to others, so nothing is quoted that can be its own: what it says, and where it redirects.
    fn quoted(&self, said: &Said) -> String {
        let all = format!("{}{}", said.words(), said.progress);
        if !matches!(self.settings.access, Access::Token { .. }) {
            return last_words(&all);
        }
        let is_gits = |line: &&str| !line.starts_with("remote:") && !line.contains("remote error:");
        let without_urls = |line: &str| line.split('\'').step_by(2).collect::<String>();
        let lines: Vec<String> = all.lines().filter(is_gits).map(without_urls).collect();
        last_words(&lines.join("\n"))
    }

    fn remote(&self, failure: RemoteFailure, said: String) -> MirrorError {
        MirrorError::Remote {
            url: self.settings.url.clone(),
            failure,
            said,
        }
    }
}
