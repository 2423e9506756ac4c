//! Looks at the files that a configuration names, as far as that can be done without changing anything.

mod signers;
mod store_key;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, Uid, eaccess, geteuid};

use super::loaded::Loaded;
use super::owner::{name_of, owner_instead_of_root};
use super::reader::{Diagnostic, Diagnostics, NamedPath, PathRole, Problem, Warnings, contents};

/// Fewer bytes than that can be guessed from a recorded delivery.
const SHORT_SECRET: usize = 16;

/// The first line of a key in OpenSSH's own form.
const OPENSSH_KEY: &[u8] = b"-----BEGIN OPENSSH PRIVATE KEY-----";

/// Checks every named path: it exists, can be read, holds what it should, and is not open to others; the state
/// directory is writable or can be made.
///
/// # Errors
/// Every mistake at once, each at the line that names the path.
pub fn check(loaded: &Loaded) -> Result<Warnings, Diagnostics> {
    let is_state = |named: &&NamedPath| named.role == PathRole::StateDirectory;
    let state = loaded.paths.iter().find(is_state);
    let mut findings = Findings {
        stands_in_for: state.and_then(|named| owner_instead_of_root(&named.path)),
        ..Findings::default()
    };
    for (index, named) in loaded.paths.iter().enumerate() {
        let twin = |other: &NamedPath| other.path == named.path && other.role == named.role;
        if !loaded.paths[..index].iter().any(twin) {
            findings.look_at(named);
        }
    }
    Diagnostics::among(findings.mistakes)?;
    Ok(Warnings::of(findings.warnings))
}

#[derive(Default)]
struct Findings {
    /// Who will read the files, where we are root and the state is somebody else's.
    stands_in_for: Option<Uid>,
    mistakes: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Findings {
    fn look_at(&mut self, named: &NamedPath) {
        match named.role {
            PathRole::StateDirectory => {
                self.mistake(named, folder_fault(&named.path));
                if let Some(user) = self.stands_in_for {
                    self.warn(named, looked_at_by_root(&named.path, &name_of(user)));
                }
            }
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
            && metadata.uid() == self.stands_in_for.unwrap_or_else(geteuid).as_raw()
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

    fn mistake(&mut self, named: &NamedPath, problem: Option<Problem>) {
        self.mistakes
            .extend(problem.map(|problem| diagnostic(named, problem)));
    }

    fn warn(&mut self, named: &NamedPath, problem: Problem) {
        self.warnings.push(diagnostic(named, problem));
    }
}

fn diagnostic(named: &NamedPath, problem: Problem) -> Diagnostic {
    problem
        .named(&format!("{}: the {}", named.key, named.role.noun()))
        .at(named.origin.clone())
}

/// What is wrong with the contents of a file, by what it is for. Contents are never repeated.
fn fault_within(role: PathRole, contents: &[u8]) -> Option<Problem> {
    let problem = |what: &str, why: &str, help: &str| Some(Problem::new(what, why, help));
    let text = contents.trim_ascii();
    if text.is_empty() && role != PathRole::SshConfig {
        return problem(
            "is empty",
            "nothing can be known by it",
            "write it, or name another file",
        );
    }
    match role {
        PathRole::Token if text.iter().any(u8::is_ascii_whitespace) => problem(
            "has more than one word",
            "a token is one word",
            "leave only the token in the file",
        ),
        PathRole::SshKey if !text.starts_with(b"-----BEGIN ") => problem(
            "is not a private key",
            "a private key begins with `-----BEGIN`; a public one, which ends in .pub, cannot log in",
            "name the private key",
        ),
        PathRole::SshKey if contents.contains(&b'\r') && text.starts_with(OPENSSH_KEY) => problem(
            "has lines that end as on Windows",
            "ssh then says `error in libcrypto`",
            "remove the carriage returns, as with `sed -i 's/\\r$//'`",
        ),
        PathRole::SshKey if !contents.ends_with(b"\n") && text.starts_with(OPENSSH_KEY) => problem(
            "does not end in a line feed",
            "ssh then says `error in libcrypto`",
            "add a line feed at its end, as with `echo >> FILE`",
        ),
        PathRole::StoreKey => store_key::fault(&String::from_utf8_lossy(contents)),
        PathRole::AllowedSigners => signers::fault(&String::from_utf8_lossy(contents)),
        PathRole::OpenpgpKeyring if text.starts_with(b"-----BEGIN PGP") => problem(
            "is armored",
            "gpgv reads only keyrings in binary",
            "write it anew with `gpg --dearmor`, or with `gpg --export` without --armor",
        ),
        PathRole::OpenpgpKeyring if !signers::is_keyring(contents) => problem(
            "is not an OpenPGP keyring",
            "it begins neither as a packet (RFC 9580, 4.2) nor as a keybox of GnuPG",
            "write it with `gpg --export KEY… > FILE`",
        ),
        _ => None,
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Problem {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "create it, or correct the path",
        io::ErrorKind::PermissionDenied => {
            "let the user that runs reconcile read it, and enter its folders"
        }
        _ => "name a plain file",
    };
    Problem::new(
        format!("{} cannot be read", file.display()),
        error.to_string(),
        help,
    )
}

fn looked_at_by_root(state: &Path, owner: &str) -> Problem {
    Problem::new(
        format!("{} belongs to {owner}", state.display()),
        format!("root can read files that {owner} cannot, so this check says less than it should"),
        format!("check as that user: runuser -u {owner} -- reconcile check"),
    )
}

fn key_too_open(file: &Path, mode: u32) -> Problem {
    Problem::new(
        format!("{} has mode {mode:04o}", file.display()),
        "ssh does not use a key of its own user that others can read",
        format!("chmod 0600 {}", file.display()),
    )
}

fn open_to_others(file: &Path, mode: u32, verb: &str) -> Problem {
    Problem::new(
        format!("{} has mode {mode:04o}", file.display()),
        format!("every user of this machine can {verb} it"),
        format!(
            "chmod 0600 {0} (in Kubernetes: defaultMode: 0400 in the volume)",
            file.display()
        ),
    )
}

fn short_secret() -> Problem {
    Problem::new(
        format!("has fewer than {SHORT_SECRET} bytes"),
        "who records one delivery can guess it at home",
        "make one with `openssl rand -hex 32`, and set it in Gitea too",
    )
}

/// Why `folder` can neither be written nor made.
fn folder_fault(folder: &Path) -> Option<Problem> {
    let existing = folder
        .ancestors()
        .find(|ancestor| ancestor.symlink_metadata().is_ok())?;
    let problem = |why: String, help: String| {
        Some(Problem::new(
            format!("{} cannot be written", folder.display()),
            why,
            help,
        ))
    };
    if !existing.is_dir() {
        return problem(
            format!("{} is not a folder", existing.display()),
            "choose another path".to_owned(),
        );
    }
    match eaccess(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => None,
        Err(error) => problem(
            format!("{}: {}", existing.display(), error.desc()),
            format!(
                "create {} and give it to the user that runs reconcile",
                folder.display()
            ),
        ),
    }
}
