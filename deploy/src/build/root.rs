//! Keeps builds from the garbage collector: the last few of each host.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{BuildError, BuildRequest};
use crate::toplevel::Toplevel;

/// The GC root of one build.
pub(super) struct Root {
    /// The link that Nix makes.
    pub(super) path: PathBuf,
    folder: PathBuf,
}

impl Root {
    /// Makes the folder for it.
    pub(super) async fn prepare(roots: &Path, request: &BuildRequest) -> Result<Self, BuildError> {
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
    pub(super) async fn keep(
        self,
        request: &BuildRequest,
        count: usize,
    ) -> Result<Toplevel, BuildError> {
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
