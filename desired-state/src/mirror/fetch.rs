//! One fetch, in a thread that may block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::{
    AutotagOption, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions,
    ProxyOptions, Remote, RemoteCallbacks, RemoteRedirect, RemoteUpdateFlags, Repository,
};

use super::address::Address;
use super::branches::{self, Tips};
use super::credentials::{self, Credentials};
use super::error::MirrorError;
use super::health::{self, Health, Look};
use super::layout::{Layout, git};
use super::libgit2;
use super::remote_failure::{RemoteFailure, from_libgit2, from_ssh, last_words};
use super::settings::MirrorSettings;
use super::ssh::{self, Registered, SshCommand, SshReport};
use super::stop::Stop;

/// Every branch to the branch of the same name, forced pushes included. Tags are left out: no host follows one.
const BRANCHES: &str = "+refs/heads/*:refs/heads/*";

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
    credentials: Credentials,
    stop: &'a Arc<Stop>,
}

impl<'a> Fetch<'a> {
    /// Gets libgit2 and the credentials ready.
    pub(super) fn prepare(
        settings: &'a MirrorSettings,
        address: &'a Address,
        stop: &'a Arc<Stop>,
    ) -> Result<Self, MirrorError> {
        libgit2::configure()?;
        ssh::register().map_err(git("set up the transport"))?;
        Ok(Self {
            settings,
            address,
            credentials: credentials::read(&settings.access)?,
            stop,
        })
    }

    /// Fetches into the mirror, or clones it where there is none or a damaged one. A mirror `in_doubt` is looked at
    /// thoroughly first, and is out of doubt after that.
    pub(super) fn run(&self, layout: &Layout, in_doubt: &AtomicBool) -> Result<Done, MirrorError> {
        let _lock = layout.lock(self.stop)?;
        layout.clear_leftovers()?;
        let look = if in_doubt.load(Ordering::Relaxed) {
            Look::Thorough
        } else {
            Look::Quick
        };
        let health = health::examine(layout, look, self.stop)?;
        in_doubt.store(false, Ordering::Relaxed);
        let damage = match health {
            Health::Sound(repository) => {
                let before = branches::tips(&repository).map_err(git("list the branches"))?;
                let tips = self.bring_up_to_date(&repository)?;
                if before != tips {
                    layout.sync()?;
                }
                return Ok(Done { tips, damage: None });
            }
            Health::Missing => None,
            Health::Damaged(what) => Some(what),
        };
        let tips = self.bring_up_to_date(&layout.start_clone()?)?;
        layout.finish_clone()?;
        Ok(Done { tips, damage })
    }

    /// Asks the server for its branches, as a fetch begins, and downloads nothing.
    pub(super) fn ask(&self) -> Result<(), MirrorError> {
        self.reach(|url| self.connect(url))
    }

    /// Brings the branches of `repository` to where the server's are.
    fn bring_up_to_date(&self, repository: &Repository) -> Result<Tips, MirrorError> {
        let before = branches::tips(repository).map_err(git("list the branches"))?;
        let default = self.reach(|url| self.transfer(repository, url))?;
        let tips = branches::tips(repository).map_err(git("list the branches"))?;
        branches::keep_lost(repository, &before, &tips).map_err(git("keep old commits"))?;
        branches::point_head(repository, default.as_deref(), &tips).map_err(git("set HEAD"))?;
        Ok(tips)
    }

    /// Does something with the URL by which libgit2 reaches the server, and names the cause when it fails.
    fn reach<T>(
        &self,
        work: impl FnOnce(&str) -> Result<T, git2::Error>,
    ) -> Result<T, MirrorError> {
        match self.address {
            Address::Ssh(ssh) => {
                let command = SshCommand::new(ssh, &self.settings.access, self.stop.limit());
                let call = Registered::new(command, Arc::clone(self.stop));
                work(&call.url()).map_err(|error| self.explain(error, &call.report()))
            }
            Address::Http { .. } | Address::File { .. } => {
                work(&self.settings.url).map_err(|error| self.explain(error, &SshReport::default()))
            }
        }
    }

    /// Downloads and moves the branches; gives the name of the server's default branch.
    fn transfer(&self, repository: &Repository, url: &str) -> Result<Option<String>, git2::Error> {
        let mut remote = repository.remote_anonymous(url)?;
        let mut proxy = ProxyOptions::new();
        proxy.auto();
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(self.callbacks())
            .proxy_options(proxy)
            // Redirects to other hosts; within the host they are followed, as for a renamed repository.
            .follow_redirects(RemoteRedirect::None)
            .download_tags(AutotagOption::None)
            .update_fetchhead(false);
        // Not `fetch`, which removes what is gone only after it has written what is new: a branch `a/b` that takes
        // the place of a branch `a` would find a file in its way.
        remote.download(&[BRANCHES], Some(&mut options))?;
        let default = remote.default_branch().ok();
        remote.disconnect()?;
        remote.prune(None)?;
        remote.update_tips(None, RemoteUpdateFlags::empty(), AutotagOption::None, None)?;
        Ok(default.and_then(|name| name.as_str().ok().map(str::to_owned)))
    }

    /// Connects and hangs up; that lists the branches.
    fn connect(&self, url: &str) -> Result<(), git2::Error> {
        let mut remote = Remote::create_detached(url)?;
        let mut proxy = ProxyOptions::new();
        proxy.auto();
        remote.connect_auth(Direction::Fetch, Some(self.callbacks()), Some(proxy))?;
        remote.disconnect()
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        // These run whenever something arrives, so a server that only trickles is ended too.
        callbacks.transfer_progress(|_| !self.stop.is_over());
        callbacks.sideband_progress(|_| !self.stop.is_over());
        let mut asked = false;
        callbacks.credentials(move |url, _, allowed| {
            let refused = |why: &str| git2::Error::new(ErrorCode::Auth, ErrorClass::Http, why);
            let Credentials::Token { username, token } = &self.credentials else {
                return Err(refused("authentication required"));
            };
            // libgit2 compares the hosts of a redirect, but not the ports.
            if !is_same_server(url, &self.settings.url) {
                let redirected = "cannot redirect a token to another server";
                return Err(git2::Error::new(
                    ErrorCode::GenericError,
                    ErrorClass::Net,
                    redirected,
                ));
            }
            // Asked a second time, the server has refused it: libgit2 would go on (15 times in all), and servers lock out
            // who tries too often.
            if asked || !allowed.contains(CredentialType::USER_PASS_PLAINTEXT) {
                return Err(refused("authentication refused"));
            }
            asked = true;
            Cred::userpass_plaintext(username, token)
        });
        callbacks
    }

    /// Names the cause of a failed transfer.
    fn explain(&self, error: git2::Error, report: &SshReport) -> MirrorError {
        let url = self.settings.url.clone();
        if self.stop.is_over() {
            return MirrorError::TimedOut {
                url,
                limit: self.stop.limit(),
                said: last_words(&report.said),
            };
        }
        if let Some(why) = &report.not_started {
            return MirrorError::Remote {
                url,
                failure: RemoteFailure::SshMissing,
                said: last_words(why),
            };
        }
        let by_ssh = report
            .status
            .filter(|status| *status != 0)
            .map(|status| from_ssh(status, &report.said).unwrap_or(RemoteFailure::Unrecognized));
        // libgit2's own words tell of SHA-256 even when the server's end failed because we hung up.
        let by_libgit2 = from_libgit2(&error);
        let failure = match (by_libgit2, by_ssh) {
            (Some(RemoteFailure::Sha256), _) => Some(RemoteFailure::Sha256),
            (_, Some(by_ssh)) => Some(by_ssh),
            (by_libgit2, None) => by_libgit2,
        };
        match failure {
            Some(failure) => MirrorError::Remote {
                url,
                failure,
                said: last_words(if report.said.trim().is_empty() {
                    error.message()
                } else {
                    &report.said
                }),
            },
            None => git("fetch")(error),
        }
    }
}

/// Whether two URLs lead to the same scheme, host and port.
fn is_same_server(one: &str, other: &str) -> bool {
    match (url::Url::parse(one), url::Url::parse(other)) {
        (Ok(one), Ok(other)) => one.origin() == other.origin(),
        _ => false,
    }
}
