//! HTTP/1.1 by hand: deliveries need their headers in Gitea's order and capitalisation, which no client library keeps.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

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

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Closed,
}

/// Reads an answer if all of it is there.
fn parse(bytes: &[u8], end: End) -> Result<Option<Answer>> {
    let Some(split) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = bytes.split_at(split);
    let rest = rest.get(4..).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let status = status.context("this is not an HTTP answer")?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let find = |wanted: &str| {
        headers
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let body = if find("transfer-encoding") == Some("chunked") {
        match unchunk(rest)? {
            Some(body) => body,
            None => return Ok(None),
        }
    } else if let Some(length) = find("content-length") {
        match rest.get(..length.parse()?) {
            Some(body) => body.to_vec(),
            None => return Ok(None),
        }
    } else if end == End::Closed {
        rest.to_vec()
    } else {
        return Ok(None);
    };
    Ok(Some(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }))
}

/// Joins the chunks of a body (RFC 9112, 7.1) if all of them are there.
fn unchunk(mut bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let size = String::from_utf8_lossy(bytes.get(..line).unwrap_or_default()).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        let Some(chunk) = bytes.get(line + 2..line + 2 + size) else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        bytes = bytes.get(line + 2 + size + 2..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole_and_not_before() -> Result<()> {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(parse(&whole[..whole.len() - 1], End::NotYet)?, None);
        assert_eq!(
            parse(whole, End::NotYet)?.map(|answer| (answer.status, answer.body)),
            Some((202, "ok".to_owned()))
        );
        Ok(())
    }

    #[test]
    fn chunks_are_joined() -> Result<()> {
        let text =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(
            parse(text, End::NotYet)?.map(|answer| answer.body),
            Some("abc".to_owned())
        );
        Ok(())
    }
}
