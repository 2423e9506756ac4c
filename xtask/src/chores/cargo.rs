//! cargo, as chores run it.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use cargo_metadata::{Metadata, MetadataCommand};

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

/// The workspace and its own crates, as cargo sees them.
///
/// # Errors
/// When cargo cannot read the workspace.
pub fn members(workspace: &Path) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    let command = command.manifest_path(workspace.join("Cargo.toml"));
    Ok(command.no_deps().exec()?)
}
