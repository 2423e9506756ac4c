//! Reads what a command prints, within bounds.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::printable::printable;

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
