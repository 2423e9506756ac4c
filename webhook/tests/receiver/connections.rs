//! What senders write to a real socket, and what comes back.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use warp::Filter;
use webhook::{Limits, Listener, Peer, serve};

use crate::harness::{BODY_LIMIT, Bell, Sent, recorded};
use crate::server::{Server, status, to_end, until};

#[tokio::test]
async fn a_recorded_delivery_is_accepted_over_tcp_and_the_connection_closed() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let answer = server
        .talk(&recorded("deliveries/gitea-1.26/02-push-first-branch").wire())
        .await;
    assert_eq!(status(&answer), "202");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(!answer.contains("keep-alive"), "{answer}");
    assert_eq!(bell.rung().len(), 1);
}

#[tokio::test]
async fn a_unix_socket_is_served_and_its_user_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = Listener::Unix(UnixListener::bind(&path).unwrap());
    let routes = warp::ext::get::<Peer>().map(|peer: Peer| peer.to_string());
    let server = tokio::spawn(serve(
        listener,
        routes,
        Limits::HOOK,
        std::future::pending(),
    ));
    let mut socket = UnixStream::connect(&path).await.unwrap();
    let user = socket.peer_cred().unwrap().uid();
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let answer = to_end(&mut socket).await;
    assert!(answer.ends_with(&format!("unix, user {user}")), "{answer}");
    server.abort();
}

#[tokio::test]
async fn a_chunked_body_is_read_like_any_other() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let sent = Sent::push();
    let answer = server.talk(&chunked(&sent, 7)).await;
    assert_eq!(status(&answer), "202");
    assert_eq!(bell.rung().len(), 1);
}

fn chunked(sent: &Sent, size: usize) -> Vec<u8> {
    let mut wire = sent.head();
    wire.extend(b"transfer-encoding: chunked\r\n\r\n");
    for chunk in sent.body.chunks(size) {
        wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
        wire.extend(chunk);
        wire.extend(b"\r\n");
    }
    wire.extend(b"0\r\n\r\n");
    wire
}

#[tokio::test]
async fn an_oversize_body_is_refused_whether_its_length_is_announced_or_not() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let sent = Sent::json("push", &" ".repeat(BODY_LIMIT as usize + 1));
    for wire in [sent.wire(), chunked(&sent, 5000)] {
        assert_eq!(status(&server.talk(&wire).await), "413");
    }
    let mut announced = Sent::push().head();
    announced.extend(b"content-length: 99999999999\r\nexpect: 100-continue\r\n\r\n");
    let answer = server.talk(&announced).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(bell.rung(), []);
}

#[tokio::test]
async fn a_refused_sender_may_finish_its_body_before_it_is_answered() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let padded = Sent::push().with("x-gitea-signature", "");
    let padded = padded.with_json(&vec![b' '; BODY_LIMIT as usize]);
    let wire = padded.wire();
    let (beginning, rest) = wire.split_at(5000);
    let mut socket = server.connect().await;
    socket.write_all(beginning).await.unwrap();
    until(|| !bell.answered.lock().unwrap().is_empty()).await;
    // On a closed connection a write this long fails.
    socket.write_all(rest).await.unwrap();
    assert_eq!(status(&to_end(&mut socket).await), "403");
}

#[tokio::test]
async fn many_large_bodies_at_once_are_read_one_after_the_other() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let json = String::from_utf8(Sent::push().body).unwrap();
    let wire = Sent::json("push", &format!("{json}{}", " ".repeat(500_000))).wire();
    let answers = futures::future::join_all((0..8).map(|_| server.talk(&wire))).await;
    assert!(
        answers.iter().all(|answer| status(answer) == "202"),
        "{answers:?}"
    );
    assert_eq!(bell.rung().len(), 8);
}

#[tokio::test]
async fn a_sender_who_hangs_up_in_the_body_is_counted_once_and_rings_nothing() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let wire = Sent::push().wire();
    let mut socket = server.connect().await;
    socket.write_all(&wire[..wire.len() - 1]).await.unwrap();
    drop(socket);
    until(|| !bell.answered.lock().unwrap().is_empty()).await;
    let answered = bell.take_answered();
    assert!(
        matches!(answered[..], [("push", "abandoned" | "body_cut")]),
        "{answered:?}"
    );
    assert_eq!(bell.rung(), []);
}

#[tokio::test]
async fn a_pipelined_second_request_gets_no_answer_and_has_no_effect() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    for first in [Sent::push(), Sent::push().with("x-gitea-signature", "")] {
        let answer = server
            .talk(&[first.wire(), Sent::push().wire()].concat())
            .await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert_eq!(bell.take_answered().len(), 1);
    }
    assert_eq!(bell.rung().len(), 1);
}

#[tokio::test]
async fn a_request_hidden_in_a_body_is_only_a_body() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    let mut wire = Sent::push().with("x-gitea-signature", "").head();
    let hidden = Sent::push().wire();
    wire.extend(
        format!(
            "content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n",
            5
        )
        .bytes(),
    );
    wire.extend(b"0\r\n\r\n");
    wire.extend(hidden);
    let answer = server.talk(&wire).await;
    assert!(matches!(status(&answer), "400" | "403"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(bell.rung(), []);
}

#[tokio::test]
async fn what_is_not_http_is_survived() {
    let bell = Bell::working();
    let server = Server::start(&bell, Limits::HOOK).await;
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..],
        b"\r\n\r\n\r\n\0\0\0\0 x y\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut socket = server.connect().await;
        socket.write_all(junk).await.unwrap();
        socket.shutdown().await.unwrap();
        to_end(&mut socket).await;
    }
    let huge = format!("POST /hook HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let mut socket = server.connect().await;
    let _ = socket.write_all(huge.as_bytes()).await;
    to_end(&mut socket).await;
    assert_eq!(status(&server.talk(&Sent::push().wire()).await), "202");
    assert_eq!(bell.rung().len(), 1);
}

#[tokio::test]
async fn other_routes_may_keep_their_connections() {
    let routes = warp::path("metrics").map(|| "up 1\n");
    let server = Server::start_with(routes, Limits::HOOK).await;
    let mut socket = server.connect().await;
    for _ in 0..3 {
        socket
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"up 1\n") {
            answer.push(socket.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}
