//! Whether a host has room for what it lacks of a system.

use std::time::Duration;

use crate::min_free::MinFree;
use crate::nix::{Nix, arguments, output};
use crate::ssh::{Connection, RemoteCommand, SshError};
use crate::toplevel::Toplevel;

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
echo missing $missing; stat -f -c 'free %a %S' /nix/store; stat -f -c 'type %T' /nix/store";
/// The file systems that may compress a store, as stat(1) names them (coreutils, `human_fstype`).
const COMPRESSING: [&str; 2] = ["btrfs", "zfs"];
/// What is missing is known by its NARs' sizes; compressed, a system takes a third to a half of that. The smaller figure
/// counts where a store may be compressed: what does not fit by that cannot, and all else the copy tells.
const COMPRESSED_TO: u64 = 3;
/// Looking for some thousand paths takes a tenth of a second, on a slow host seconds.
const ASK_TIMEOUT: Duration = Duration::from_secs(60);
/// Listing a closure of some thousand paths takes as long here.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// A line of the list has a little over 100 bytes; the largest systems have some ten thousand.
const LIST_LIMIT: usize = 16 * 1024 * 1024;

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
        Ok(shortage(&answer.text(), min_free))
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
    let reserve = min_free.as_bytes();
    let takes = match value("type") {
        Some(kind) if COMPRESSING.contains(&kind) => needed / COMPRESSED_TO,
        _ => needed,
    };
    (takes.saturating_add(reserve) > free).then_some(Shortage {
        needed,
        free,
        reserve,
    })
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
    fn a_store_that_may_be_compressed_is_short_only_of_what_cannot_fit_compressed_either() {
        let min_free = MinFree::bytes(1000);
        let answer =
            |missing: u64, kind: &str| format!("missing {missing}\nfree 50 100\ntype {kind}\n");
        for kind in ["btrfs", "zfs"] {
            assert_eq!(shortage(&answer(12_000, kind), min_free), None, "{kind}");
            let refused = shortage(&answer(12_003, kind), min_free);
            assert_eq!(refused.map(|one| one.needed), Some(12_003));
        }
        assert!(shortage(&answer(4001, "ext2/ext3"), min_free).is_some());
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
}
