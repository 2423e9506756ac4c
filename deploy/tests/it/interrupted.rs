//! Activations on the test bed's real hosts whose start or whose connection is cut off.

use std::time::{Duration, Instant};

use crate::activation::{assert_clean, request, running};
use crate::fleet::{Host, LIMIT};
use deploy::{
    Action, ActivationVerdict, Outcome, Started, SwitchLock, clean_up, observe, start, wait,
};

#[tokio::test]
async fn an_activation_goes_on_when_the_connection_is_lost_and_is_found_again() {
    let host = Host::lease("uConsole");
    let destinations = host.as_root();
    let connections = host.connections();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let old = running(&connection).await;
    let new = host.build(|system| system.seconds = 4);
    let request = request(Action::Switch, &new, &old);
    start(&connection, &request).await.unwrap();
    let waiting = wait(&connection, &request.id, LIMIT);
    let (lost, ()) = tokio::join!(waiting, async {
        host.until("units are stopped", "test -s /run/nixos/start-list")
            .await;
        host.kill_masters();
    });
    assert!(lost.unwrap_err().is_worth_retrying());
    // A daemon that was killed and started anew knows nothing but the id.
    let connections = host.connections();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let half = observe(&connection, LIMIT).await.unwrap();
    assert!(half.unfinished_lists);
    assert!(
        matches!(&half.switch_lock, SwitchLock::Held { by } if by.contains("switch-to-configuration test") && by.contains(&format!("reconcile-{}.service", request.id))),
        "{half:?}"
    );
    assert_eq!(half.deployments[0].unit_state, "active");
    let early = wait(&connection, &request.id, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(early.verdict, ActivationVerdict::StillRunning, "{early:?}");
    assert_eq!(Outcome::of_activation(&early), None);
    assert_eq!(
        start(&connection, &request).await.unwrap(),
        Started::Already
    );
    let report = wait(&connection, &request.id, LIMIT).await.unwrap();
    assert_eq!(report.verdict, ActivationVerdict::Done, "{report:?}");
    assert_eq!(host.begun("test", &new), 1);
    assert_eq!(running(&connection).await, new);
    assert_clean(&host, &connection, &request.id).await;
    // What is gone (a reboot empties /run) is an answer too.
    let gone = wait(&connection, &request.id, LIMIT).await.unwrap();
    assert_eq!(gone.verdict, ActivationVerdict::Vanished);
    assert_eq!(gone.boot_id, half.boot_id);
}

#[tokio::test]
async fn an_activation_goes_on_while_the_network_is_cut() {
    let host = Host::lease("cyt-pi");
    let destinations = host.as_root();
    let connections = host.connections();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let old = running(&connection).await;
    let new = host.build(|system| system.seconds = 2);
    let request = request(Action::Test, &new, &old);
    start(&connection, &request).await.unwrap();
    let began = Instant::now();
    let lost = {
        host.cut_network().unwrap();
        let lost = wait(&connection, &request.id, LIMIT).await;
        host.restore_network().unwrap();
        lost
    };
    assert!(lost.unwrap_err().is_worth_retrying());
    assert!(began.elapsed() < Duration::from_secs(25));
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let report = wait(&connection, &request.id, LIMIT).await.unwrap();
    assert_eq!(report.verdict, ActivationVerdict::Done, "{report:?}");
    assert_clean(&host, &connection, &request.id).await;
}

#[tokio::test]
async fn whenever_a_start_is_cut_off_a_second_one_makes_it_exactly_one() {
    cut_starts(10).await;
}

#[tokio::test]
#[ignore = "long"]
async fn a_start_that_is_cut_off_at_forty_instants_is_one_activation_each_time() {
    cut_starts(40).await;
}

/// So many instants of the 60 ms that a start takes.
async fn cut_starts(instants: usize) {
    let host = Host::lease("spare");
    let destinations = host.as_root();
    let connections = host.connections();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let old = running(&connection).await;
    let new = host.build(|_| {});
    for (count, microseconds) in (1..).zip((0..60_000).step_by(60_000 / instants)) {
        let request = request(Action::DryActivate, &new, &old);
        let connection = connections.reach(&destinations, LIMIT).await.unwrap();
        let (first, ()) = tokio::join!(start(&connection, &request), async {
            tokio::time::sleep(Duration::from_micros(microseconds)).await;
            host.kill_masters();
        });
        drop(connection);
        let connection = connections.reach(&destinations, LIMIT).await.unwrap();
        let second = start(&connection, &request).await.unwrap();
        println!("cut after {microseconds} µs: {first:?}, then {second:?}");
        let report = wait(&connection, &request.id, LIMIT).await.unwrap();
        assert_eq!(
            report.verdict,
            ActivationVerdict::Done,
            "cut after {microseconds} µs: {report:?}"
        );
        assert!(report.output_tail.contains("would restart"), "{report:?}");
        assert_eq!(
            host.begun("dry-activate", &new),
            count,
            "cut after {microseconds} µs"
        );
        clean_up(&connection, &request.id).await.unwrap();
    }
    // The same start five times at once.
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let request = request(Action::Test, &new, &old);
    let all = futures::future::join_all((0..5).map(|_| start(&connection, &request))).await;
    let fresh = all
        .into_iter()
        .filter(|one| matches!(one, Ok(Started::New)))
        .count();
    assert_eq!(fresh, 1);
    let report = wait(&connection, &request.id, LIMIT).await.unwrap();
    assert_eq!(report.verdict, ActivationVerdict::Done);
    assert_eq!(host.begun("test", &new), 1);
    assert_clean(&host, &connection, &request.id).await;
}
