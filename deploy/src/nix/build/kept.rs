//! The builds that are kept from the garbage collector.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::nix::Nix;
use crate::toplevel::Toplevel;

/// What keeps one build of a host from the garbage collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRoot {
    /// The host's name.
    pub host: String,
    /// The commit.
    pub revision: String,
    /// What was built; `None` if the link leads elsewhere than to a system.
    pub toplevel: Option<Toplevel>,
    /// When it was built last.
    pub built_at: SystemTime,
    /// The link.
    pub path: PathBuf,
}

impl Nix {
    /// Lets go of one build: the garbage collector may take what nothing else needs.
    ///
    /// # Errors
    /// When the link cannot be removed; one that is gone already is as good.
    pub async fn let_go(&self, root: &BuildRoot) -> io::Result<()> {
        match tokio::fs::remove_file(&root.path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The builds that [`Nix::build`] has made on this machine and keeps, in no order.
    ///
    /// # Errors
    /// When their folder cannot be read.
    pub async fn build_roots(&self) -> io::Result<Vec<BuildRoot>> {
        let mut roots = Vec::new();
        let mut hosts = tokio::fs::read_dir(&self.settings.gc_roots).await?;
        while let Some(host) = hosts.next_entry().await? {
            if !host.file_type().await?.is_dir() {
                continue;
            }
            let mut links = tokio::fs::read_dir(host.path()).await?;
            while let Some(link) = links.next_entry().await? {
                let metadata = link.metadata().await?;
                if !metadata.is_symlink() {
                    continue;
                }
                let target = tokio::fs::read_link(link.path()).await?;
                roots.push(BuildRoot {
                    host: host.file_name().to_string_lossy().into_owned(),
                    revision: link.file_name().to_string_lossy().into_owned(),
                    toplevel: target.to_str().and_then(|target| target.parse().ok()),
                    // Nix makes the link anew each time, so its time is that of the last build.
                    built_at: metadata.modified()?,
                    path: link.path(),
                });
            }
        }
        Ok(roots)
    }
}
