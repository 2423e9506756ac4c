//! Keeps a build from the garbage collector.

use std::path::{Path, PathBuf};

use super::{BuildError, BuildRequest};
use crate::toplevel::Toplevel;

/// The GC root of one build.
pub(super) struct Root {
    /// The link that Nix makes.
    pub(super) path: PathBuf,
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
        })
    }

    /// Checks what the root points to.
    pub(super) async fn check(self, request: &BuildRequest) -> Result<Toplevel, BuildError> {
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
        Ok(evaluated.clone())
    }
}
