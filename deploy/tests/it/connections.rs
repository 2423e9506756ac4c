//! How long a connection to a real sshd lives, and who shares it.

use std::fs;
use std::time::{Duration, Instant};

use crate::sshd::{LIMIT, Sshd, echo, processes, shell, to, until};
use deploy::{SshError, SshSettings};

#[tokio::test]
async fn one_login_serves_all_until_a_fresh_one_is_asked_for() {
    let sshd = Sshd::start();
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

/// Longer than a master outlives whoever has left it.
const IDLE: Duration = Duration::from_secs(13);

#[tokio::test]
async fn a_connection_that_is_held_stays_however_long_it_is_idle() {
    let sshd = Sshd::start();
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    tokio::time::sleep(IDLE).await;
    assert_eq!(echo(&connection, &["x"]).await, b"x\0");
    assert_eq!(sshd.logins(), 1);
}

/// Not a test: what the next one kills.
#[tokio::test]
#[ignore = "the other half of a_killed_process_leaves_no_master_for_long"]
async fn connect_and_stay() {
    let Some(folder) = std::env::var_os("SSHD_FOLDER") else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let connections = deploy::Connections::new(SshSettings {
        config_file: Some(folder.join("ssh_config")),
        control_directory: folder.join("c"),
        connect_timeout: LIMIT,
        max_sessions: 8,
    });
    let _connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_process_leaves_no_master_for_long() {
    let sshd = Sshd::start();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "connections::connect_and_stay"])
        .env("SSHD_FOLDER", sshd.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("it is connected", || {
        sshd.logins() == 1 && sshd.masters().len() == 1
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    until("the master has ended", || sshd.masters().is_empty()).await;
}

#[tokio::test]
async fn a_master_that_was_killed_is_noticed_and_replaced() {
    let sshd = Sshd::start();
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    let sleepers = Sleepers("1000.25");
    let running = connection.run(shell("sleep 1000.25"));
    let killing = async {
        until("the command runs", || !sleepers.find().is_empty()).await;
        sshd.masters().into_iter().for_each(kill);
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

/// The commands `sleep <seconds>`, which go on without us, as on a real host; ended at the end.
struct Sleepers(&'static str);

impl Sleepers {
    fn find(&self) -> Vec<i32> {
        processes(|words| words[0] == "sleep" && words.get(1).is_some_and(|n| n == self.0))
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        self.find().into_iter().for_each(kill);
    }
}

fn kill(process: i32) {
    // It may have ended by itself.
    let _ = std::process::Command::new("kill")
        .args(["-9", &process.to_string()])
        .status();
}

#[tokio::test]
async fn a_connection_on_which_a_command_was_given_up_is_not_given_out_again() {
    let sshd = Sshd::start();
    let connections = sshd.connections();
    let connection = connections.reach(&[to("target")], LIMIT).await.unwrap();
    let slow = shell("sleep 60.25; true").timeout(Duration::from_secs(1));
    let error = connection.run(slow).await.unwrap_err();
    assert!(
        matches!(error, SshError::CommandTimedOut { .. }),
        "{error:?}"
    );
    let _other_processes_end = Sleepers("60.25");
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
    let sshd = Sshd::start();
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
