//! Runs a script on a host and reads its answer.

use crate::printable::shown;
use crate::ssh::{Completed, Connection, Privilege, RemoteCommand, SshError};

/// A script for a host's `/bin/sh`, as root: it is the input, so that its length has no limit.
pub(super) fn script<'a>(
    text: &str,
    arguments: impl IntoIterator<Item = &'a str>,
) -> RemoteCommand {
    RemoteCommand::new("/bin/sh")
        .arguments(["-s", "--"])
        .arguments(arguments)
        .stdin(text)
        .privilege(Privilege::Root)
}

/// Runs a script to its end. Where `read` makes nothing of its answer, `unreadable` is told how it ended.
pub(super) async fn run_script<T, E: From<SshError>>(
    connection: &Connection,
    script: RemoteCommand,
    read: impl FnOnce(&str) -> Option<T>,
    unreadable: impl FnOnce(String) -> E,
) -> Result<T, E> {
    let completed = connection.run(script).await?;
    read(&completed.text()).ok_or_else(|| unreadable(ended(&completed)))
}

/// How a script ended whose answer cannot be read.
pub(super) fn ended(completed: &Completed) -> String {
    format!(
        "it ended with {} after `{}`: {}",
        completed.code,
        shown(last_line(&completed.text())),
        completed.complaint()
    )
}

/// The answer of a script that says one line; a login shell may have greeted before it.
pub(super) fn last_line(answer: &str) -> &str {
    answer.lines().next_back().unwrap_or_default().trim()
}
