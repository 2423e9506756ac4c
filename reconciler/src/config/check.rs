//! Looks at the files that a configuration names, as far as that can be done without changing anything.

mod signers;
mod store_key;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, eaccess, geteuid};

use super::complaint::Complaint;
use super::files::contents;
use super::mistake::{Mistakes, Remark, Warnings};
use super::named::{NamedPath, PathRole};
use super::parse::Loaded;

/// Fewer bytes than that can be guessed from a recorded delivery.
const SHORT_SECRET: usize = 16;

/// The first line of a key in OpenSSH's own form.
const OPENSSH_KEY: &[u8] = b"-----BEGIN OPENSSH PRIVATE KEY-----";

/// Checks every named path: it exists, can be read, holds what it should, and is not open to others; the state
/// directory is writable or can be made.
///
/// # Errors
/// Every mistake at once, each at the line that names the path.
pub fn check(loaded: &Loaded) -> Result<Warnings, Mistakes> {
    let mut findings = Findings::default();
    for (index, named) in loaded.paths.iter().enumerate() {
        let twin = |other: &NamedPath| other.path == named.path && other.role == named.role;
        if !loaded.paths[..index].iter().any(twin) {
            findings.look_at(named);
        }
    }
    Mistakes::among(findings.mistakes)?;
    Ok(Warnings::of(findings.warnings))
}

#[derive(Default)]
struct Findings {
    mistakes: Vec<Remark>,
    warnings: Vec<Remark>,
}

impl Findings {
    fn look_at(&mut self, named: &NamedPath) {
        match named.role {
            PathRole::StateDirectory => self.mistake(named, folder_fault(&named.path)),
            PathRole::Socket => self.mistake(named, named.path.parent().and_then(folder_fault)),
            _ => self.look_at_file(named),
        }
    }

    fn look_at_file(&mut self, named: &NamedPath) {
        let contents = match contents(&named.path) {
            Ok(contents) => contents,
            Err(error) => return self.mistake(named, Some(unreadable(&named.path, &error))),
        };
        self.mistake(named, fault_within(named.role, &contents));
        if named.role == PathRole::WebhookSecret
            && (1..SHORT_SECRET).contains(&contents.trim_ascii().len())
        {
            self.warn(named, short_secret());
        }
        let Ok(metadata) = named.path.metadata() else {
            return;
        };
        let mode = metadata.mode() & 0o777;
        // OpenSSH looks at the mode only where the key is the user's own: sshkey_perm_ok in its authfile.c.
        if named.role == PathRole::SshKey
            && metadata.uid() == geteuid().as_raw()
            && mode & 0o077 != 0
        {
            self.mistake(named, Some(key_too_open(&named.path, mode)));
        } else if named.role.is_secret() && mode & 0o004 != 0 {
            self.warn(named, open_to_others(&named.path, mode, "read"));
        }
        if mode & 0o002 != 0 {
            self.warn(named, open_to_others(&named.path, mode, "change"));
        }
    }

    fn mistake(&mut self, named: &NamedPath, complaint: Option<Complaint>) {
        self.mistakes
            .extend(complaint.map(|complaint| remark(named, complaint)));
    }

    fn warn(&mut self, named: &NamedPath, complaint: Complaint) {
        self.warnings.push(remark(named, complaint));
    }
}

fn remark(named: &NamedPath, complaint: Complaint) -> Remark {
    complaint
        .named(&format!("{}: the {}", named.key, named.role.noun()))
        .at(named.origin.clone())
}

/// What is wrong with the contents of a file, by what it is for. Contents are never repeated.
fn fault_within(role: PathRole, contents: &[u8]) -> Option<Complaint> {
    let complain = |what: &str, why: &str, mend: &str| Some(Complaint::new(what, why, mend));
    let text = contents.trim_ascii();
    if text.is_empty() && role != PathRole::SshConfig {
        return complain(
            "is empty",
            "nothing can be known by it",
            "write it, or name another file",
        );
    }
    match role {
        PathRole::Token if text.iter().any(u8::is_ascii_whitespace) => complain(
            "has more than one word",
            "a token is one word",
            "leave only the token in the file",
        ),
        PathRole::SshKey if !text.starts_with(b"-----BEGIN ") => complain(
            "is not a private key",
            "a private key begins with `-----BEGIN`; a public one, which ends in .pub, cannot log in",
            "name the private key",
        ),
        PathRole::SshKey if contents.contains(&b'\r') && text.starts_with(OPENSSH_KEY) => complain(
            "has lines that end as on Windows",
            "ssh then says `error in libcrypto`",
            "remove the carriage returns, as with `sed -i 's/\\r$//'`",
        ),
        PathRole::SshKey if !contents.ends_with(b"\n") && text.starts_with(OPENSSH_KEY) => {
            complain(
                "does not end in a line feed",
                "ssh then says `error in libcrypto`",
                "add a line feed at its end, as with `echo >> FILE`",
            )
        }
        PathRole::StoreKey => store_key::fault(&String::from_utf8_lossy(contents)),
        PathRole::AllowedSigners => signers::fault(&String::from_utf8_lossy(contents)),
        PathRole::OpenpgpKeyring if text.starts_with(b"-----BEGIN PGP") => complain(
            "is armored",
            "gpgv reads only keyrings in binary",
            "write it anew with `gpg --dearmor`, or with `gpg --export` without --armor",
        ),
        PathRole::OpenpgpKeyring if !signers::is_keyring(contents) => complain(
            "is not an OpenPGP keyring",
            "it begins neither as a packet (RFC 9580, 4.2) nor as a keybox of GnuPG",
            "write it with `gpg --export KEY… > FILE`",
        ),
        _ => None,
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Complaint {
    let mend = match error.kind() {
        io::ErrorKind::NotFound => "create it, or correct the path",
        io::ErrorKind::PermissionDenied => {
            "let the user that runs reconcile read it, and enter its folders"
        }
        _ => "name a plain file",
    };
    Complaint::new(
        format!("{} cannot be read", file.display()),
        error.to_string(),
        mend,
    )
}

fn key_too_open(file: &Path, mode: u32) -> Complaint {
    Complaint::new(
        format!("{} has mode {mode:04o}", file.display()),
        "ssh does not use a key of its own user that others can read",
        format!("chmod 0600 {}", file.display()),
    )
}

fn open_to_others(file: &Path, mode: u32, verb: &str) -> Complaint {
    Complaint::new(
        format!("{} has mode {mode:04o}", file.display()),
        format!("every user of this machine can {verb} it"),
        format!(
            "chmod 0600 {0} (in Kubernetes: defaultMode: 0400 in the volume)",
            file.display()
        ),
    )
}

fn short_secret() -> Complaint {
    Complaint::new(
        format!("has fewer than {SHORT_SECRET} bytes"),
        "who records one delivery can guess it at home",
        "make one with `openssl rand -hex 32`, and set it in Gitea too",
    )
}

/// Why `folder` can neither be written nor made.
fn folder_fault(folder: &Path) -> Option<Complaint> {
    let existing = folder
        .ancestors()
        .find(|ancestor| ancestor.symlink_metadata().is_ok())?;
    let complain = |why: String, mend: String| {
        Some(Complaint::new(
            format!("{} cannot be written", folder.display()),
            why,
            mend,
        ))
    };
    if !existing.is_dir() {
        return complain(
            format!("{} is not a folder", existing.display()),
            "choose another path".to_owned(),
        );
    }
    match eaccess(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => None,
        Err(error) => complain(
            format!("{}: {}", existing.display(), error.desc()),
            format!(
                "create {} and give it to the user that runs reconcile",
                folder.display()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::{Environment, load};
    use super::*;

    const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n";

    /// A folder with a right configuration and right files.
    fn right() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = "state_directory = \"state/of/all\"\n[ssh]\nconfig_file = \"ssh_config\"\n[webhook]\n\
                    secret_files = [\"secret\"]\n[repositories.\"a/b\"]\nurl = \"git@h:a/b\"\n\
                    ssh_key_file = \"key\"\nknown_hosts_file = \"known\"\n[repositories.\"a/c\"]\n\
                    url = \"https://h/a/c\"\ntoken_file = \"token\"\n[hosts.h]\nrepository = \"a/b\"\n\
                    [hosts.i]\nrepository = \"a/c\"\n";
        let secret = "0123456789abcdef\n";
        let files = [
            ("reconcile.toml", text),
            ("ssh_config", ""),
            ("secret", secret),
            ("key", KEY),
            ("known", "h ssh-ed25519 A\n"),
            ("token", "t0ken\n"),
        ];
        for (name, contents) in files {
            set(&folder, name, contents, 0o600);
        }
        folder
    }

    fn set(folder: &tempfile::TempDir, name: &str, contents: &str, mode: u32) {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn look(folder: &tempfile::TempDir) -> Result<Warnings, Mistakes> {
        check(&load(&folder.path().join("reconcile.toml"), &Environment::new()).unwrap())
    }

    #[test]
    fn right_files_pass_and_nothing_is_made() {
        let folder = right();
        assert_eq!(look(&folder), Ok(Warnings::default()));
        assert!(!folder.path().join("state").exists());
    }

    #[test]
    fn all_that_is_wrong_with_files_is_told_at_once_where_they_are_named() {
        let folder = right();
        fs::remove_file(folder.path().join("known")).unwrap();
        fs::remove_file(folder.path().join("ssh_config")).unwrap();
        fs::create_dir(folder.path().join("ssh_config")).unwrap();
        set(&folder, "state", "a file", 0o600);
        set(&folder, "secret", "\n", 0o600);
        set(&folder, "key", KEY, 0o640);
        set(&folder, "token", "two words", 0o600);
        let mistakes = look(&folder).unwrap_err();
        let message = mistakes.to_string();
        let said: Vec<(usize, &str)> = mistakes
            .iter()
            .map(|remark| match &remark.origin {
                super::super::Origin::Place(place) => (place.line, remark.what.as_str()),
                other => panic!("{other}"),
            })
            .collect();
        let lines: Vec<usize> = said.iter().map(|(line, _)| *line).collect();
        // The control socket is made within the state directory, so it is no mistake of its own.
        assert_eq!(lines, [1, 3, 5, 8, 9, 12], "{message}");
        for part in [
            "state is not a folder",
            "not a plain file",
            "is empty",
            "mode 0640",
            "chmod 0600",
            "No such file",
            "one word",
        ] {
            assert!(message.contains(part), "expected {part:?} in:\n{message}");
        }
    }

    #[test]
    fn a_key_that_ssh_would_not_read_is_told_why() {
        let folder = right();
        for (contents, part) in [
            ("ssh-ed25519 AAAA me@here\n", "not a private key"),
            (KEY.trim_end(), "does not end in a line feed"),
            (&KEY.replace('\n', "\r\n"), "as on Windows"),
        ] {
            set(&folder, "key", contents, 0o600);
            let message = look(&folder).unwrap_err().to_string();
            assert!(message.contains(part), "expected {part:?} in:\n{message}");
        }
    }

    #[test]
    fn files_of_signers_that_could_never_let_a_commit_pass_are_told_why() {
        const SIGNERS: &str = "# who\n\nada@x,bob@x namespaces=\"git\",valid-before=\"20300101\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPv9OixaytgvfafGLahBwToDW+SCZZFP1fLqVa1F83NQ ada\n\
                               *@y ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBK/ipymKZCcdq2a6z++C9b6A+pBobj6Ym/t9S1BMO6ybC7hgpoInzIn6sW4YdXSiPlzfw8F4Bs/zRFNvA2H5lm8=\n";
        let folder = right();
        let file = folder.path().join("reconcile.toml");
        let rule = "known_hosts_file = \"known\"\nallowed_signers_file = \"signers\"\nopenpgp_keyring_file = \"keyring\"\n";
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("known_hosts_file = \"known\"\n", rule)).unwrap();
        set(&folder, "signers", SIGNERS, 0o644);
        set(&folder, "keyring", "", 0o644);
        let keyring = folder.path().join("keyring");
        fs::write(&keyring, [0x98, 0x33, 4]).unwrap();
        assert_eq!(look(&folder), Ok(Warnings::default()));
        for (signers, part) in [
            ("# nobody\n", "names nobody"),
            ("ssh-ed25519 AAAAC3 ada\n", "no key in line 1"),
            ("ada@x ssh-ed25519 AAAAC3\n", "damaged key in line 1"),
            ("bob@x\n", "no key in line 1"),
            ("", "is empty"),
        ] {
            set(&folder, "signers", signers, 0o644);
            let message = look(&folder).unwrap_err().to_string();
            assert!(message.contains(part), "expected {part:?} in:\n{message}");
        }
        set(&folder, "signers", SIGNERS, 0o644);
        for (contents, part) in [
            ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "gpg --dearmor"),
            ("a text", "not an OpenPGP keyring"),
        ] {
            fs::write(&keyring, contents).unwrap();
            let message = look(&folder).unwrap_err().to_string();
            assert!(message.contains(part), "expected {part:?} in:\n{message}");
        }
        fs::remove_file(&keyring).unwrap();
        assert!(
            look(&folder)
                .unwrap_err()
                .to_string()
                .contains("No such file")
        );
    }

    #[test]
    fn what_others_can_read_or_change_is_a_warning_and_no_contents_are_shown() {
        let folder = right();
        set(&folder, "secret", "hunter2", 0o644);
        set(&folder, "known", "h ssh-ed25519 A", 0o666);
        let message = look(&folder).unwrap().to_string();
        for part in [
            "user of this machine can read it",
            "can change it",
            "fewer than 16 bytes",
        ] {
            assert!(message.contains(part), "expected {part:?} in:\n{message}");
        }
        assert!(!message.contains("hunter2"));
    }
}
