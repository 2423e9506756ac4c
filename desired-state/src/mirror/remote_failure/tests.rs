use super::*;

#[test]
fn what_openssh_says_is_read_with_its_cause() {
    let check = |said: &str, expected: RemoteFailure| {
        assert_eq!(from_ssh(SSH_OWN_FAILURE, said), Some(expected), "{said}");
    };
    check(
        "No ED25519 host key is known for [gitea]:2222 and you have requested strict checking.\r\nHost key verification failed.\r\n",
        RemoteFailure::HostKeyUnknown,
    );
    check(
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key verification failed.\r\n",
        RemoteFailure::HostKeyChanged,
    );
    check(
        "git@gitea: Permission denied (publickey).",
        RemoteFailure::KeyRefused,
    );
    check(
        "Load key \"/k\": error in libcrypto\r\ngit@gitea: Permission denied (publickey).",
        RemoteFailure::KeyUnusable,
    );
    check(
        "ssh: Could not resolve hostname gitea: Name or service not known",
        RemoteFailure::NameUnknown,
    );
    check(
        "ssh: connect to host gitea port 22: Connection refused",
        RemoteFailure::ConnectionRefused,
    );
    check(
        "ssh: connect to host gitea port 22: No route to host",
        RemoteFailure::Unreachable,
    );
    check(
        "Connection timed out during banner exchange",
        RemoteFailure::NoAnswer,
    );
    check(
        "kex_exchange_identification: Connection closed by remote host",
        RemoteFailure::ConnectionLost,
    );
    check(
        "/c: line 1: Bad configuration option: hst\r\n/c: terminating, 1 bad configuration options",
        RemoteFailure::SshConfig,
    );
    assert_eq!(from_ssh(SSH_OWN_FAILURE, "something new"), None);
}

#[test]
fn what_gitea_and_git_say_is_read_with_its_cause() {
    let check = |status: i32, said: &str, expected: RemoteFailure| {
        assert_eq!(from_ssh(status, said), Some(expected), "{said}");
    };
    check(
        1,
        "Gitea: Cannot find repository: infra/infra",
        RemoteFailure::NotFound,
    );
    check(
        1,
        "Gitea: Deploy Key: 3:ci is not authorized to read infra/infra.",
        RemoteFailure::NoPermission,
    );
    check(
        128,
        "fatal: '/a' does not appear to be a git repository",
        RemoteFailure::NotFound,
    );
    check(
        127,
        "sh: git-upload-pack: command not found",
        RemoteFailure::NotGit,
    );
    // A banner of the server cannot pass for a failure of ssh.
    assert_eq!(from_ssh(1, "Host key verification failed."), None);
}

#[test]
fn last_words_are_few_and_safe_to_print() {
    assert_eq!(last_words("a\nb\n@@@@\n\nc\r\nd\n"), "b / c / d");
    assert_eq!(last_words("\u{1b}[31mred"), "\\u{1b}[31mred");
    assert_eq!(last_words(""), "");
    assert!(last_words(&"x".repeat(100_000)).chars().count() <= CHARACTERS_SHOWN + 1);
}

#[test]
fn only_what_may_pass_by_itself_is_worth_retrying() {
    assert!(RemoteFailure::NameUnknown.is_worth_retrying());
    assert!(RemoteFailure::HttpStatus(503).is_worth_retrying());
    assert!(!RemoteFailure::HttpStatus(400).is_worth_retrying());
    assert!(!RemoteFailure::HostKeyChanged.is_worth_retrying());
}
