//! Logging in to a real sshd, and every reason why it can fail.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::sshd::{LIMIT, Sshd, echo, make_key, to, until};
use deploy::{LoginFault, SshError, SshSettings};

/// What is wrong with a host that has one destination.
async fn failure(settings: SshSettings, address: &str) -> SshError {
    let connections = deploy::Connections::new(settings);
    let result = connections.reach(&[to(address)], LIMIT).await;
    result.map(|_| ()).unwrap_err()
}

fn fault(error: &SshError) -> &LoginFault {
    match error {
        SshError::NotReached { failures } if failures.len() == 1 => &failures[0].fault,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_host_whose_key_is_not_known_is_not_trusted() {
    let sshd = Sshd::start();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    // Not even when the user's file says so.
    sshd.configure("careless", "StrictHostKeyChecking no");
    for address in ["target", "careless"] {
        let error = failure(sshd.settings(), address).await;
        let fault = fault(&error);
        assert!(matches!(fault, LoginFault::HostKeyUnknown), "{fault:?}");
        assert!(!error.is_worth_retrying() && !error.is_unreachable());
        assert!(error.is_access_refused());
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
    let sshd = Sshd::start();
    make_key(&sshd.path("other"));
    let other = fs::read_to_string(sshd.path("other.pub")).unwrap();
    let line = format!("[127.0.0.1]:{} {other}", sshd.port);
    fs::write(sshd.path("known_hosts"), line).unwrap();
    let error = failure(sshd.settings(), "target").await;
    let LoginFault::HostKeyChanged(Some(place)) = fault(&error) else {
        panic!("{error:?}")
    };
    assert!(place.ends_with("known_hosts:1"), "{place}");
    assert!(!error.is_worth_retrying() && !error.is_unreachable());
    assert!(error.to_string().contains("HAS CHANGED"), "{error}");
}

#[tokio::test]
async fn a_refused_key_a_missing_key_and_an_open_key_are_told_apart() {
    let sshd = Sshd::start();
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
            crate::sshd::user()
        ));
        fs::write(&file, text).unwrap();
        let error = failure(sshd.settings(), name).await;
        let fault = fault(&error);
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
        assert!(error.is_access_refused());
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_unreachable() {
    let sshd = Sshd::start();
    let error = failure(sshd.settings(), "ssh://127.0.0.1:1").await;
    let refused = fault(&error);
    assert!(matches!(refused, LoginFault::Refused), "{refused:?}");
    assert!(error.is_unreachable() && error.is_worth_retrying());
    let error = failure(sshd.settings(), "nowhere.invalid").await;
    let unknown = fault(&error);
    assert!(matches!(unknown, LoginFault::NameUnknown(_)), "{unknown:?}");
    assert!(error.is_unreachable() && error.is_worth_retrying());
    assert!(!error.is_access_refused());
}

#[tokio::test]
async fn a_wrong_ssh_config_is_named_and_not_tried_again() {
    let sshd = Sshd::start();
    sshd.configure("wrong", "NoSuchOption yes");
    let error = failure(sshd.settings(), "wrong").await;
    let fault = fault(&error);
    assert!(
        matches!(&fault, LoginFault::Configuration(line) if line.to_lowercase().contains("nosuchoption")),
        "{fault:?}"
    );
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_the_connect_timeout_and_leaves_no_process() {
    let sshd = Sshd::start();
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
    assert!(error.is_unreachable() && !error.is_timeout());
    until("ssh has ended", || sshd.masters().is_empty()).await;
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_tried_twice_and_not_faster_than_it_bears() {
    let sshd = Sshd::start();
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
    let sshd = Sshd::start();
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
async fn a_silent_destination_does_not_use_up_the_time_of_the_next() {
    let sshd = Sshd::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let destinations = [to(&format!("ssh://127.0.0.1:{port}")), to("target")];
    let connections = sshd.connections();
    let limit = Duration::from_secs(3);
    let connection = connections.reach(&destinations, limit).await.unwrap();
    assert_eq!(connection.destination().address, "target");
    // And the next time it is not even asked.
    let began = Instant::now();
    connections.reach(&destinations, limit).await.unwrap();
    assert!(began.elapsed() < limit);
}

#[tokio::test]
async fn a_fault_of_configuration_is_not_hidden_behind_a_destination_that_is_away() {
    let sshd = Sshd::start();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let error = sshd
        .connections()
        .reach(&[to("target"), to("ssh://127.0.0.1:1")], LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(!error.is_unreachable(), "{error}");
    assert!(error.is_access_refused(), "{error}");
    assert!(error.is_worth_retrying(), "{error}");
}

#[tokio::test]
async fn refused_logins_do_not_follow_one_another_at_once() {
    let sshd = Sshd::start();
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
async fn a_jump_host_is_gone_through_and_its_failure_is_named() {
    let sshd = Sshd::start();
    sshd.configure("behind", "ProxyJump target");
    sshd.configure("lost", "ProxyJump nowhere.invalid");
    let connections = sshd.connections();
    let connection = connections.reach(&[to("behind")], LIMIT).await.unwrap();
    assert_eq!(echo(&connection, &["x"]).await, b"x\0");
    assert_eq!(sshd.logins(), 2);
    let error = failure(sshd.settings(), "lost").await;
    let fault = fault(&error);
    assert!(matches!(fault, LoginFault::Proxy(_)), "{fault:?}");
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn a_jump_host_is_gone_through_whatever_the_login_shell_of_our_user_is() {
    // The variable is the process's own, so the test runs in another one.
    if std::env::var("SHELL").is_ok_and(|shell| shell == "/bin/false") {
        let sshd = Sshd::start();
        sshd.configure("behind", "ProxyJump target");
        let connections = sshd.connections();
        connections.reach(&[to("behind")], LIMIT).await.unwrap();
        return;
    }
    let name = "logins::a_jump_host_is_gone_through_whatever_the_login_shell_of_our_user_is";
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
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
async fn what_a_server_says_before_it_lets_us_in_is_told() {
    let banner = tempfile::NamedTempFile::new().unwrap();
    fs::write(banner.path(), "Sign in at https://login.example/a/1234\n").unwrap();
    // It speaks, and then does not come to an end with our key.
    let sshd = Sshd::start_with(&format!(
        "Banner {}\nAuthorizedKeysFile none\nAuthorizedKeysCommand /bin/sleep 10\nAuthorizedKeysCommandUser {}",
        banner.path().display(),
        crate::sshd::user()
    ));
    let mut settings = sshd.settings();
    settings.connect_timeout = Duration::from_secs(2);
    let error = failure(settings, "target").await;
    let fault = fault(&error);
    assert!(
        matches!(fault, LoginFault::NotLetIn { said, .. } if said == "Sign in at https://login.example/a/1234"),
        "{fault:?}"
    );
    assert!(error.is_worth_retrying() && error.is_unreachable());
}

#[tokio::test]
async fn a_control_directory_that_is_too_deep_is_named() {
    let sshd = Sshd::start();
    let mut settings = sshd.settings();
    settings.control_directory = sshd.path(&"deep".repeat(20));
    let error = failure(settings, "target").await;
    let fault = fault(&error);
    assert!(
        matches!(fault, LoginFault::ControlPathTooLong(_)),
        "{fault:?}"
    );
    assert!(!error.is_worth_retrying());
}
