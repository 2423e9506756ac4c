use super::*;

#[test]
fn what_openssh_says_is_read_with_its_cause() {
    let check = |said: &str, expected: RemoteFailure| {
        assert_eq!(
            from_git(Some(SSH_OWN_FAILURE), said),
            Some(expected),
            "{said}"
        );
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
    let new = from_git(Some(SSH_OWN_FAILURE), "something new");
    assert_eq!(new, Some(RemoteFailure::Unrecognized));
}

#[test]
fn what_gitea_and_git_say_is_read_with_its_cause() {
    let check = |status: i32, said: &str, expected: RemoteFailure| {
        assert_eq!(from_git(Some(status), said), Some(expected), "{said}");
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
    let banner = from_git(Some(1), "Host key verification failed.");
    assert_eq!(banner, Some(RemoteFailure::Unrecognized));
}

/// Recorded from git 2.39.5 with curl 7.88.1 (GnuTLS), and OpenSSL's words for the same.
#[test]
fn what_git_says_of_a_web_server_is_read_with_its_cause() {
    let at = "fatal: unable to access 'https://g/a/': ";
    for (said, expected) in [
        (
            "The requested URL returned error: 403",
            RemoteFailure::NoPermission,
        ),
        (
            "The requested URL returned error: 429",
            RemoteFailure::HttpStatus(429),
        ),
        (
            "The requested URL returned error: 503",
            RemoteFailure::HttpStatus(503),
        ),
        ("Could not resolve host: g", RemoteFailure::NameUnknown),
        (
            "server certificate verification failed. CAfile: none CRLfile: none",
            RemoteFailure::Certificate,
        ),
        (
            "SSL certificate problem: unable to get local issuer certificate",
            RemoteFailure::Certificate,
        ),
        (
            "Failed to connect to g port 443 after 0 ms: Couldn't connect to server\n\
             1:2:3 http.c:725  == Info: connect to 10.0.0.1 port 443 failed: Connection refused",
            RemoteFailure::ConnectionRefused,
        ),
        (
            "Failed to connect to g port 443 after 3000 ms: Couldn't connect to server\n\
             1:2:3 http.c:725  == Info: connect to 10.0.0.1 port 443 failed: No route to host",
            RemoteFailure::Unreachable,
        ),
        ("Empty reply from server", RemoteFailure::ConnectionLost),
        (
            "Received HTTP code 407 from proxy after CONNECT",
            RemoteFailure::Proxy,
        ),
    ] {
        let said = format!("{at}{said}");
        assert_eq!(from_git(None, &said), Some(expected), "{said}");
    }
}

#[test]
fn what_git_says_of_a_repository_is_read_with_its_cause() {
    let check = |said: &str, expected: RemoteFailure| {
        assert_eq!(from_git(None, said), Some(expected), "{said}");
    };
    check(
        "fatal: repository 'https://g/a/' not found",
        RemoteFailure::NotFound,
    );
    check(
        "fatal: https://g/a/info/refs not valid: is this a git repository?",
        RemoteFailure::NotGit,
    );
    check(
        "fatal: could not read Username for 'https://g': terminal prompts disabled",
        RemoteFailure::TokenRefused,
    );
    check(
        "fatal: Authentication failed for 'https://g/a/'",
        RemoteFailure::TokenRefused,
    );
    check(
        "fatal: mismatched algorithms: client sha1; server sha256",
        RemoteFailure::Sha256,
    );
    check(
        "error: RPC failed; curl 18 transfer closed with outstanding read data remaining\n\
         fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF",
        RemoteFailure::ConnectionLost,
    );
    assert_eq!(from_git(None, "fatal: bad object 0123"), None);
}

#[test]
fn only_gits_own_words_tell_that_our_disk_is_full() {
    let ours = "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output\n";
    assert!(is_our_disk_full(ours));
    let theirs =
        "remote: fatal: write error: No space left on device\nGitea: No space left on device\n";
    assert!(!is_our_disk_full(theirs));
}

#[test]
fn a_warning_of_ssh_stands_before_no_cause() {
    let said = "** WARNING: connection is not using a post-quantum key exchange algorithm.\n\
                ** This session may be vulnerable to \"store now, decrypt later\" attacks.\n\
                ** The server may need to be upgraded. See https://openssh.com/pq.html\n\
                fetch-pack: unexpected disconnect while reading sideband packet\n\
                fatal: early EOF\nfatal: fetch-pack: invalid index-pack output\n";
    assert_eq!(
        from_git(Some(255), said),
        Some(RemoteFailure::ConnectionLost)
    );
    assert!(last_words(said).starts_with("fetch-pack: unexpected disconnect"));
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
