//! Looks at key and token files before a fetch, so that trouble with them is named by us and not guessed from a
//! server's answer.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::settings::Access;

/// The longest token, in bytes. Gitea's have 40; a JWT may have some thousands.
const LONGEST_TOKEN: u64 = 16 * 1024;

/// Says what is wrong with a key or token file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The key or another file cannot be looked at.
    #[error("the {what} {path} cannot be read ({source}); put it there, readable by the user that reconcile runs as", path = .path.display())]
    Unreadable {
        /// What the file is for.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// OpenSSH refuses a key that others may read (ssh(1), FILES).
    #[error("the SSH key {path} has mode {mode:04o}, and OpenSSH refuses a key that others may read; chmod 0600 it", path = .path.display())]
    KeyPermissions {
        /// The key.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Nobody is there to type a passphrase, and OpenSSH passes over such a key without a word.
    #[error("the SSH key {path} has a passphrase, which nobody could type; make one without (ssh-keygen -t ed25519 -N '')", path = .path.display())]
    KeyPassphrase {
        /// The key.
        path: PathBuf,
    },
    /// A token file that holds no token.
    #[error("the token file {path} {why}; it must hold the token alone", path = .path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
}

/// Checks the files that `access` names. Whoever needs what is in them reads them anew.
pub(super) fn check(access: &Access) -> Result<(), CredentialsError> {
    match access {
        Access::None => Ok(()),
        Access::SshKey {
            key,
            known_hosts,
            ssh_config,
        } => {
            check_key(key)?;
            if let Some(known_hosts) = known_hosts {
                open("known hosts file", known_hosts)?;
            }
            if let Some(ssh_config) = ssh_config {
                open("ssh_config", ssh_config)?;
            }
            Ok(())
        }
        Access::Token { file, .. } => check_token(file),
    }
}

fn open(what: &'static str, path: &Path) -> Result<fs::File, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}

/// How much of a key is read to see whether it has a passphrase; an RSA key of 16384 bits has 13 KiB.
const LONGEST_KEY: u64 = 64 * 1024;

/// The rule on permissions is OpenSSH's own (`sshkey_perm_ok` in its authfile.c): the mode counts only for a key that we own, so
/// that a Kubernetes secret of root, mode 0440, is good for a daemon that runs as somebody else.
fn check_key(path: &Path) -> Result<(), CredentialsError> {
    let what = "SSH key";
    let unreadable = |source| CredentialsError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    };
    let file = open(what, path)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() == nix::unistd::getuid().as_raw() && mode & 0o077 != 0 {
        return Err(CredentialsError::KeyPermissions {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Vec::new();
    file.take(LONGEST_KEY)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if has_passphrase(&String::from_utf8_lossy(&text)) {
        return Err(CredentialsError::KeyPassphrase {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Whether a private key is encrypted. In OpenSSH's format (PROTOCOL.key), the words `openssh-key-v1` and a zero byte
/// are followed by the length and name of the cipher, `none` for no passphrase; in base64, that is a fixed beginning.
fn has_passphrase(key: &str) -> bool {
    const OPENSSH: &str = "b3BlbnNzaC1rZXktdjEA";
    const CIPHER_NONE: &str = "AAAABG5vbmU";
    match key.split_once(OPENSSH) {
        Some((_, rest)) => !rest.starts_with(CIPHER_NONE),
        // The older PEM formats (RFC 1421 §4.6.1.1, RFC 5958 §3).
        None => {
            key.contains("Proc-Type: 4,ENCRYPTED") || key.contains("BEGIN ENCRYPTED PRIVATE KEY")
        }
    }
}

fn check_token(path: &Path) -> Result<(), CredentialsError> {
    let wrong = |why| CredentialsError::Token {
        path: path.to_owned(),
        why,
    };
    let mut token = String::new();
    let read = open("token file", path)?
        .take(LONGEST_TOKEN + 1)
        .read_to_string(&mut token);
    match read {
        Ok(length) if length as u64 > LONGEST_TOKEN => return Err(wrong("is longer than 16 KiB")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(wrong("is not text"));
        }
        Err(source) => {
            return Err(CredentialsError::Unreadable {
                what: "token file",
                path: path.to_owned(),
                source,
            });
        }
    }
    let token = token.strip_suffix('\n').unwrap_or(&token);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if token.is_empty() {
        return Err(wrong("is empty"));
    }
    if token.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(wrong("holds white space or control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn token(contents: &[u8]) -> Result<(), CredentialsError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        fs::write(&file, contents).unwrap();
        check_token(&file)
    }

    #[test]
    fn a_token_file_holds_one_token_and_nothing_else() {
        for good in [&b"abc"[..], b"abc\n", b"abc\r\n"] {
            token(good).unwrap();
        }
        for bad in [&b""[..], b"\n", b"a b", b"abc\n\n", b"a\0", b"\xff"] {
            let error = token(bad).unwrap_err();
            assert!(matches!(error, CredentialsError::Token { .. }), "{error}");
        }
        assert!(token(&[b'x'; 20_000]).is_err());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_mend() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        fs::write(&key, "").unwrap();
        let check = |mode: u32| {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            check_key(&key)
        };
        assert!(check(0o600).is_ok());
        assert!(check(0o400).is_ok());
        for mode in [0o644, 0o640, 0o601] {
            let message = check(mode).unwrap_err().to_string();
            assert!(message.contains("chmod 0600"), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named_with_what_it_is_for() {
        let access = Access::SshKey {
            key: "/nowhere/key".into(),
            known_hosts: None,
            ssh_config: None,
        };
        let message = check(&access).err().unwrap().to_string();
        assert!(message.contains("SSH key /nowhere/key"), "{message}");
    }
}
