//! Mirrors through OpenSSH: what works, and what is refused.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use desired_state::{Access, CredentialsError, Mirror, MirrorError, MirrorSettings, RemoteFailure};

use crate::sshd::{Sshd, free_port, keygen, public, user};
use crate::support::{AMPLE, branch, wait_until};

fn failure(error: &MirrorError) -> RemoteFailure {
    match error {
        MirrorError::Remote { failure, .. } => failure.clone(),
        other => panic!("{other:?}"),
    }
}

async fn fails_with(mirror: &Mirror, expected: RemoteFailure) -> MirrorError {
    let error = mirror.fetch().await.unwrap_err();
    assert_eq!(failure(&error), expected, "{error}");
    error
}

#[tokio::test]
async fn a_repository_is_fetched_with_the_configured_key_and_host_key() {
    let sshd = Sshd::new();
    let mirror = sshd.mirror();
    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
    let second = sshd.world.commit("second");
    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
    assert_eq!(mirror.tip(&branch("main")).await.unwrap(), Some(second));
    assert_eq!(mirror.fetch().await.unwrap().changed, []);
    assert_eq!(sshd.clients(), 0, "no ssh is left behind");
}

#[tokio::test]
async fn the_ssh_config_gives_alias_port_and_user() {
    let sshd = Sshd::new();
    let config = format!(
        "Host gitea\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  RemoteCommand true\n  ForwardAgent yes\n",
        sshd.port,
        user()
    );
    let source = sshd.world.source();
    for url in [
        format!("gitea:{}", source.display()),
        format!("ssh://gitea{}", source.display()),
    ] {
        let mirror = sshd.mirror_with_config(&url, &config, AMPLE);
        mirror.fetch().await.unwrap();
        assert!(
            mirror.tip(&branch("main")).await.unwrap().is_some(),
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_proxy_command_works_whatever_the_login_shell_of_our_user_is() {
    // The variable is the process's own, so the test runs in another one.
    if std::env::var("SHELL").is_ok_and(|shell| shell == "/bin/false") {
        let sshd = Sshd::new();
        let config = format!(
            "Host gitea\n  HostName 127.0.0.1\n  Port {0}\n  User {1}\n  ProxyCommand bash -c \"exec 3<>/dev/tcp/127.0.0.1/{0}; cat <&3 & exec cat >&3\"\n",
            sshd.port,
            user()
        );
        let url = format!("gitea:{}", sshd.world.source().display());
        let mirror = sshd.mirror_with_config(&url, &config, AMPLE);
        mirror.fetch().await.unwrap();
        return;
    }
    let again = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "ssh::a_proxy_command_works_whatever_the_login_shell_of_our_user_is",
        ])
        .env("SHELL", "/bin/false")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(
        again.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_and_so_is_a_changed_one() {
    let sshd = Sshd::new();
    let mirror = sshd.mirror();
    fs::write(sshd.world.path("known_hosts"), "").unwrap();
    let error = fails_with(&mirror, RemoteFailure::HostKeyUnknown).await;
    assert!(!error.is_worth_retrying());
    assert!(error.to_string().contains("ssh-keyscan"), "{error}");
    assert_eq!(fs::read(sshd.world.path("known_hosts")).unwrap(), b"");

    keygen(&sshd.world.path("other_host_key"), "");
    sshd.know(&sshd.world.path("other_host_key"));
    let error = fails_with(&mirror, RemoteFailure::HostKeyChanged).await;
    assert!(error.to_string().contains("CHANGED"), "{error}");
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_refused() {
    let sshd = Sshd::new();
    fs::write(sshd.world.path("authorized_keys"), "").unwrap();
    let error = fails_with(&sshd.mirror(), RemoteFailure::KeyRefused).await;
    assert!(error.to_string().contains("deploy keys"), "{error}");
}

#[tokio::test]
async fn a_key_with_a_passphrase_or_no_key_at_all_is_named_as_such() {
    let sshd = Sshd::new();
    let key = sshd.world.path("key");
    fs::remove_file(&key).unwrap();
    keygen(&key, "secret passphrase");
    let error = sshd.mirror().fetch().await.unwrap_err();
    let is_passphrase = matches!(
        error,
        MirrorError::Credentials(CredentialsError::KeyPassphrase { .. })
    );
    assert!(is_passphrase, "{error:?}");
    fs::write(&key, "this is no key\n").unwrap();
    // With the public half beside it, ssh would offer that first.
    fs::remove_file(key.with_extension("pub")).unwrap();
    fails_with(&sshd.mirror(), RemoteFailure::KeyUnusable).await;
}

#[tokio::test]
async fn a_key_that_others_may_read_or_that_is_missing_is_named_before_ssh_starts() {
    let sshd = Sshd::new();
    let key = sshd.world.path("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = sshd.mirror().fetch().await.unwrap_err();
    let is_permissions = matches!(
        error,
        MirrorError::Credentials(CredentialsError::KeyPermissions { mode: 0o644, .. })
    );
    assert!(is_permissions, "{error:?}");
    fs::remove_file(&key).unwrap();
    let error = sshd.mirror().fetch().await.unwrap_err();
    let is_missing = matches!(
        error,
        MirrorError::Credentials(CredentialsError::Unreadable { .. })
    );
    assert!(is_missing, "{error:?}");
}

#[tokio::test]
async fn a_missing_repository_and_a_refusal_by_gitea_are_told_apart() {
    let sshd = Sshd::new();
    let url = format!("{}-not-there", sshd.url());
    let mirror = sshd.world.mirror_of(&url, sshd.access(), AMPLE);
    fails_with(&mirror, RemoteFailure::NotFound).await;

    // What Gitea's `serv` does: an empty line, the reason on standard error, status 1.
    for (said, expected) in [
        (
            "Gitea: Cannot find repository: infra/infra",
            RemoteFailure::NotFound,
        ),
        (
            "Gitea: Deploy Key: 3:ci is not authorized to read infra/infra.",
            RemoteFailure::NoPermission,
        ),
    ] {
        let sshd = Sshd::with_forced_command(&format!("echo; echo '{said}' >&2; exit 1"));
        let error = fails_with(&sshd.mirror(), expected).await;
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_worth_another_try() {
    let sshd = Sshd::new();
    let url = format!("ssh://git@127.0.0.1:{}/a.git", free_port());
    let mirror = sshd.world.mirror_of(&url, sshd.access(), AMPLE);
    let error = fails_with(&mirror, RemoteFailure::ConnectionRefused).await;
    assert!(error.is_worth_retrying());
    let mirror = sshd
        .world
        .mirror_of("ssh://git@nowhere.invalid/a.git", sshd.access(), AMPLE);
    let error = fails_with(&mirror, RemoteFailure::NameUnknown).await;
    assert!(error.is_worth_retrying());
}

#[tokio::test]
async fn a_bad_ssh_config_is_named() {
    let sshd = Sshd::new();
    let mirror = sshd.mirror_with_config(&sshd.url(), "hots gitea\n", AMPLE);
    let error = fails_with(&mirror, RemoteFailure::SshConfig).await;
    assert!(error.to_string().contains("hots"), "{error}");
}

#[tokio::test]
async fn the_last_words_are_heard_after_very_many_others() {
    let sshd = Sshd::with_forced_command(
        "yes noise | head -c 5000000 >&2; echo 'Gitea: Cannot find repository: a/b' >&2; exit 1",
    );
    let error = fails_with(&sshd.mirror(), RemoteFailure::NotFound).await;
    assert!(error.to_string().len() < 2000, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_at_the_same_time_keep_their_settings_apart() {
    let (one, two) = (Sshd::new(), Sshd::new());
    let second = two.world.commit("only in the second");
    for _ in 0..5 {
        // Each server takes its own key only, and each client trusts its own server only.
        for sshd in [&one, &two] {
            let _ = fs::remove_dir_all(sshd.world.path("mirror"));
        }
        let (mirror_one, mirror_two) = (one.mirror(), two.mirror());
        let (done_one, done_two) = tokio::join!(
            tokio::spawn({
                let mirror = mirror_one.clone();
                async move { mirror.fetch().await }
            }),
            tokio::spawn({
                let mirror = mirror_two.clone();
                async move { mirror.fetch().await }
            }),
        );
        done_one.unwrap().unwrap();
        done_two.unwrap().unwrap();
        assert!(!mirror_one.contains(&second).await.unwrap());
        assert!(mirror_two.contains(&second).await.unwrap());
    }
}

#[tokio::test]
async fn a_sha256_repository_is_refused_through_ssh_too() {
    let sshd = Sshd::new();
    let source = sshd.world.source();
    fs::remove_dir_all(&source).unwrap();
    fs::create_dir(&source).unwrap();
    sshd.world
        .git(&["init", "--quiet", "--object-format=sha256"]);
    sshd.world
        .git(&["commit", "--quiet", "--allow-empty", "--message", "first"]);
    fails_with(&sshd.mirror(), RemoteFailure::Sha256).await;
}

/// Tells a child process what to fetch: the URL, the mirror, the key and the known hosts.
const CHILD: &str = "RECONCILE_TEST_CHILD";

/// This test binary again, as a process that does nothing but one fetch.
fn child(url_and_mirror: [&str; 2], key: &Path, known_hosts: &Path) -> Command {
    let [url, mirror] = url_and_mirror;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "ssh::a_child_process_fetches_what_it_is_told",
            "--nocapture",
        ])
        .env(
            CHILD,
            format!(
                "{url}\n{mirror}\n{}\n{}",
                key.display(),
                known_hosts.display()
            ),
        );
    child
}

#[tokio::test]
async fn a_child_process_fetches_what_it_is_told() {
    let Ok(told) = std::env::var(CHILD) else {
        return; // Nobody's child.
    };
    let told: Vec<&str> = told.lines().collect();
    let access = Access::SshKey {
        key: told[2].into(),
        known_hosts: Some(told[3].into()),
        ssh_config: None,
    };
    let mirror = Mirror::open(MirrorSettings {
        directory: told[1].into(),
        url: told[0].to_owned(),
        access,
        timeout: AMPLE,
    });
    mirror.unwrap().fetch().await.unwrap();
}

#[tokio::test]
async fn a_clone_that_is_killed_halfway_is_begun_anew() {
    let sshd = Sshd::with_forced_command("printf 0100; sleep 30");
    let world = &sshd.world;
    let mirror = world.path("mirror");
    let (key, known_hosts) = (world.path("key"), world.path("known_hosts"));
    let mut child = child([&sshd.url(), mirror.to_str().unwrap()], &key, &known_hosts)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the clone is under way", || {
        sshd.clients() > 0 && world.path("mirror.new/.git/HEAD").exists()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(world.path("authorized_keys"), public(&world.path("key"))).unwrap();
    let mirror = sshd.mirror();
    let fetched = mirror.fetch().await.unwrap();
    assert!(!fetched.recloned, "there never was a mirror");
    assert!(mirror.tip(&branch("main")).await.unwrap().is_some());
    assert!(!world.path("mirror.new").exists());
}

#[test]
fn a_missing_git_and_a_missing_openssh_client_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    keygen(&key, "");
    let fails_with = |path: &Path, expected: &str| {
        let mirror = folder.path().join("mirror");
        let output = child(
            ["ssh://git@127.0.0.1/a.git", mirror.to_str().unwrap()],
            &key,
            &key,
        )
        .env("PATH", path)
        .output()
        .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{said}");
    };
    fails_with(Path::new("/nowhere"), "GitMissing");
    let git = Command::new("which").arg("git").output().unwrap();
    let git = String::from_utf8(git.stdout).unwrap();
    std::os::unix::fs::symlink(git.trim(), folder.path().join("git")).unwrap();
    fails_with(folder.path(), "SshMissing");
}

#[tokio::test]
async fn a_server_that_is_no_ssh_server_is_named() {
    let sshd = Sshd::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut greeting = [0; 64];
        let _ = stream.read(&mut greeting);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let url = format!("ssh://git@127.0.0.1:{port}/a.git");
    let mirror = sshd.world.mirror_of(&url, sshd.access(), AMPLE);
    let error = mirror.fetch().await.unwrap_err();
    assert!(matches!(error, MirrorError::Remote { .. }), "{error:?}");
    println!("{error}");
    web.join().unwrap();
}
