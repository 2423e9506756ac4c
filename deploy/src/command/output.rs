//! Reads what a command prints, within bounds, and makes it safe to print.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// Reads to the end; `OutOfMemory` stands for more than the limit.
pub(super) async fn read_whole(
    source: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    limit: usize,
) -> io::Result<()> {
    let Some(source) = source else { return Ok(()) };
    let one_too_many = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source.take(one_too_many).read_to_end(into).await?;
    if into.len() > limit {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    Ok(())
}

/// Reads to the end and keeps the last part.
pub(super) async fn read_tail(
    source: Option<impl AsyncRead + Unpin>,
    into: &mut Tail,
) -> io::Result<()> {
    let Some(mut source) = source else {
        return Ok(());
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        match source.read(&mut chunk).await? {
            0 => return Ok(()),
            count => into.push(&chunk[..count]),
        }
    }
}

/// The last part of a stream.
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        // Cutting only at twice the limit makes it one move of `limit` bytes per `limit` bytes read.
        if self.bytes.len() > self.limit * 2 {
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    pub(super) fn text(&self) -> String {
        printable(&self.bytes[self.bytes.len().saturating_sub(self.limit)..])
    }
}

/// Outside text made safe to print: no terminal sequences, control characters escaped, lines kept.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // Colours and cursor movement: ESC [ parameters, up to a letter (ECMA-48, CSI).
            '\u{1b}' if characters.peek() == Some(&'[') => {
                characters.next();
                while characters
                    .next()
                    .is_some_and(|next| !('@'..='~').contains(&next))
                {}
            }
            '\n' | '\t' => safe.push(character),
            '\r' => {}
            control if control.is_control() => safe.extend(control.escape_default()),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_taken_out() {
        assert_eq!(
            printable(b"\x1b[31;1merror:\x1b[0m a\tb\r\n\x07\x1b]0;x\xff"),
            "error: a\tb\n\\u{7}\\u{1b}]0;x\u{fffd}"
        );
    }
}
