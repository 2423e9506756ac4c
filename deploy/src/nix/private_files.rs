//! Small files and folders that only we may look into.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use tokio::io::AsyncReadExt as _;

/// A token or a netrc file is a few lines; what is larger is another file by mistake.
const LIMIT: u64 = 64 * 1024;
/// Only we may look into the directory of the token, and into that of fetched inputs.
const DIRECTORY_MODE: u32 = 0o700;

/// Reads a small file.
pub(super) async fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(LIMIT + 1).read_to_string(&mut text).await?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other("the file is larger than 64 KiB"));
    }
    Ok(text)
}

/// Writes a file of mode 0600 in one step, so that a command that reads it sees the old or the new one.
pub(super) async fn write(path: &Path, content: String) -> io::Result<()> {
    let to = path.to_owned();
    blocking(move || {
        let directory = to.parent().unwrap_or(Path::new("/"));
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(content.as_bytes())?;
        file.persist(&to)?;
        Ok(())
    })
    .await
}

/// Makes a directory for us alone, and the ones above it.
pub(super) async fn make_directory(path: &Path) -> io::Result<()> {
    let directory = path.to_owned();
    blocking(move || {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&directory)?;
        // It may have been made by somebody else, with another mode.
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(DIRECTORY_MODE))
    })
    .await
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
