//! Every fetch ends, and leaves nothing running: whatever the server does, and whoever gives up.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use desired_state::{Mirror, MirrorError, RemoteFailure};

use crate::sshd::{Sshd, public};
use crate::support::{branch, noise, processes_with, wait_until};

/// A limit that a test waits out.
const SHORT: Duration = Duration::from_secs(2);

/// A limit that a test waits out after a server was reached, on a busy machine too.
const LONGER: Duration = Duration::from_secs(8);

/// How much later than its limit a fetch may return: the grace, and a busy machine.
const LATE: Duration = Duration::from_secs(5);

/// Fetches, and sees that it ends at its limit with nothing left running.
async fn ends_at_its_limit(sshd: &Sshd, mirror: &Mirror) {
    let started = Instant::now();
    let error = mirror.fetch().await.unwrap_err();
    let took = started.elapsed();
    assert!(matches!(error, MirrorError::TimedOut { .. }), "{error:?}");
    assert!(error.is_worth_retrying());
    assert!(took >= SHORT && took < SHORT + LATE, "{took:?}");
    wait_until("ssh has ended", || sshd.clients() == 0);
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_left_at_the_limit() {
    let sshd = Sshd::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "ssh://git@127.0.0.1:{}/a.git",
        silent.local_addr().unwrap().port()
    );
    // Longer than the ConnectTimeout, which covers the banner, would end as NoAnswer: here both end together.
    let mirror = sshd.world.mirror_of(&url, sshd.access(), SHORT);
    let started = Instant::now();
    let error = mirror.fetch().await.unwrap_err();
    assert!(started.elapsed() < SHORT + LATE);
    let is_silence = matches!(
        error,
        MirrorError::TimedOut { .. }
            | MirrorError::Remote {
                failure: RemoteFailure::NoAnswer,
                ..
            }
    );
    assert!(is_silence, "{error:?}");
    wait_until("ssh has ended", || sshd.clients() == 0);
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_is_left_at_the_limit() {
    let sshd = Sshd::with_forced_command("printf 0100; sleep 30");
    ends_at_its_limit(&sshd, &sshd.mirror_within(SHORT)).await;
}

#[tokio::test]
async fn a_server_that_is_only_asked_is_left_at_the_limit_of_the_question() {
    let sshd = Sshd::with_forced_command("printf 0100; sleep 30");
    let mirror = sshd.mirror_within(Duration::from_secs(60));
    let error = mirror.ask(SHORT).await.unwrap_err();
    assert!(
        matches!(error, MirrorError::TimedOut { limit, .. } if limit == SHORT),
        "{error:?}"
    );
    wait_until("ssh has ended", || sshd.clients() == 0);
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_of_a_pack_is_left_at_the_limit_and_the_next_fetch_is_whole()
 {
    let sshd = Sshd::new();
    let noise = noise(400_000);
    fs::write(sshd.world.source().join("noise"), noise).unwrap();
    let second = sshd.world.commit("noise");
    let honest = fs::read_to_string(sshd.world.path("authorized_keys")).unwrap();
    sshd.force(&format!(
        // Whoever only asks for the branches gets all there is, and its end.
        "git-upload-pack {} | (dd bs=1 count=100000 status=none; read -r more && sleep 30)",
        sshd.world.source().display()
    ));
    let error = sshd.mirror_within(LONGER).fetch().await.unwrap_err();
    assert!(matches!(error, MirrorError::TimedOut { .. }), "{error:?}");
    wait_until("ssh has ended", || sshd.clients() == 0);
    assert!(
        error.to_string().contains(" objects: "),
        "it says how far it came: {error}"
    );
    assert!(
        !sshd.world.path("mirror").exists(),
        "half a clone is no mirror"
    );

    fs::write(sshd.world.path("authorized_keys"), honest).unwrap();
    let mirror = sshd.mirror();
    assert!(!mirror.fetch().await.unwrap().recloned);
    assert_eq!(mirror.tip(&branch("main")).await.unwrap(), Some(second));
    assert!(!sshd.world.path("mirror.new").exists());
}

#[tokio::test]
async fn a_first_clone_that_takes_long_ends_well_as_long_as_something_comes() {
    let sshd = Sshd::new();
    fs::write(sshd.world.source().join("noise"), noise(400_000)).unwrap();
    let second = sshd.world.commit("noise");
    let trickle = "import sys, time\n\
                   for part in iter(lambda: sys.stdin.buffer.read1(16384), b''):\n\
                   \x20 sys.stdout.buffer.write(part); sys.stdout.buffer.flush(); time.sleep(0.5)\n";
    fs::write(sshd.world.path("trickle.py"), trickle).unwrap();
    sshd.force(&format!(
        "git-upload-pack {} | python3 {}",
        sshd.world.source().display(),
        sshd.world.path("trickle.py").display()
    ));
    let mirror = sshd.mirror_within(LONGER);
    let started = Instant::now();
    mirror.fetch().await.unwrap();
    assert!(started.elapsed() > LONGER, "the test has shown something");
    assert_eq!(mirror.tip(&branch("main")).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_of_a_pack_is_named_with_how_far_it_came() {
    let sshd = Sshd::new();
    fs::write(sshd.world.source().join("noise"), noise(400_000)).unwrap();
    sshd.world.commit("noise");
    sshd.force(&format!(
        "git-upload-pack {} | (dd bs=1 count=100000 status=none; echo '** WARNING: of ssh' >&2; exit 1)",
        sshd.world.source().display()
    ));
    let error = sshd.mirror().fetch().await.unwrap_err();
    let is_lost = matches!(
        &error,
        MirrorError::Remote {
            failure: RemoteFailure::ConnectionLost,
            ..
        }
    );
    assert!(is_lost && error.is_worth_retrying(), "{error:?}");
    let said = error.to_string();
    assert!(
        said.contains(" objects: ") && !said.contains("WARNING"),
        "{said}"
    );
}

#[tokio::test]
async fn a_server_that_never_stops_talking_is_left_at_the_limit_and_little_is_kept() {
    let sshd = Sshd::with_forced_command("yes this-is-noise >&2");
    let mirror = sshd.mirror_within(LONGER);
    let error = mirror.fetch().await.unwrap_err();
    assert!(matches!(error, MirrorError::TimedOut { .. }), "{error:?}");
    assert!(error.to_string().contains("this-is-noise"), "{error}");
    assert!(error.to_string().len() < 2000);
    wait_until("ssh has ended", || sshd.clients() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_ends_with_its_ssh() {
    let sshd = Sshd::new();
    let marker = format!("6{}", sshd.port);
    let config = format!("Host *\n  ProxyCommand sh -c 'sleep {marker}; true'\n");
    let mirror = sshd.mirror_with_config(&sshd.url(), &config, SHORT);
    let marker = format!("sleep\0{marker}");
    let fetch = tokio::spawn(async move { mirror.fetch().await });
    wait_until("the proxy runs", || processes_with(&marker) > 0);
    fetch.await.unwrap().unwrap_err();
    wait_until("the proxy has ended", || processes_with(&marker) == 0);
    wait_until("ssh has ended", || sshd.clients() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_fetch_ends_its_ssh_and_lets_the_next_one_in() {
    let sshd = Sshd::with_forced_command("sleep 30");
    let mirror = sshd.mirror();
    let fetch = tokio::spawn({
        let mirror = mirror.clone();
        async move { mirror.fetch().await }
    });
    wait_until("ssh runs", || sshd.clients() > 0);
    fetch.abort();
    wait_until("ssh has ended", || sshd.clients() == 0);
    fs::write(
        sshd.world.path("authorized_keys"),
        public(&sshd.world.path("key")),
    )
    .unwrap();
    mirror.fetch().await.unwrap();
}
