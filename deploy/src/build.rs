//! From a derivation to a toplevel in a store, kept from the garbage collector.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::build_on::BuildOn;
use crate::command::Finished;
use crate::copy::{CopyError, Link};
use crate::evaluate::Evaluated;
use crate::nix::diagnosis::FetchCause;
use crate::nix::{arguments, diagnosis};
use crate::runner::{Buildable, Nix};
use crate::ssh::{Connection, Privilege, RemoteCommand, SshError};
use crate::toplevel::Toplevel;
use crate::trouble::NixTrouble;

/// The GC root on a host of what was built there last. The activation makes its own; this one holds
/// the system in between.
const ROOT_ON_TARGET: &str = "/nix/var/nix/gcroots/reconcile-built";
/// Making a GC root of a path that is there takes 50 ms, on a slow host seconds.
const ROOT_TIMEOUT: Duration = Duration::from_secs(60);

/// One host's build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// The host's name: the folder of its GC roots.
    pub host: String,
    /// The commit: the GC root's name.
    pub revision: String,
    /// What to build.
    pub evaluated: Evaluated,
    /// Where.
    pub on: BuildOn,
    /// How long it may take in all.
    pub timeout: Duration,
}

/// Why a system could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nix, or the machine that it runs on.
    #[error("build: {0}")]
    Nix(#[source] NixTrouble),
    /// Nix on the host, for a build there.
    #[error("build on the host: {0}")]
    OnTarget(#[source] NixTrouble),
    /// The machine cannot build for that architecture.
    #[error(
        "this machine ({ours}) cannot build for {system}: register QEMU's binfmt handler and add \
         {system} to extra-platforms in nix.conf, or name a builder (build_on = \"<ssh destination>\"), \
         or build on the host itself (build_on = \"target\")"
    )]
    SystemUnsupported {
        /// What is to be built.
        system: String,
        /// What this machine is.
        ours: String,
    },
    /// Some derivation needs a system or feature that neither we nor the builders have.
    #[error(
        "a part of the system needs another machine to be built; name a builder that has it: {detail}"
    )]
    PartUnsupported {
        /// What Nix said.
        detail: String,
    },
    /// A builder failed: the revision is at fault.
    #[error("{derivation} {how}; the last lines of its log:\n{log}")]
    BuilderFailed {
        /// The derivation.
        derivation: String,
        /// How it ended.
        how: String,
        /// The last lines that it printed.
        log: String,
    },
    /// A builder was killed.
    #[error(
        "{derivation} {how}: most likely the machine that builds ran out of memory; the last lines of its log:\n{log}"
    )]
    BuilderKilled {
        /// The derivation.
        derivation: String,
        /// How it ended.
        how: String,
        /// The last lines that it printed.
        log: String,
    },
    /// A source could not be fetched.
    #[error("a source could not be fetched; {}: {detail}", cause.mend())]
    SourceFetch {
        /// Why.
        cause: FetchCause,
        /// What Nix or its builder said.
        detail: String,
    },
    /// The remote builder does not answer.
    #[error(
        "the builder cannot be used (check its SSH destination, its key, and that its Nix has {system}): {detail}"
    )]
    BuilderUnreachable {
        /// What it was to build for.
        system: String,
        /// What Nix or ssh said.
        detail: String,
    },
    /// The derivation was garbage-collected since it was evaluated.
    #[error("the derivation is gone from the store since its evaluation; evaluate again: {detail}")]
    DerivationGone {
        /// What Nix said.
        detail: String,
    },
    /// The derivation could not be taken to the host that is to build it.
    #[error("to build on the host: {0}")]
    Copy(#[source] CopyError),
    /// The connection to the host failed.
    #[error("to build on the host: {0}")]
    Ssh(#[source] SshError),
    /// `build_on = "target"`, and there is no connection to the host.
    #[error("build_on = \"target\" needs a connection to the host")]
    NoTarget,
    /// A host or a revision cannot name a GC root.
    #[error("`{0}` cannot name a file")]
    Name(String),
    /// A path for ssh has white space or quotes, which Nix cannot hand on.
    #[error(
        "the path of the ssh_config file has white space or quotes, which NIX_SSHOPTS cannot carry"
    )]
    AwkwardPath,
    /// The directory of GC roots cannot be used.
    #[error("cannot keep the build from the garbage collector at {path}: {source}")]
    Root {
        /// The GC root, or its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was built is not what was evaluated.
    #[error("Nix built {built} where the evaluation said {evaluated}")]
    Another {
        /// The GC root's target.
        built: String,
        /// The evaluation's.
        evaluated: Toplevel,
    },
    /// Nix failed, and the cause is none of the above.
    #[error("Nix could not build it: {detail}")]
    Failed {
        /// What Nix said.
        detail: String,
    },
}

impl BuildError {
    /// Whether the cause can pass by itself: the machine's, the network's and the connection's can; a
    /// builder that failed will fail again.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Nix(trouble) | Self::OnTarget(trouble) => trouble.is_worth_retrying(),
            Self::Copy(error) => error.is_worth_retrying(),
            Self::Ssh(error) => error.is_worth_retrying(),
            Self::BuilderKilled { .. }
            | Self::SourceFetch { .. }
            | Self::BuilderUnreachable { .. }
            | Self::DerivationGone { .. }
            | Self::Root { .. } => true,
            Self::SystemUnsupported { .. }
            | Self::PartUnsupported { .. }
            | Self::BuilderFailed { .. }
            | Self::NoTarget
            | Self::Name(_)
            | Self::AwkwardPath
            | Self::Another { .. }
            | Self::Failed { .. } => false,
        }
    }

    /// Whether the derivation has to be evaluated again before another try makes sense.
    pub fn needs_evaluation(&self) -> bool {
        matches!(
            self,
            Self::DerivationGone { .. } | Self::Copy(CopyError::PathGone { .. })
        )
    }

    /// Names the cause of a failed build. `general` says on which machine Nix failed.
    fn of(finished: &Finished, system: &str, general: fn(NixTrouble) -> Self) -> Self {
        let stderr = finished.stderr.as_str();
        let own = diagnosis::error_text(stderr);
        if let Some(trouble) = NixTrouble::of(finished) {
            return general(trouble);
        }
        if diagnosis::has_any(
            &own,
            &[
                "cannot build missing derivation",
                "failed to obtain derivation of",
                "build of missing derivation",
                "don't know how to build",
            ],
        ) {
            return Self::DerivationGone { detail: own };
        }
        // ssh speaks for itself when a builder does not answer; what Nix says then is that it has none.
        if diagnosis::has_any(
            stderr,
            &[
                "cannot build on 'ssh",
                "Failed to find a machine for remote build",
                "unable to start any build",
            ],
        ) {
            return Self::BuilderUnreachable {
                system: system.to_owned(),
                detail: diagnosis::summary(stderr),
            };
        }
        if diagnosis::needs_another_machine(&own) {
            return Self::PartUnsupported { detail: own };
        }
        if let Some(builder) = diagnosis::failed_builder(stderr) {
            let told = format!("{}\n{own}", builder.log);
            if let Some(cause) = diagnosis::download(&told) {
                return Self::SourceFetch {
                    cause,
                    detail: told,
                };
            }
            let killed = builder.was_killed();
            let diagnosis::FailedBuilder {
                derivation,
                how,
                log,
            } = builder;
            return if diagnosis::has_any(&log, &["No space left on device"]) {
                general(NixTrouble::DiskFull { detail: log })
            } else if killed {
                Self::BuilderKilled {
                    derivation,
                    how,
                    log,
                }
            } else {
                Self::BuilderFailed {
                    derivation,
                    how,
                    log,
                }
            };
        }
        if let Some(cause) = diagnosis::fetch(stderr) {
            return Self::SourceFetch {
                cause,
                detail: diagnosis::summary(stderr),
            };
        }
        Self::Failed {
            detail: diagnosis::summary(stderr),
        }
    }
}

impl Nix {
    /// Builds a host's system and keeps it from the garbage collector, here as
    /// `<gc_roots>/<host>/<revision>` (of which the last few are kept), on the host by one root for
    /// what was built last.
    ///
    /// `target` is the connection to the host, for [`BuildOn::Target`]. Dropping the future ends the
    /// build with all of its processes.
    pub async fn build(
        &self,
        request: &BuildRequest,
        target: Option<&Connection>,
    ) -> Result<Toplevel, BuildError> {
        match &request.on {
            BuildOn::Here => self.build_here(request).await,
            BuildOn::Builder(builder) => self.build_on_builder(request, builder).await,
            BuildOn::Target => {
                let target = target.ok_or(BuildError::NoTarget)?;
                self.build_on_target(request, target).await
            }
        }
    }

    async fn build_here(&self, request: &BuildRequest) -> Result<Toplevel, BuildError> {
        let system = &request.evaluated.system;
        let root = Root::prepare(&self.settings.gc_roots, request).await?;
        let arguments = match self.can_build(system).await.map_err(BuildError::Nix)? {
            Buildable::Yes => arguments::realise(&request.evaluated.derivation, &root.path),
            Buildable::No { ours } => {
                // A cache may have what we cannot build, and so may our own store.
                let arguments = arguments::substitute(&request.evaluated.toplevel, &root.path);
                let finished = self.realise(arguments, Vec::new(), request.timeout).await?;
                if finished.status.success() {
                    return root.keep(request, self.settings.keep_builds).await;
                }
                return Err(BuildError::SystemUnsupported {
                    system: system.clone(),
                    ours,
                });
            }
        };
        self.realise_rooted(request, root, arguments, Vec::new())
            .await
    }

    async fn build_on_builder(
        &self,
        request: &BuildRequest,
        builder: &str,
    ) -> Result<Toplevel, BuildError> {
        let root = Root::prepare(&self.settings.gc_roots, request).await?;
        let mut arguments = arguments::realise(&request.evaluated.derivation, &root.path);
        arguments.extend(arguments::on_builder(builder, &request.evaluated.system));
        let options = crate::nix::environment::ssh_options(
            self.settings.ssh_config.as_deref(),
            arguments::ssh_port(builder),
            None,
        )
        .ok_or(BuildError::AwkwardPath)?;
        let variables = vec![("NIX_SSHOPTS".to_owned(), Some(options))];
        self.realise_rooted(request, root, arguments, variables)
            .await
    }

    async fn realise_rooted(
        &self,
        request: &BuildRequest,
        root: Root,
        arguments: Vec<String>,
        variables: Vec<(String, Option<String>)>,
    ) -> Result<Toplevel, BuildError> {
        let finished = self.realise(arguments, variables, request.timeout).await?;
        if finished.status.success() {
            root.keep(request, self.settings.keep_builds).await
        } else {
            Err(BuildError::of(
                &finished,
                &request.evaluated.system,
                BuildError::Nix,
            ))
        }
    }

    async fn realise(
        &self,
        arguments: Vec<String>,
        variables: Vec<(String, Option<String>)>,
        timeout: Duration,
    ) -> Result<Finished, BuildError> {
        self.run("nix-store", arguments, variables, timeout)
            .await
            .map_err(BuildError::Nix)
    }

    /// Takes the derivation to the host and has the host's Nix build it, driven from here: a build
    /// whose client goes away is ended by the host's Nix, a command over SSH would go on for ever.
    async fn build_on_target(
        &self,
        request: &BuildRequest,
        target: &Connection,
    ) -> Result<Toplevel, BuildError> {
        let deadline = Instant::now() + request.timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let Evaluated {
            derivation,
            toplevel,
            system,
        } = &request.evaluated;
        let link = Link::to(target, self.settings.ssh_config.as_deref())
            .await
            .map_err(BuildError::Copy)?;
        let copy = arguments::copy_derivation(derivation, &link.store);
        self.transfer_to(copy, &link, target, left())
            .await
            .map_err(BuildError::Copy)?;
        let build = arguments::realise_at(&link.store, derivation);
        let finished = self
            .run("nix-store", build, link.variables(), left())
            .await
            .map_err(BuildError::OnTarget)?;
        if !finished.status.success() {
            if let Some(error) = CopyError::of_connection(&finished, target) {
                return Err(BuildError::Copy(error));
            }
            return Err(BuildError::of(&finished, system, BuildError::OnTarget));
        }
        drop(link);
        let root = RemoteCommand::new("nix-store")
            .arguments([
                "--realise",
                toplevel.as_str(),
                "--add-root",
                ROOT_ON_TARGET,
                "--indirect",
            ])
            .privilege(Privilege::Root)
            .timeout(ROOT_TIMEOUT);
        let completed = target.run(root).await.map_err(BuildError::Ssh)?;
        if completed.code == 0 {
            Ok(toplevel.clone())
        } else {
            Err(BuildError::Failed {
                detail: completed.complaint(),
            })
        }
    }
}

/// The GC root of one build.
struct Root {
    path: PathBuf,
    folder: PathBuf,
}

impl Root {
    async fn prepare(roots: &Path, request: &BuildRequest) -> Result<Self, BuildError> {
        for name in [&request.host, &request.revision] {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
                return Err(BuildError::Name(name.escape_debug().to_string()));
            }
        }
        let folder = roots.join(&request.host);
        tokio::fs::create_dir_all(&folder)
            .await
            .map_err(|source| BuildError::Root {
                path: folder.clone(),
                source,
            })?;
        Ok(Self {
            path: folder.join(&request.revision),
            folder,
        })
    }

    /// Checks what the root points to, and lets go of the oldest builds.
    async fn keep(self, request: &BuildRequest, count: usize) -> Result<Toplevel, BuildError> {
        let broken = |source| BuildError::Root {
            path: self.path.clone(),
            source,
        };
        let target = tokio::fs::read_link(&self.path).await.map_err(broken)?;
        let evaluated = &request.evaluated.toplevel;
        if target != Path::new(evaluated.as_str()) {
            let built = target.to_string_lossy().escape_debug().to_string();
            return Err(BuildError::Another {
                built,
                evaluated: evaluated.clone(),
            });
        }
        // The build is made and rooted; an old root too many is no reason to say that it is not.
        if let Err(error) = self.let_go_of_older(count).await {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot remove old GC roots");
        }
        Ok(evaluated.clone())
    }

    async fn let_go_of_older(&self, count: usize) -> io::Result<()> {
        let mut others: Vec<(SystemTime, PathBuf)> = Vec::new();
        let mut entries = tokio::fs::read_dir(&self.folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            // Nix makes the link anew each time, so its time is that of the last build.
            let metadata = entry.metadata().await?;
            if metadata.is_symlink() && entry.path() != self.path {
                others.push((metadata.modified()?, entry.path()));
            }
        }
        others.sort_unstable_by(|one, other| other.cmp(one));
        for (_, root) in others.into_iter().skip(count.saturating_sub(1)) {
            match tokio::fs::remove_file(&root).await {
                // Another build of this host may have been quicker.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::diagnosis::tests::{failed, recorded};

    #[test]
    fn every_recorded_failure_of_three_versions_of_nix_is_named() {
        let expected = [
            ("fails ", "BuilderFailed", "line 14", false),
            (
                "dependency ",
                "BuilderFailed",
                "-fails.drv failed with exit code 1",
                false,
            ),
            ("hash ", "Nix", "not what was expected", false),
            ("system ", "PartUnsupported", "aarch64-linux", false),
            ("features ", "PartUnsupported", "kvm-x", false),
            ("killed ", "BuilderKilled", "out of memory", true),
            ("fetch ", "SourceFetch", FetchCause::Network.mend(), true),
            (
                "nooutput ",
                "BuilderFailed",
                "failed to produce output path",
                false,
            ),
            ("full ", "Nix", "a disk is full", true),
            ("gone", "DerivationGone", "evaluate again", true),
            (
                "hash --option substituters http://127.0.0.1:1",
                "Nix",
                "not what was expected",
                false,
            ),
            (
                "nooutput --option substituters http://nowhere.invalid",
                "BuilderFailed",
                "output path",
                false,
            ),
            (
                "killed --option build-users-group nixbldx",
                "Nix",
                "`build-users-group =`",
                false,
            ),
            ("daemon", "Nix", "start nix-daemon", true),
        ];
        for version in ["2.8.0", "2.26.3", "2.34.8"] {
            for (case, kind, words, worth_retrying) in expected {
                let error = BuildError::of(
                    &recorded("build", version, case),
                    "x86_64-linux",
                    BuildError::Nix,
                );
                let shown = error.to_string();
                assert!(
                    format!("{error:?}").starts_with(kind),
                    "{version} {case}: {error:?}"
                );
                assert!(shown.contains(words), "{version} {case}: {shown}");
                assert_eq!(
                    error.is_worth_retrying(),
                    worth_retrying,
                    "{version} {case}: {shown}"
                );
            }
        }
    }

    #[test]
    fn a_machine_that_cannot_sandbox_is_told_how_to_go_on() {
        let sandbox = "fails --option sandbox true --option sandbox-fallback false";
        let error = BuildError::of(
            &recorded("build", "2.26.3", sandbox),
            "x86_64-linux",
            BuildError::Nix,
        );
        assert!(error.to_string().contains("`sandbox = false`"), "{error}");
        assert!(!error.is_worth_retrying());
    }

    #[test]
    fn a_log_is_the_builders_last_lines_without_nixs_own() {
        let BuildError::BuilderFailed { log, .. } = BuildError::of(
            &recorded("build", "2.8.0", "fails "),
            "x86_64-linux",
            BuildError::Nix,
        ) else {
            panic!("another error")
        };
        assert!(
            log.starts_with("line 1\n") && log.ends_with("\nline 14"),
            "{log}"
        );
    }

    #[test]
    fn a_download_inside_a_builder_is_worth_another_try_and_a_test_that_fails_is_not() {
        let curl = "building '/nix/store/x.drv'...\ncurl: (6) Could not resolve host: example.org\n\
                    error: builder for '/nix/store/x.drv' failed with exit code 1";
        assert!(BuildError::of(&failed(curl, 100), "s", BuildError::Nix).is_worth_retrying());
        let test = "test net ... Connection refused\nerror: builder for '/nix/store/x.drv' failed with exit code 1";
        assert!(!BuildError::of(&failed(test, 100), "s", BuildError::Nix).is_worth_retrying());
    }
}
