//! git's post-receive: where Gitea learns what was pushed, and tells its hooks.

use std::io::BufRead;
use std::path::Path;

use anyhow::{Context, Result};

use super::delivery::{Delivery, deliver};
use super::hook::{Event, Settings};
use super::payload::{self, Change};
use crate::git::Git;

/// The chore that a repository's `hooks/post-receive` runs; not for people.
pub const CHORE: &str = "forge-receive";

/// Tells a repository's hooks what its post-receive was told on standard input: a line `<old> <new> <ref>` for each change (githooks(5)).
/// One after the other and before it returns: a push whose hooks are slow is slow, and when it is over its deliveries are made.
///
/// # Errors
/// When the repository is not one of this forge. A delivery that fails is not an error; it is in the log.
pub fn receive(bare: &Path, changes: impl BufRead) -> Result<()> {
    let git = Git::new(bare);
    let settings = Settings::read(bare)?;
    for line in changes.lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        let mut next = || {
            words
                .next()
                .context("post-receive was given a line that it should not be given")
        };
        let change = Change {
            before: next()?,
            after: next()?,
            name: next()?,
        };
        for (event, json) in payload::of_change(&git, &settings, &change)? {
            tell(bare, &settings, event, &json)?;
        }
    }
    Ok(())
}

/// Sends an event to every hook that wants it.
pub(super) fn tell(
    bare: &Path,
    settings: &Settings,
    event: Event,
    json: &str,
) -> Result<Vec<Delivery>> {
    let numbers = settings
        .hooks
        .iter()
        .enumerate()
        .filter(|(_, hook)| hook.events.contains(&event));
    numbers
        .map(|(number, _)| deliver(bare, settings, number, event, json))
        .collect()
}
