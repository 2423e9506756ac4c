//! Answers, read by hand.

use anyhow::{Context, Result};

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

/// Whether more can come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    NotYet,
    Closed,
}

/// Reads an answer if all of it is there.
pub(super) fn parse(bytes: &[u8], end: End) -> Result<Option<Answer>> {
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
