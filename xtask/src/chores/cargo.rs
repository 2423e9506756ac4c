//! cargo, as chores run it.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

/// cargo in the workspace, to be given further arguments; in colour where a person looks on.
pub fn cargo(workspace: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace)
        .args(arguments)
        .stdin(Stdio::null());
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}
