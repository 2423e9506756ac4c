//! Whether a host has room for what it lacks of a system.

use std::fmt;
use std::time::Duration;

use crate::nix::{arguments, output};
use crate::runner::Nix;
use crate::ssh::{Connection, RemoteCommand, SshError};
use crate::toplevel::Toplevel;

/// How much has to stay free in a host's store after a copy.
///
/// Zero lifts every check of space on that host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinFree(u64);

impl MinFree {
    /// Enough for the blocks that the last part of each file wastes, for Nix's database, and for a host
    /// to run and log on.
    pub const DEFAULT: Self = Self(256 * MEBIBYTE);

    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Whether space is looked at on that host at all.
    pub const fn is_checked(self) -> bool {
        self.0 > 0
    }
}

const MEBIBYTE: u64 = 1024 * 1024;

/// Too little room, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// What would be brought there, in bytes.
    pub(crate) needed: u64,
    /// What is free there for everybody, in bytes.
    pub(crate) free: u64,
    /// What has to stay free, in bytes.
    pub(crate) reserve: u64,
}

/// Reads "PATH BYTES" a line, and says how many bytes those have that are not there, and what is free.
/// A path that is there may still be half a copy: it takes its space already.
const ASK: &str = "missing=0; while read -r path size; do \
test -e \"$path\" || missing=$((missing + size)); done; \
echo missing $missing; stat -f -c 'free %a %S' /nix/store";
/// Looking for some thousand paths takes a tenth of a second, on a slow host seconds.
const ASK_TIMEOUT: Duration = Duration::from_secs(60);
/// Listing a closure of some thousand paths takes as long here.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// A line of the list has a little over 100 bytes; the largest systems have some ten thousand.
const LIST_LIMIT: usize = 16 * MEBIBYTE as usize;

impl Nix {
    /// What a host is short of for a toplevel that it does not have yet: one round trip. `None` if it
    /// fits, and where that cannot be found out: then the copy itself tells.
    pub(crate) async fn shortage_on(
        &self,
        host: &Connection,
        toplevel: &Toplevel,
        min_free: MinFree,
    ) -> Result<Option<Shortage>, SshError> {
        let listed = self
            .run_with_output(
                "nix",
                arguments::closure_sizes(toplevel),
                Vec::new(),
                LIST_TIMEOUT,
                LIST_LIMIT,
            )
            .await;
        let list = match listed {
            Ok(finished) if finished.status.success() => output::closure_sizes(&finished.stdout),
            _ => None,
        };
        let Some(list) = list else {
            return Ok(None);
        };
        let ask = RemoteCommand::new("/bin/sh")
            .arguments(["-c", ASK])
            .stdin(list)
            .timeout(ASK_TIMEOUT);
        let answer = host.run(ask).await?;
        Ok(shortage(&String::from_utf8_lossy(&answer.stdout), min_free))
    }
}

/// Reads the host's answer. A host that answers something else is let through.
fn shortage(answer: &str, min_free: MinFree) -> Option<Shortage> {
    let value = |name: &str| {
        let mut lines = answer.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let needed: u64 = value("missing")?.parse().ok()?;
    let (blocks, size) = value("free")?.split_once(' ')?;
    let (blocks, size): (u64, u64) = (blocks.parse().ok()?, size.parse().ok()?);
    let free = blocks.saturating_mul(size);
    let MinFree(reserve) = min_free;
    (needed.saturating_add(reserve) > free).then_some(Shortage {
        needed,
        free,
        reserve,
    })
}

/// Bytes as a person reads them.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        // Far more precise than the one digit that is shown.
        let (mut value, mut unit) = (self.0 as f64, 0);
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        match unit {
            0 => write!(f, "{} {}", self.0, UNITS[0]),
            _ => write!(f, "{value:.1} {}", UNITS[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_beside_the_reserve_is_a_shortage_with_its_figures() {
        let min_free = MinFree::bytes(1000);
        let answer =
            |missing: u64, blocks: u64| format!("hello\nmissing {missing}\nfree {blocks} 100\n");
        assert_eq!(shortage(&answer(4000, 50), min_free), None);
        assert_eq!(
            shortage(&answer(4001, 50), min_free),
            Some(Shortage {
                needed: 4001,
                free: 5000,
                reserve: 1000
            })
        );
        assert!(shortage(&answer(0, 9), min_free).is_some());
        assert!(shortage(&answer(u64::MAX, 9), min_free).is_some());
    }

    #[test]
    fn an_answer_that_cannot_be_read_lets_the_copy_tell() {
        for answer in [
            "",
            "missing 1\n",
            "missing 1\nfree x 1\n",
            "missing -1\nfree 0 1\n",
            "free 0 1\n",
        ] {
            assert_eq!(shortage(answer, MinFree::DEFAULT), None, "{answer:?}");
        }
    }

    #[test]
    fn bytes_read_as_people_say_them() {
        for (bytes, said) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (MinFree::DEFAULT.0, "256.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), said);
        }
    }
}
