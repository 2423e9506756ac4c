//! Commands over a connection to a real sshd.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sshd::{LIMIT, Sshd, echo, processes, shell, to, until};
use deploy::{Destination, Privilege, RemoteCommand, SshError, Sudo};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_commands_at_once_never_have_more_sessions_than_allowed() {
    let sshd = Sshd::start_with("MaxSessions 10");
    let count = sshd.path("count");
    fs::create_dir(&count).unwrap();
    let script = format!(
        "cd {} && touch $$ && ls | wc -l && sleep 0.1 && rm $$",
        count.display()
    );
    // Also with as many as the server allows, which frees a session a moment after its command's end.
    for allowed in [4, 10] {
        let mut settings = sshd.settings();
        settings.max_sessions = allowed;
        let connections = deploy::Connections::new(settings);
        let mut commands = Vec::new();
        for _ in 0..40 {
            let connections = connections.clone();
            let script = script.clone();
            commands.push(tokio::spawn(async move {
                let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
                connection.run(shell(&script)).await.unwrap().stdout
            }));
        }
        let mut most = 0;
        for command in commands {
            let at_once = String::from_utf8(command.await.unwrap()).unwrap();
            most = most.max(at_once.trim().parse().unwrap());
        }
        assert!((2..=allowed).contains(&most), "{most} at once");
    }
    assert_eq!(sshd.logins(), 2);
}

#[tokio::test]
async fn a_session_that_the_server_refuses_is_named() {
    let sshd = Sshd::start_with("MaxSessions 1");
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    let (long, refused) = tokio::join!(connection.run(shell("sleep 4.25")), async {
        until("the first runs", || {
            !processes(|words| words[0] == "sleep" && words.get(1).is_some_and(|n| n == "4.25"))
                .is_empty()
        })
        .await;
        connection.run(shell("true")).await
    });
    long.unwrap();
    let error = refused.unwrap_err();
    assert!(
        matches!(error, SshError::SessionRefused { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("MaxSessions"));
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let sshd = Sshd::start();
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    let words = [
        "",
        " ",
        "a b",
        "$(id)",
        "`id`",
        "${HOME}",
        "'",
        "\"",
        "\\",
        "\\'",
        "*",
        "~",
        "a;b",
        "a|b&",
        "!x",
        "#",
        "-n",
        "line\nbreak",
        "ünï",
    ];
    let mut expected = Vec::new();
    for word in words {
        expected.extend_from_slice(word.as_bytes());
        expected.push(0);
    }
    assert_eq!(echo(&connection, &words).await, expected);
}

#[tokio::test]
async fn input_output_and_exit_codes_come_through_and_output_is_bounded() {
    let sshd = Sshd::start();
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    let input = vec![b'x'; 300_000];
    let command = RemoteCommand::new("cat")
        .stdin(input.clone())
        .output_limit(input.len());
    let completed = connection.run(command).await.unwrap();
    assert!(completed.stdout == input && !completed.is_cut);
    let command = shell("cat; head -c 1000000 /dev/zero; echo no >&2; exit 255").output_limit(1000);
    let completed = connection.run(command).await.unwrap();
    assert_eq!((completed.code, completed.stdout.len()), (255, 1000));
    assert_eq!(completed.complaint(), "no");
    assert!(completed.is_cut);
    // Input that nobody reads does no harm.
    let completed = connection.run(shell("exit 3").stdin(input)).await.unwrap();
    assert_eq!(completed.code, 3);
    let missing = RemoteCommand::new("no-such-program-here");
    assert_eq!(connection.run(missing).await.unwrap().code, 127);
    // A command that a signal ends looks like a lost connection; what it did is unknown.
    let error = connection.run(shell("kill -9 $$")).await.unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error:?}");
    assert_eq!(echo(&connection, &["still"]).await, b"still\0");
}

#[tokio::test]
async fn sudo_is_used_only_where_it_is_needed_and_its_refusals_are_named() {
    let sshd = Sshd::start();
    let folder = sshd.folder.path().display().to_string();
    let stub = |name: &str, script: &str| {
        let file = sshd.path(name);
        fs::create_dir(sshd.path(&format!("{name}-bin"))).unwrap();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&file, sshd.path(&format!("{name}-bin")).join("sudo")).unwrap();
    };
    stub("works", "echo sudo \"$1 $2\" >&2; shift 2; exec \"$@\"");
    stub("asks", "echo 'sudo: a password is required' >&2; exit 1");
    stub(
        "refuses",
        "echo 'Sorry, user x is not allowed to execute y as root on z.' >&2; exit 1",
    );
    let run = async |name: &str, sudo: Sudo, privilege: Privilege| {
        // A server of its own: only sshd can say what PATH a command has.
        let sshd = Sshd::start_with(&format!("SetEnv PATH={folder}/{name}-bin:/usr/bin:/bin"));
        let destination = Destination::new("target", sudo).unwrap();
        let connections = sshd.connections();
        let connection = connections.reach(&[destination], LIMIT).await.unwrap();
        let command = shell("echo \"$0\"; exit 1").privilege(privilege);
        connection.run(command).await
    };
    let completed = run("works", Sudo::Yes, Privilege::Root).await.unwrap();
    assert_eq!(
        (completed.code, completed.complaint().as_str()),
        (1, "sudo -n --")
    );
    let completed = run("works", Sudo::Yes, Privilege::Login).await.unwrap();
    assert_eq!(completed.complaint(), "");
    let completed = run("works", Sudo::No, Privilege::Root).await.unwrap();
    assert_eq!(completed.complaint(), "");
    let error = run("asks", Sudo::Yes, Privilege::Root).await.unwrap_err();
    assert!(matches!(error, SshError::SudoPassword { .. }), "{error:?}");
    assert!(error.to_string().contains("NOPASSWD") && !error.is_worth_retrying());
    let error = run("refuses", Sudo::Yes, Privilege::Root)
        .await
        .unwrap_err();
    assert!(matches!(error, SshError::SudoRefused { .. }), "{error:?}");
    if !std::path::Path::new("/usr/bin/sudo").exists() {
        let error = run("none", Sudo::Yes, Privilege::Root).await.unwrap_err();
        assert!(matches!(error, SshError::SudoMissing { .. }), "{error:?}");
    }
}
