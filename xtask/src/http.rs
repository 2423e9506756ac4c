//! HTTP/1.1 by hand: deliveries need their headers in Gitea's order and capitalisation, which no client library keeps.

mod answer;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub use answer::Answer;
use answer::{End, parse};

/// Answers of the test bed's servers are short; anything longer is a mistake.
const ANSWER_BYTES: usize = 8 << 20;

/// An `http://host:port/path` address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`, as the `Host` header has it.
    pub authority: String,
    /// From the slash on.
    pub path: String,
}

impl Address {
    /// Takes an address apart.
    ///
    /// # Errors
    /// When it is not plain HTTP.
    pub fn parse(url: &str) -> Result<Self> {
        let rest = url
            .strip_prefix("http://")
            .with_context(|| format!("{url} is not a plain HTTP address"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }

    fn resolve(&self) -> Result<SocketAddr> {
        let named = if self.authority.contains(':') {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        };
        named
            .to_socket_addrs()?
            .next()
            .with_context(|| format!("{} has no address", self.authority))
    }
}

/// Sends one request on a connection of its own, headers exactly as given, and reads the answer.
///
/// # Errors
/// When the whole of it, from connecting to the answer's last byte, takes longer than `limit`, or is not HTTP.
pub fn request(
    method: &str,
    address: &Address,
    headers: &[(String, String)],
    body: &[u8],
    limit: Duration,
) -> Result<Answer> {
    let start = Instant::now();
    let left = || {
        let left = limit.saturating_sub(start.elapsed());
        ensure!(!left.is_zero(), "no answer within {limit:?}");
        Ok(left)
    };
    let mut stream = TcpStream::connect_timeout(&address.resolve()?, left()?)
        .with_context(|| format!("cannot connect to {}", address.authority))?;
    stream.set_write_timeout(Some(left()?))?;
    let mut head = format!("{method} {} HTTP/1.1\r\n", address.path);
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    // A server may refuse and close before it has read everything; its answer is still there to be read.
    let sent = stream.write_all(&bytes);
    let mut received = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        if let Some(answer) = parse(&received, End::NotYet)? {
            return Ok(answer);
        }
        ensure!(
            received.len() <= ANSWER_BYTES,
            "an answer of more than {ANSWER_BYTES} bytes"
        );
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => left().map(drop)?,
            Err(error) => return Err(error).context("the connection broke before the answer"),
        }
    }
    sent.context("the connection broke in the request")?;
    match parse(&received, End::Closed)? {
        Some(answer) => Ok(answer),
        None => bail!("EOF after {} bytes of an answer", received.len()),
    }
}

/// Gets a page.
///
/// # Errors
/// As [`request`].
pub fn get(url: &str, limit: Duration) -> Result<Answer> {
    let address = Address::parse(url)?;
    let headers = [
        ("Host".to_owned(), address.authority.clone()),
        ("Connection".to_owned(), "close".to_owned()),
    ];
    request("GET", &address, &headers, &[], limit)
}
