//! Reads a file that the configuration names: a plain file, and no more of it than makes sense.

use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read: a configuration for a thousand hosts needs a tenth of it, a secret or a key far
/// less.
const LARGEST: u64 = 1024 * 1024;

/// The contents of `file`.
///
/// # Errors
/// Those of opening and reading; and what is not a plain file (to open a pipe would wait for its writer), or is
/// larger than 1 MiB.
pub fn contents(file: &Path) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a plain file",
        ));
    }
    let mut contents = Vec::new();
    std::fs::File::open(file)?
        .take(LARGEST + 1)
        .read_to_end(&mut contents)?;
    if contents.len() as u64 > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {LARGEST} bytes"),
        ));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_of_a_sane_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, vec![b'x'; LARGEST as usize]).unwrap();
        assert_eq!(contents(&file).unwrap().len() as u64, LARGEST);
        std::fs::write(&file, vec![b'x'; LARGEST as usize + 1]).unwrap();
        assert_eq!(
            contents(&file).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert!(contents(folder.path()).is_err());
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(
            contents(&pipe).is_err(),
            "a pipe without a writer is refused rather than waited for"
        );
    }
}
