//! Words for people and for scripts.

use std::fmt::Write as _;
use std::io::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use desired_state::BranchState;
use serde::Serialize;

use super::exit::{CliError, Exit};
use crate::error_chain::error_chain;

/// Writes text to standard output. A reader that has gone away, such as `head`, is no failure.
pub fn print(text: &str) -> Result<Exit, CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(CliError::Output(error)),
    }
}

/// Writes one JSON text and a newline.
pub fn print_json(value: &impl Serialize) -> Result<Exit, CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::Output(std::io::Error::other(error)))?;
    text.push('\n');
    print(&text)
}

/// Says why the command failed, on standard error.
pub fn error(error: &CliError) {
    note(&format!("reconcile: {}", error_chain(error)));
}

/// Says something on the side, on standard error. Nobody may be there to hear it: that is no reason
/// to fail, and `eprintln!` would panic.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A table as wide as the terminal, without lines.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(ToString::to_string).collect::<Vec<_>>());
    table
}

/// Text from outside on one line, fit for a terminal: control characters are escaped.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The first line of a text, with the next where the first only announces it.
pub fn first_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match lines.find(|line| !line.trim().is_empty()) {
        Some(next) if first.ends_with(':') => shown(&format!("{first} {}", next.trim())),
        _ => shown(first),
    }
}

/// Why a branch's newest commit is not what its hosts run, if that is so.
pub fn refused(state: &BranchState) -> Option<String> {
    match state {
        BranchState::Gone => Some("branch does not exist".to_owned()),
        BranchState::Rewound { to } => Some(format!("forced push to {} refused", to.short())),
        BranchState::Untrusted { to, why } => {
            Some(format!("commit {} is not trusted: {why}", to.short()))
        }
        BranchState::Present => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_announces_the_reason_has_it_beside_it() {
        let told = "the activation refused:\n\n  there is no /run/current-system\nand more\n";
        assert_eq!(
            first_line(told),
            "the activation refused: there is no /run/current-system"
        );
        assert_eq!(
            first_line("suspended: a new disk\nand more"),
            "suspended: a new disk"
        );
        assert_eq!(first_line("nothing follows:"), "nothing follows:");
        assert_eq!(first_line(""), "");
    }
}
