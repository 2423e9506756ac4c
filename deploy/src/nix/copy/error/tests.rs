use super::*;
use crate::nix::diagnosis::tests::failed;

#[test]
fn what_nix_ssh_and_sudo_say_is_named() {
    // Recorded: Nix 2.8.0 and 2.26.3 here, 2.26.3 on the host.
    let lost = "error: unexpected end-of-file";
    for (stderr, kind, worth_retrying) in [
        (
            "error: cannot add path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' because it lacks a signature by a trusted key",
            "SignatureLacking",
            false,
        ),
        (
            "error: cannot add path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' because it lacks a valid signature",
            "SignatureLacking",
            false,
        ),
        (
            &format!(
                "error: getting status of '/nix/var/nix/daemon-socket/socket': Permission denied\n{lost}"
            ),
            "NotAllowed",
            false,
        ),
        (
            &format!("sudo: a password is required\n{lost}"),
            "SudoRefused",
            false,
        ),
        (
            &format!("bash: line 1: nix-daemon: command not found\n{lost}"),
            "NixMissingOnHost",
            false,
        ),
        (lost, "ConnectionLost", true),
        (
            "client_loop: send disconnect: Broken pipe",
            "ConnectionLost",
            true,
        ),
        (
            "error: writing to file: No space left on device",
            "OnHost",
            true,
        ),
        (
            "error: path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' is not valid",
            "PathGone",
            true,
        ),
        ("error: something new", "Failed", true),
    ] {
        let error = CopyError::of(&failed(stderr, 1), "pi");
        assert!(
            format!("{error:?}").starts_with(kind),
            "{stderr}: {error:?}"
        );
        assert_eq!(error.is_worth_retrying(), worth_retrying, "{stderr}");
    }
}

#[test]
fn only_the_key_and_who_we_are_keep_a_signing_from_being_tried_again() {
    // Recorded: Nix 2.8.0, but for the full disk.
    for (stderr, kind, worth_retrying) in [
        (
            "error: opening file '/k': No such file or directory",
            "NotSigned",
            false,
        ),
        ("error: secret key is corrupt", "NotSigned", false),
        (
            "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file or directory",
            "Nix(DaemonUnreachable",
            true,
        ),
        (
            "error: cannot open connection to remote store 'unix:///s': error: reading from file: Connection reset by peer",
            "Nix(DaemonGone",
            true,
        ),
        ("error: unexpected end-of-file", "Nix(DaemonGone", true),
        (
            "error: writing to file: No space left on device",
            "Nix(DiskFull",
            true,
        ),
        (
            "don't know how to build these paths:\n  /nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a\n\
             error: path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' is not valid",
            "PathGone",
            true,
        ),
    ] {
        let error = CopyError::of_signing(&failed(stderr, 1), Path::new("/k"));
        assert!(
            format!("{error:?}").starts_with(kind),
            "{stderr}: {error:?}"
        );
        assert_eq!(error.is_worth_retrying(), worth_retrying, "{stderr}");
    }
}

#[test]
fn a_shell_that_prints_before_our_command_is_named() {
    let stderr = "error: cannot open connection to remote store 'ssh-ng://pi': error: protocol mismatch, got 'welcome to pi'";
    let error = CopyError::of(&failed(stderr, 1), "pi");
    assert!(matches!(error, CopyError::ShellPrints { .. }), "{error:?}");
    assert!(error.is_worth_retrying());
    let words = error.to_string();
    assert!(
        words.contains("the host's shell prints") && words.contains("welcome to pi"),
        "{words}"
    );
}

#[test]
fn what_sudo_or_a_shell_says_beside_another_cause_does_not_decide() {
    let warned = "sudo: unable to resolve host pi: Name or service not known\n";
    let full = "error: writing to file: No space left on device";
    for (stderr, kind) in [
        (format!("{warned}{full}"), "OnHost(DiskFull"),
        (format!("{warned}error: something new"), "Failed"),
        (
            format!("{warned}error: unexpected end-of-file"),
            "ConnectionLost",
        ),
        (
            format!("motd: curl: (7) Connection refused\n{full}"),
            "OnHost(DiskFull",
        ),
        (
            "warning: error: unable to download 'https://c/nix-cache-info': Connection refused\n\
             error: something new"
                .to_owned(),
            "Failed",
        ),
        (
            "bash: line 1: sudo: command not found\n\
             error: cannot open connection to remote store 'ssh-ng://pi': Nix daemon disconnected unexpectedly (maybe it crashed?)"
                .to_owned(),
            "SudoRefused",
        ),
        (
            "error: Nix daemon disconnected unexpectedly (maybe it crashed?)".to_owned(),
            "ConnectionLost",
        ),
    ] {
        let error = CopyError::of(&failed(&stderr, 1), "pi");
        assert!(
            format!("{error:?}").starts_with(kind),
            "{stderr}: {error:?}"
        );
    }
}
