//! Pure: what git says while it works: its progress, its trace of HTTP, and its words.

use std::collections::VecDeque;

use super::ssh::ENDED_WITH;

/// How much of the words is kept, the last of them: a screenful of warnings with room to spare.
const WORDS_KEPT: usize = 16 * 1024;

/// How much of the trace is kept, the first of it: a request and its answer are a few KiB.
const TRACE_KEPT: usize = 256 * 1024;

/// The longest line; what is longer counts as several.
const LONGEST_LINE: usize = 4096;

/// What git's lines of progress begin with (builtin/pack-objects.c, index-pack.c); "remote: " may stand before.
const PROGRESS: &[&str] = &[
    "Enumerating objects: ",
    "Counting objects: ",
    "Compressing objects: ",
    "Receiving objects: ",
    "Resolving deltas: ",
];

/// What every line of `GIT_TRACE_CURL` has after its time: the name of git's source file.
const TRACED: &str = " http.c:";

/// What git has said so far.
#[derive(Debug, Default)]
pub(in crate::mirror) struct Said {
    line: Vec<u8>,
    words: VecDeque<String>,
    length: usize,
    trace: String,
    /// How far the transfer came, in git's words.
    pub(in crate::mirror) progress: String,
    /// What the ssh that git started ended with.
    pub(in crate::mirror) ssh_status: Option<i32>,
}

impl Said {
    /// Hears more; tells whether the transfer has moved.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Moved {
        let mut moved = Moved::No;
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') || self.line.len() >= LONGEST_LINE {
                let line = std::mem::take(&mut self.line);
                if self.hear_line(&String::from_utf8_lossy(&line)) == Moved::Yes {
                    moved = Moved::Yes;
                }
            }
            if !matches!(byte, b'\n' | b'\r') {
                self.line.push(*byte);
            }
        }
        moved
    }

    /// Takes what stands after the last line's end.
    pub(super) fn end(&mut self) {
        self.hear(b"\n");
    }

    fn hear_line(&mut self, line: &str) -> Moved {
        let line = line.trim();
        let plain = line.strip_prefix("remote: ").unwrap_or(line);
        if PROGRESS.iter().any(|begin| plain.starts_with(begin)) {
            // The same line again is a server that talks and does nothing.
            if self.progress == line {
                return Moved::No;
            }
            line.clone_into(&mut self.progress);
            return Moved::Yes;
        }
        if line.contains(TRACED) {
            if self.trace.len() < TRACE_KEPT {
                self.trace.push_str(line);
                self.trace.push('\n');
            }
        } else if let Some(status) = line.strip_prefix(ENDED_WITH) {
            self.ssh_status = status.parse().ok();
        } else if !line.is_empty() {
            self.length += line.len();
            self.words.push_back(line.to_owned());
            while self.length > WORDS_KEPT
                && let Some(first) = self.words.pop_front()
            {
                self.length -= first.len();
            }
        }
        Moved::No
    }

    /// The words of git, ssh and the server.
    pub(in crate::mirror) fn words(&self) -> String {
        self.words
            .iter()
            .fold(String::new(), |all, line| all + line + "\n")
    }

    /// What git traced of HTTP; it is never shown.
    pub(in crate::mirror) fn trace(&self) -> &str {
        &self.trace
    }
}

/// Whether a transfer has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_moves_when_its_numbers_do_and_not_when_somebody_only_talks() {
        let mut said = Said::default();
        for (heard, moved) in [
            ("remote: Counting objects:  10% (1/10)   \r", Moved::Yes),
            ("remote: Counting objects:  10% (1/10)   \r", Moved::No),
            ("remote: Counting objects:  20% (2/10)   \r", Moved::Yes),
            ("Receiving objects:  47% (94/200), 12.00 ", Moved::No),
            ("MiB | 300.00 KiB/s\r", Moved::Yes),
            (
                "Receiving objects:  47% (94/200), 12.10 MiB | 300.00 KiB/s\r",
                Moved::Yes,
            ),
            ("remote: please wait\nnoise\n", Moved::No),
            ("noise noise noise\nnoise noise\n", Moved::No),
        ] {
            assert_eq!(said.hear(heard.as_bytes()), moved, "{heard}");
        }
        assert_eq!(
            said.progress,
            "Receiving objects:  47% (94/200), 12.10 MiB | 300.00 KiB/s"
        );
        assert!(!said.words().contains("Receiving"));
    }

    #[test]
    fn words_the_trace_and_the_status_of_ssh_are_kept_apart() {
        let mut said = Said::default();
        said.hear(b"15:21:44.1 http.c:684   <= Recv header: Content-Type: text/html\nfatal: no\n");
        said.hear(b"reconcile: ssh ended with 255\nlast words");
        said.end();
        assert_eq!(said.words(), "fatal: no\nlast words\n");
        assert!(said.trace().contains("text/html"));
        assert_eq!(said.ssh_status, Some(255));
    }

    #[test]
    fn little_is_kept_of_one_who_never_stops_talking() {
        let mut said = Said::default();
        for _ in 0..10_000 {
            said.hear(b"this is noise\n");
        }
        said.hear(&[b'x'; 1_000_000]);
        assert!(said.words().len() < 2 * WORDS_KEPT);
    }
}
