//! Collects the garbage of a host: old generations of its system profile, and what nothing needs then.

use std::time::Duration;

use jiff::Timestamp;

use crate::host::script::{run_script, script};
use crate::nix::output::{self, Freed};
use crate::printable::shown;
use crate::ssh::{Connection, SshError};
use crate::toplevel::Toplevel;

/// What runs on the host: holder.sh and collect.sh as one script.
const SCRIPT: &str = concat!(include_str!("holder.sh"), include_str!("collect.sh"));

/// How much longer than the collection itself the whole may take: deleting generations and renewing the
/// boot menu, for which collect.sh has limits of its own.
const AROUND: Duration = Duration::from_secs(6 * 60);
/// Some short lines, and the last ones that Nix said.
const ANSWER_LIMIT: usize = 64 * 1024;

/// What a host is asked to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCollectionRequest {
    /// A generation that is younger than this stays.
    pub keep_for: Duration,
    /// So many of the newest generations stay, whatever their age.
    pub keep_newest: usize,
    /// Generations with these systems stay, whatever their age; so do, always, those with what runs, what
    /// was booted, and what boots next.
    pub keep: Vec<Toplevel>,
    /// How long collecting may take; it ends by itself then, also if nobody listens any more.
    pub timeout: Duration,
    /// The time. A host whose clock is ahead of it counts by this.
    pub now: Timestamp,
}

/// How a host's collection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCollection {
    /// How many generations were deleted.
    pub generations: usize,
    /// What Nix freed, if it said so.
    pub freed: Freed,
    /// How it ended.
    pub result: HostCollectionResult,
}

/// Whether a host's collection did all that it was to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostCollectionResult {
    /// It did.
    Done,
    /// Another deployment, collection or switch is under way there: nothing was done.
    Locked {
        /// Who.
        by: String,
    },
    /// A step failed.
    Failed {
        /// Which, and what it said.
        detail: String,
    },
}

/// Why it is not known what became of a host's collection. It goes on there, or never began.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectOnHostError {
    /// The connection failed.
    #[error("the connection failed while the host collected its garbage")]
    Ssh(#[from] SshError),
    /// The answer is cut off or makes no sense.
    #[error("the host's answer about its garbage cannot be read: {0}")]
    Unreadable(String),
}

impl CollectOnHostError {
    /// Whether asking again can succeed. It is harmless to repeat.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Ssh(error) => error.is_worth_retrying(),
            Self::Unreadable(_) => true,
        }
    }
}

/// Has a host delete old generations of its system profile and what nothing needs then. No deployment of
/// ours begins there meanwhile; harmless to repeat.
///
/// # Errors
/// When it is not known how it ended.
pub async fn collect_on_host(
    connection: &Connection,
    request: &HostCollectionRequest,
) -> Result<HostCollection, CollectOnHostError> {
    let numbers = [
        request.keep_for.as_secs().to_string(),
        request.keep_newest.to_string(),
        request.timeout.as_secs().max(1).to_string(),
        request.now.as_second().to_string(),
    ];
    let arguments = numbers.iter().map(String::as_str);
    let script = script(
        SCRIPT,
        arguments.chain(request.keep.iter().map(Toplevel::as_str)),
    )
    .timeout(request.timeout.saturating_add(AROUND))
    .output_limit(ANSWER_LIMIT);
    run_script(connection, script, read, CollectOnHostError::Unreadable).await
}

/// Reads the script's answer; `None` if it is not whole.
fn read(answer: &str) -> Option<HostCollection> {
    let mut collection = HostCollection {
        generations: 0,
        freed: Freed::default(),
        result: HostCollectionResult::Done,
    };
    let mut said = String::new();
    let mut failed: Option<&str> = None;
    for line in answer.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        match name {
            "locked" => {
                collection.result = HostCollectionResult::Locked { by: shown(value) };
                return Some(collection);
            }
            "deleted" => collection.generations = value.parse().ok()?,
            "failed" => failed = failed.or(Some(value)),
            "says" => {
                if let Some(freed) = output::freed(value) {
                    collection.freed = freed;
                } else {
                    said.push_str(value);
                    said.push('\n');
                }
            }
            "end" => {
                if let Some(step) = failed {
                    let detail = format!("{step}: {said}");
                    collection.result = HostCollectionResult::Failed {
                        detail: shown(detail.trim_end()),
                    };
                }
                return Some(collection);
            }
            // Nothing else is printed; a login shell may greet.
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_script_is_read() {
        let done = "Welcome!\ndeleted 3\nsays 12 store paths deleted, 1.50 MiB freed\nend\n";
        assert_eq!(
            read(done),
            Some(HostCollection {
                generations: 3,
                freed: Freed {
                    paths: 12,
                    bytes: 3 << 19
                },
                result: HostCollectionResult::Done
            })
        );
        let locked = read("locked reconcile-x.service\n").unwrap();
        assert_eq!(
            locked.result,
            HostCollectionResult::Locked {
                by: "reconcile-x.service".into()
            }
        );
        let failed = "deleted 1\nfailed boot-menu 1\nsays no space\nfailed collect 124\nend\n";
        let failed = read(failed).unwrap();
        assert_eq!((failed.generations, failed.freed), (1, Freed::default()));
        assert_eq!(
            failed.result,
            HostCollectionResult::Failed {
                detail: "boot-menu 1: no space".into()
            }
        );
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        for answer in ["", "deleted 1\n", "deleted x\nend\n"] {
            assert_eq!(read(answer), None, "{answer:?}");
        }
    }
}
