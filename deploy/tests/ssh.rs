//! Logins and commands against a real sshd.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, wait in real time, and fail by panicking"
)]

mod sshd;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use deploy::{
    Connection, Destination, LoginFault, Privilege, RemoteCommand, SshError, SshSettings, Sudo,
};
use sshd::{Sshd, make_key, processes, to, until};

const LIMIT: Duration = Duration::from_secs(20);

/// The one fault of a host with one destination.
async fn fault(settings: SshSettings, address: &str) -> (LoginFault, SshError) {
    let connections = deploy::Connections::new(settings);
    let error = connections
        .reach(&[to(address)], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    let again = connections
        .reach(&[to(address)], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    let SshError::NotReached { mut failures } = error else {
        panic!("{error:?}")
    };
    assert_eq!(failures.len(), 1);
    (failures.remove(0).fault, again)
}

async fn echo(connection: &Connection, words: &[&str]) -> Vec<u8> {
    let command = RemoteCommand::new("printf")
        .arguments(["%s\\0"])
        .arguments(words.iter().copied());
    connection.run(command).await.unwrap().stdout
}

fn shell(script: &str) -> RemoteCommand {
    RemoteCommand::new("/bin/sh").arguments(["-c", script])
}

#[tokio::test]
async fn a_host_whose_key_is_not_known_is_not_trusted() {
    let Some(sshd) = Sshd::start() else { return };
    fs::write(sshd.path("known_hosts"), "").unwrap();
    // Not even when the user's file says so.
    sshd.configure("careless", "StrictHostKeyChecking no");
    for address in ["target", "careless"] {
        let (fault, error) = fault(sshd.settings(), address).await;
        assert!(matches!(fault, LoginFault::HostKeyUnknown), "{fault:?}");
        assert!(!error.is_worth_retrying() && !error.is_unreachable());
        assert!(error.to_string().contains("known_hosts"), "{error}");
    }
    assert_eq!(sshd.logins(), 0);
    assert_eq!(
        fs::read_to_string(sshd.path("known_hosts")).unwrap(),
        "",
        "the key was added"
    );
}

#[tokio::test]
async fn a_changed_host_key_is_named_with_its_line() {
    let Some(sshd) = Sshd::start() else { return };
    make_key(&sshd.path("other"));
    let other = fs::read_to_string(sshd.path("other.pub")).unwrap();
    let line = format!("[127.0.0.1]:{} {other}", sshd.port);
    fs::write(sshd.path("known_hosts"), line).unwrap();
    let (fault, error) = fault(sshd.settings(), "target").await;
    let LoginFault::HostKeyChanged(Some(place)) = fault else {
        panic!("{fault:?}")
    };
    assert!(place.ends_with("known_hosts:1"), "{place}");
    assert!(!error.is_worth_retrying() && !error.is_unreachable());
    assert!(error.to_string().contains("HAS CHANGED"), "{error}");
}

#[tokio::test]
async fn a_refused_key_a_missing_key_and_an_open_key_are_told_apart() {
    let Some(sshd) = Sshd::start() else { return };
    make_key(&sshd.path("stranger"));
    make_key(&sshd.path("open"));
    fs::set_permissions(sshd.path("open"), fs::Permissions::from_mode(0o644)).unwrap();
    // The server would take it; it is our own ssh that must not use it.
    fs::copy(sshd.path("open.pub"), sshd.path("authorized_keys")).unwrap();
    fs::write(sshd.path("rubbish"), "no key").unwrap();
    fs::set_permissions(sshd.path("rubbish"), fs::Permissions::from_mode(0o600)).unwrap();
    for name in ["stranger", "open", "rubbish", "missing"] {
        let folder = sshd.folder.path().display();
        // The first IdentityFile is tried; the good one of the alias must not be.
        let file = sshd.path("ssh_config");
        let mut text = fs::read_to_string(&file).unwrap();
        text.push_str(&format!(
            "Host {name}\nHostName 127.0.0.1\nPort {}\nUser {}\nIdentityFile {folder}/{name}\nIdentitiesOnly yes\n\
             UserKnownHostsFile {folder}/known_hosts\n",
            sshd.port,
            sshd::user()
        ));
        fs::write(&file, text).unwrap();
        let (fault, error) = fault(sshd.settings(), name).await;
        let is_right = match name {
            "stranger" => matches!(fault, LoginFault::PermissionDenied(_)),
            "open" => {
                matches!(&fault, LoginFault::KeyPermissions(path) if path.ends_with("/open"))
            }
            "rubbish" => {
                matches!(&fault, LoginFault::KeyUnusable(path, _) if path.ends_with("/rubbish"))
            }
            _ => matches!(&fault, LoginFault::KeyMissing(path) if path.ends_with("/missing")),
        };
        assert!(is_right, "{name}: {fault:?}");
        assert!(!error.is_worth_retrying() && !error.is_unreachable());
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_unreachable() {
    let Some(sshd) = Sshd::start() else { return };
    let (refused, error) = fault(sshd.settings(), "ssh://127.0.0.1:1").await;
    assert!(matches!(refused, LoginFault::Refused), "{refused:?}");
    assert!(error.is_unreachable() && error.is_worth_retrying());
    let (unknown, error) = fault(sshd.settings(), "nowhere.invalid").await;
    assert!(matches!(unknown, LoginFault::NameUnknown(_)), "{unknown:?}");
    assert!(error.is_unreachable() && error.is_worth_retrying());
}

#[tokio::test]
async fn a_wrong_ssh_config_is_named_and_not_tried_again() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.configure("wrong", "NoSuchOption yes");
    let (fault, error) = fault(sshd.settings(), "wrong").await;
    assert!(
        matches!(&fault, LoginFault::Configuration(line) if line.to_lowercase().contains("nosuchoption")),
        "{fault:?}"
    );
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_the_connect_timeout_and_leaves_no_process() {
    let Some(sshd) = Sshd::start() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut settings = sshd.settings();
    settings.connect_timeout = Duration::from_millis(1500);
    let began = Instant::now();
    let error = deploy::Connections::new(settings)
        .reach(&[to(&format!("ssh://127.0.0.1:{port}"))], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(6), "{error}");
    let SshError::NotReached { failures } = &error else {
        panic!("{error:?}")
    };
    assert!(matches!(failures[0].fault, LoginFault::TimedOut(_)));
    assert!(error.is_unreachable());
    until("ssh has ended", || sshd.masters().is_empty()).await;
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_tried_twice_and_not_faster_than_it_bears() {
    let Some(sshd) = Sshd::start() else { return };
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = rude.local_addr().unwrap().port();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in rude.incoming() {
            drop(stream);
            if sender.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    let error = sshd
        .connections()
        .reach(&[to(&format!("ssh://127.0.0.1:{port}"))], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let knocks: Vec<Instant> = receiver.try_iter().collect();
    assert_eq!(knocks.len(), 2, "{error}");
    assert!(knocks[1] - knocks[0] >= Duration::from_millis(1900));
}

#[tokio::test]
async fn destinations_are_tried_in_order_and_all_failures_are_told() {
    let Some(sshd) = Sshd::start() else { return };
    let away = to("ssh://127.0.0.1:1");
    let connections = sshd.connections();
    let connection = connections
        .reach(&[away.clone(), to("target")], LIMIT)
        .await
        .unwrap();
    assert_eq!(connection.destination().address, "target");
    let error = connections
        .reach(&[away.clone(), to("nowhere.invalid")], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    let text = error.to_string();
    let first = text.find("127.0.0.1:1: connection refused");
    let second = text.find("nowhere.invalid: the host name is unknown");
    assert!(first.is_some() && first < second, "{text}");
    let error = connections.reach(&[], LIMIT).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, SshError::NoDestination));
}

#[tokio::test]
async fn a_fault_of_configuration_is_not_hidden_behind_a_destination_that_is_away() {
    let Some(sshd) = Sshd::start() else { return };
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let error = sshd
        .connections()
        .reach(&[to("target"), to("ssh://127.0.0.1:1")], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(!error.is_unreachable(), "{error}");
    assert!(error.is_worth_retrying(), "{error}");
}

#[tokio::test]
async fn refused_logins_do_not_follow_one_another_at_once() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.configure("also-target", "");
    fs::write(sshd.path("authorized_keys"), "").unwrap();
    let began = Instant::now();
    let error = sshd
        .connections()
        .reach(&[to("target"), to("also-target")], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(!error.is_worth_retrying(), "{error}");
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn one_login_serves_all_until_a_fresh_one_is_asked_for() {
    let Some(sshd) = Sshd::start() else { return };
    // Also against a user who shares connections himself.
    sshd.configure(
        "shared",
        &format!(
            "ControlMaster auto\nControlPath {}/user-%C\nControlPersist 5",
            sshd.folder.path().display()
        ),
    );
    let connections = sshd.connections();
    let destinations = [to("shared")];
    let (one, two) = tokio::join!(
        connections.reach(&destinations, LIMIT),
        connections.reach(&destinations, LIMIT)
    );
    assert_eq!(one.unwrap().control_socket(), two.unwrap().control_socket());
    let third = connections.reach(&destinations, LIMIT).await.unwrap();
    assert_eq!(echo(&third, &["a"]).await, b"a\0");
    assert_eq!(sshd.logins(), 1);
    let fresh = connections.reach_fresh(&destinations, LIMIT).await.unwrap();
    assert_eq!(echo(&fresh, &["b"]).await, b"b\0");
    assert_eq!(sshd.logins(), 2);
    assert_ne!(fresh.control_socket(), third.control_socket());
    drop(fresh);
    until("the fresh login ends", || sshd.masters().len() == 1).await;
    connections.forget("shared");
    drop((third, connections));
    until("the warm login ends", || sshd.masters().is_empty()).await;
    assert_eq!(fs::read_dir(sshd.path("c")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_master_that_was_killed_is_noticed_and_replaced() {
    let Some(sshd) = Sshd::start() else { return };
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    let running = connection.run(shell("sleep 1000"));
    let killing = async {
        until("the command runs", || {
            !processes(|words| words[0] == "sleep" && words.get(1).is_some_and(|n| n == "1000"))
                .is_empty()
        })
        .await;
        for master in sshd.masters() {
            let status = std::process::Command::new("kill")
                .args(["-9", &master.to_string()])
                .status()
                .unwrap();
            assert!(status.success());
        }
    };
    let (result, ()) = tokio::join!(running, killing);
    let error = result.unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error:?}");
    assert!(error.is_unreachable() && error.is_worth_retrying());
    let error = connection.run(shell("true")).await.unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error:?}");
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    assert_eq!(echo(&connection, &["back"]).await, b"back\0");
    assert_eq!(sshd.logins(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_commands_at_once_never_need_an_eleventh_session() {
    let Some(sshd) = Sshd::start_with("MaxSessions 10") else {
        return;
    };
    let mut settings = sshd.settings();
    settings.max_sessions = 10;
    let connections = deploy::Connections::new(settings);
    let count = sshd.path("count");
    fs::create_dir(&count).unwrap();
    let script = format!(
        "cd {} && touch $$ && ls | wc -l && sleep 0.1 && rm $$",
        count.display()
    );
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
        let at_once: usize = String::from_utf8(command.await.unwrap())
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        most = most.max(at_once);
    }
    assert!((2..=10).contains(&most), "{most} at once");
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
async fn a_session_that_the_server_refuses_is_named() {
    let Some(sshd) = Sshd::start_with("MaxSessions 1") else {
        return;
    };
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
    let Some(sshd) = Sshd::start() else { return };
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
    let Some(sshd) = Sshd::start() else { return };
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
async fn a_connection_on_which_a_command_was_given_up_is_not_given_out_again() {
    let Some(sshd) = Sshd::start() else { return };
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    let slow = shell("sleep 60; true").timeout(Duration::from_millis(300));
    let error = connection.run(slow).await.unwrap_err();
    assert!(
        matches!(error, SshError::CommandTimedOut { .. }),
        "{error:?}"
    );
    let next = connections.reach(&[to("target")], LIMIT).await.unwrap();
    assert_ne!(next.control_socket(), connection.control_socket());
    // Who still holds it can go on.
    assert_eq!(echo(&connection, &["x"]).await, b"x\0");
    assert_eq!(sshd.masters().len(), 2);
    drop(connection);
    until("the worn master ends", || sshd.masters().len() == 1).await;
    assert_eq!(sshd.logins(), 2);
}

#[tokio::test]
async fn a_dead_link_is_noticed() {
    let Some(sshd) = Sshd::start() else { return };
    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = relay.local_addr().unwrap().port();
    let target = sshd.port;
    let (cut, is_cut) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = relay.accept().await {
            let mut is_cut = is_cut.clone();
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(("127.0.0.1", target))
                    .await
                    .unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    // Both ends stay open, and nothing passes any more.
                    _ = is_cut.changed() => std::future::pending().await,
                }
            });
        }
    });
    sshd.configure(
        "relayed",
        &format!("Port {port}\nHostKeyAlias [127.0.0.1]:{target}"),
    );
    let connections = sshd.connections();
    let connection = connections.reach(&[to("relayed")], LIMIT).await.unwrap();
    assert_eq!(echo(&connection, &["x"]).await, b"x\0");
    cut.send(true).unwrap();
    let began = Instant::now();
    let error = connection
        .run(shell("true").timeout(Duration::from_secs(60)))
        .await
        .unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error:?}");
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_jump_host_is_gone_through_and_its_failure_is_named() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.configure("behind", "ProxyJump target");
    sshd.configure("lost", "ProxyJump nowhere.invalid");
    let connections = sshd.connections();
    let connection = connections.reach(&[to("behind")], LIMIT).await.unwrap();
    assert_eq!(echo(&connection, &["x"]).await, b"x\0");
    assert_eq!(sshd.logins(), 2);
    let (fault, error) = fault(sshd.settings(), "lost").await;
    assert!(matches!(fault, LoginFault::Proxy(_)), "{fault:?}");
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn sudo_is_used_only_where_it_is_needed_and_its_refusals_are_named() {
    let Some(sshd) = Sshd::start() else { return };
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
        let sshd =
            Sshd::start_with(&format!("SetEnv PATH={folder}/{name}-bin:/usr/bin:/bin")).unwrap();
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

#[tokio::test]
async fn a_control_directory_that_is_too_deep_is_named() {
    let Some(sshd) = Sshd::start() else { return };
    let mut settings = sshd.settings();
    settings.control_directory = sshd.path(&"deep".repeat(20));
    let (fault, error) = fault(settings, "target").await;
    assert!(
        matches!(fault, LoginFault::ControlPathTooLong(_)),
        "{fault:?}"
    );
    assert!(!error.is_worth_retrying());
}
