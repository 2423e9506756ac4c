//! A repository on the forge, and the person who works in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::delivery::{self, Delivery};
use super::hook::{Delivering, Hook, Settings};
use super::payload::{self, Test};
use super::receive;
use crate::flake::{self, System};
use crate::git::Git;

/// Where a post-receive writes what went wrong; git itself does not mind how it ends.
pub(super) const HOOK_ERRORS: &str = "testbed-errors";

/// A bare repository on the forge, with a working tree whose owner pushes to it.
#[derive(Debug, Clone)]
pub struct Repository {
    bare: PathBuf,
    work: Git,
}

impl Repository {
    pub(super) fn make(
        bare: &Path,
        work: &Path,
        settings: &Settings,
        post_receive: &str,
    ) -> Result<Self> {
        std::fs::create_dir_all(bare)?;
        std::fs::create_dir_all(work)?;
        let branch = format!("--initial-branch={}", settings.default_branch);
        Git::new(bare).run(&["init", "--quiet", "--bare", &branch])?;
        crate::fleet::layers::write(&bare.join("hooks/post-receive"), 0o755, post_receive)?;
        settings.write(bare)?;
        let work = Git::new(work);
        work.run(&["init", "--quiet", &branch])?;
        work.run(&["remote", "add", "origin", &bare.display().to_string()])?;
        Ok(Self {
            bare: bare.to_path_buf(),
            work,
        })
    }

    /// The bare repository; `file://` works for fetching.
    #[must_use]
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// The working tree; files written here are in the next [`Repository::commit`].
    #[must_use]
    pub fn work(&self) -> &Path {
        self.work.folder()
    }

    /// `owner/name`.
    ///
    /// # Errors
    /// When the forge's own file is gone.
    pub fn full_name(&self) -> Result<String> {
        Ok(Settings::read(&self.bare)?.full_name)
    }

    /// Where the daemon fetches it with the deploy key: `ssh://…`.
    ///
    /// # Errors
    /// When the forge's own file is gone.
    pub fn ssh_url(&self) -> Result<String> {
        Ok(Settings::read(&self.bare)?.ssh_url)
    }

    /// Runs git in the working tree; gives its standard output.
    ///
    /// # Errors
    /// When git says no.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        self.work.run(arguments)
    }

    /// Writes the flake of the hosts' systems into the working tree. Hosts that are not named are left as they are.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_systems(&self, systems: &[(&str, System)]) -> Result<()> {
        flake::write_template(self.work())?;
        systems
            .iter()
            .try_for_each(|(host, system)| flake::write_host(self.work(), host, system))
    }

    /// Commits everything in the working tree; gives the commit's id.
    ///
    /// # Errors
    /// When git says no.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes the working tree's HEAD a branch of the forge. When it returns, the deliveries are made.
    ///
    /// # Errors
    /// When the forge refuses.
    pub fn push(&self, branch: &str) -> Result<()> {
        self.push_refs(&[&format!("HEAD:refs/heads/{branch}")])
    }

    /// Like [`Repository::push`], also where it throws commits of the branch away.
    ///
    /// # Errors
    /// When the forge refuses.
    pub fn push_forced(&self, branch: &str) -> Result<()> {
        self.push_refs(&["--force", &format!("HEAD:refs/heads/{branch}")])
    }

    /// Deletes a branch of the forge.
    ///
    /// # Errors
    /// When the forge refuses.
    pub fn delete_branch(&self, branch: &str) -> Result<()> {
        self.push_refs(&["--delete", &format!("refs/heads/{branch}")])
    }

    /// Pushes by hand: what comes after `git push origin`.
    ///
    /// # Errors
    /// When the forge refuses, or its hook breaks.
    pub fn push_refs(&self, arguments: &[&str]) -> Result<()> {
        self.git(&[&["push", "--quiet", "origin"], arguments].concat())?;
        let errors = std::fs::read_to_string(self.bare.join(HOOK_ERRORS)).unwrap_or_default();
        ensure!(
            errors.is_empty(),
            "the forge's post-receive failed: {errors}"
        );
        Ok(())
    }

    /// Writes systems, commits and pushes; gives the commit's id.
    ///
    /// # Errors
    /// When git says no.
    pub fn deploy(
        &self,
        branch: &str,
        message: &str,
        systems: &[(&str, System)],
    ) -> Result<String> {
        self.write_systems(systems)?;
        let revision = self.commit(message)?;
        self.push(branch)?;
        Ok(revision)
    }

    /// The toplevel that a host has at a revision, built here by the test's own hands: what a deployment should end on.
    ///
    /// # Errors
    /// When it does not build.
    pub fn toplevel(&self, host: &str, revision: &str) -> Result<String> {
        flake::build(&self.flake(revision), host)
    }

    /// The same, not built: for what this machine cannot build, or is not to.
    ///
    /// # Errors
    /// When it does not evaluate.
    pub fn evaluated(&self, host: &str, revision: &str) -> Result<String> {
        flake::evaluate(&self.flake(revision), host)
    }

    fn flake(&self, revision: &str) -> String {
        format!("git+file://{}?rev={revision}", self.work().display())
    }

    /// Adds a webhook.
    ///
    /// # Errors
    /// When the forge's own file cannot be written.
    pub fn add_hook(&self, hook: Hook) -> Result<()> {
        self.edit(|settings| settings.hooks.push(hook))
    }

    /// Changes what the forge knows of this repository: hooks, secrets, whether deliveries are sent or lost.
    ///
    /// # Errors
    /// When the forge's own file cannot be written.
    pub fn edit(&self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let mut settings = Settings::read(&self.bare)?;
        change(&mut settings);
        settings.write(&self.bare)
    }

    /// Loses deliveries, or sends them again.
    ///
    /// # Errors
    /// As [`Repository::edit`].
    pub fn set_delivering(&self, delivering: Delivering) -> Result<()> {
        self.edit(|settings| settings.delivering = delivering)
    }

    /// Every delivery so far, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn deliveries(&self) -> Result<Vec<Delivery>> {
        delivery::log(&self.bare)
    }

    /// Presses "replay" on a delivery: the same body, signed anew with the hook's secret of today, under a new UUID.
    ///
    /// # Errors
    /// When the hook is gone.
    pub fn redeliver(&self, delivery: &Delivery) -> Result<Delivery> {
        let settings = Settings::read(&self.bare)?;
        delivery::deliver(
            &self.bare,
            &settings,
            delivery.hook,
            delivery.event,
            &delivery.json,
        )
    }

    /// Sends a test delivery to every hook.
    ///
    /// # Errors
    /// When the ref is unknown.
    pub fn test_delivery(&self, test: &Test) -> Result<Vec<Delivery>> {
        let settings = Settings::read(&self.bare)?;
        let (event, json) = payload::of_test(&Git::new(&self.bare), &settings, test)?;
        receive::tell(&self.bare, &settings, event, &json)
    }

    /// The tip of a branch of the forge.
    ///
    /// # Errors
    /// When there is no such branch.
    pub fn tip(&self, branch: &str) -> Result<String> {
        Git::new(&self.bare)
            .commit_id(&format!("refs/heads/{branch}"))
            .with_context(|| format!("the forge has no branch {branch}"))
    }
}
