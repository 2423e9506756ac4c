//! Asks over HTTP as a script would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Whoever has not answered by then does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `POST`.
    pub method: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// Other headers, a line each.
    pub headers: &'a [&'a str],
    /// What is sent.
    pub body: &'a str,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header `Content-Type`.
    pub kind: String,
    /// All that came.
    pub body: String,
}

/// Asks at an address.
pub fn ask_at(address: &str, request: Request<'_>) -> Answer {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    ask(stream, request)
}

/// Asks at a socket.
pub fn ask_socket(socket: &Path, request: Request<'_>) -> Answer {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    ask(stream, request)
}

/// HTTP/1.0: the answer is as it is, and ends with the connection.
fn ask(mut stream: impl Read + Write, request: Request<'_>) -> Answer {
    let Request {
        method,
        path,
        headers,
        body,
    } = request;
    let mut text = format!(
        "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    stream
        .write_all(format!("{text}\r\n{body}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-type")
            .then(|| value.to_owned())
    });
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        kind: kind.unwrap_or_default(),
        body: body.to_owned(),
    }
}
