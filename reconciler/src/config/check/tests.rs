//! Files that are right, and each way in which they are not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::{Environment, Origin, load};

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

fn look(folder: &tempfile::TempDir) -> Result<Warnings, Diagnostics> {
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
        .map(|diagnostic| match &diagnostic.origin {
            Origin::Place(place) => (place.line, diagnostic.what.as_str()),
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
fn root_looks_at_the_files_for_the_user_whose_state_it_is() {
    let folder = right();
    let chown =
        |name: &str, user| std::os::unix::fs::chown(folder.path().join(name), Some(user), None);
    fs::create_dir_all(folder.path().join("state/of/all")).unwrap();
    // Only root can give a folder away, and only root is told.
    if chown("state/of/all", 65_534).is_err() {
        return;
    }
    // Root's own ssh would not use it; that user's does.
    set(&folder, "key", KEY, 0o640);
    let said = look(&folder).unwrap().to_string();
    assert!(
        said.contains("runuser -u nobody -- reconcile check"),
        "{said}"
    );
    assert!(!said.contains("0640"), "{said}");
    chown("key", 65_534).unwrap();
    let said = look(&folder).unwrap_err().to_string();
    assert!(said.contains("mode 0640"), "{said}");
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
