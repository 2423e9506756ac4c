//! Slow, impatient and crowding senders, and how a server stops.
//!
//! The clock is paused where a limit is a duration: it jumps to the next timer as soon as
//! nothing else can happen, so minutes pass in no time and a limit can be measured exactly.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use warp::Filter;
use webhook::Limits;

use crate::harness::{Bell, Recording, Sent};
use crate::server::{PATIENCE, Server, status, to_end};

#[tokio::test(start_paused = true)]
async fn an_oversize_body_that_is_announced_and_never_sent_is_refused_all_the_same() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let mut announced = Sent::push().head();
    announced.extend(b"content-length: 99999999999\r\n\r\n");
    assert_eq!(status(&server.talk(&announced).await), "413");
    assert_eq!(bell.take_answered(), [("push", "too_large")]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_never_finishes_the_head_is_cut_after_the_header_timeout() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    for beginning in [&b""[..], b"P", b"POST /hook HTTP/1.1\r\nhost: x\r\n"] {
        let start = Instant::now();
        server.talk(beginning).await;
        let took = start.elapsed();
        assert!(
            (4..5).contains(&took.as_secs()),
            "{took:?} after {beginning:?}"
        );
    }
    assert_eq!(bell.take_answered(), []);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_is_cut_although_it_never_stops() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        let head = Sent::push().head();
        for byte in head.iter().cycle() {
            sleep(Duration::from_millis(100)).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    });
    let start = Instant::now();
    to_end(&mut reader).await;
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    trickle.abort();
    assert_eq!(bell.rung(), []);
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_never_finishes_the_body_is_cut_after_the_request_timeout() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let wire = Sent::push().wire();
    let (beginning, last) = wire.split_at(wire.len() - 1);
    assert_eq!(last.len(), 1);
    let start = Instant::now();
    let answer = server.talk(beginning).await;
    let took = start.elapsed();
    assert_eq!(status(&answer), "408");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!((4..5).contains(&took.as_secs()), "{took:?}");
    assert_eq!(bell.rung(), []);
    assert_eq!(bell.take_answered(), [("push", "abandoned")]);
}

#[tokio::test(start_paused = true)]
async fn a_bell_that_hangs_is_given_up_and_its_delivery_not_accepted() {
    let bell = Bell::new(Recording::Waits(Semaphore::new(0)));
    let server = Server::start(&bell, Limits::HOOK).await;
    assert_eq!(status(&server.talk(&Sent::push().wire()).await), "408");
    assert_eq!(bell.rung(), []);
    assert_eq!(bell.take_answered(), [("push", "abandoned")]);
}

#[tokio::test]
async fn a_graceful_stop_lets_the_running_request_finish() {
    let bell = Bell::new(Recording::Waits(Semaphore::new(0)));
    let mut server = Server::start(&bell, Limits::HOOK).await;
    let mut socket = server.connect().await;
    socket.write_all(&Sent::push().wire()).await.unwrap();
    let mut idle = server.connect().await;
    // Bytes travel in order, so a later request that is answered means that the first runs.
    assert_eq!(status(&server.talk(b"GET / HTTP/1.1\r\n\r\n").await), "404");
    server.stop();
    until_refused(server.address).await;
    let Recording::Waits(permits) = &bell.recording else {
        unreachable!()
    };
    permits.add_permits(1);
    assert_eq!(status(&to_end(&mut socket).await), "202");
    assert_eq!(to_end(&mut idle).await, "");
    server.stopped().await;
    assert_eq!(bell.rung().len(), 1);
}

async fn until_refused(address: SocketAddr) {
    let waiting = async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("still listening");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_outlasts_the_grace_period_is_cut() {
    let bell = Bell::new(Recording::Waits(Semaphore::new(0)));
    let limits = Limits {
        request_timeout: None,
        ..Limits::HOOK
    };
    let mut server = Server::start(&bell, limits).await;
    let mut socket = server.connect().await;
    socket.write_all(&Sent::push().wire()).await.unwrap();
    assert_eq!(status(&server.talk(b"GET / HTTP/1.1\r\n\r\n").await), "404");
    let start = Instant::now();
    server.stop();
    assert_eq!(to_end(&mut socket).await, "");
    server.stopped().await;
    assert!(
        (5..6).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
    assert!(bell.take_answered().contains(&("push", "abandoned")));
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_seat() {
    let bell = Bell::new(Recording::Waits(Semaphore::new(0)));
    let limits = Limits {
        connections: 2,
        ..Limits::HOOK
    };
    let server = Server::start(&bell, limits).await;
    let mut seated = [server.connect().await, server.connect().await];
    for socket in &mut seated {
        socket.write_all(&Sent::push().wire()).await.unwrap();
    }
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // There is nothing to wait for where nothing may happen; this would be an answer's time.
    let early = timeout(Duration::from_millis(300), waiting.read_u8()).await;
    assert!(early.is_err(), "a third connection was served");
    let Recording::Waits(permits) = &bell.recording else {
        unreachable!()
    };
    permits.add_permits(2);
    assert_eq!(status(&to_end(&mut waiting).await), "404");
    for socket in &mut seated {
        assert_eq!(status(&to_end(socket).await), "202");
    }
}

#[tokio::test(start_paused = true)]
async fn silent_connections_give_their_seats_back() {
    let bell = Bell::working();
    let limits = Limits {
        connections: 3,
        ..Limits::HOOK
    };
    let server = Server::start(&bell, limits).await;
    let silent = [
        server.connect().await,
        server.connect().await,
        server.connect().await,
    ];
    assert_eq!(status(&server.talk(&Sent::push().wire()).await), "202");
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_does_not_read_its_answer_is_cut() {
    let routes = warp::any().map(|| "x".repeat(50_000_000));
    let limits = Limits {
        connections: 1,
        ..Limits::HOOK
    };
    let server = Server::start_with(routes, limits).await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // The only seat: this one is served only once the first has been cut.
    let mut next = server.connect().await;
    next.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    timeout(PATIENCE, next.read_u8()).await.unwrap().unwrap();
}
