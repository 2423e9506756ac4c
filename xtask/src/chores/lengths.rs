//! How long files may be; clippy looks at functions (`too_many_lines`).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use walkdir::{DirEntry, WalkDir};

/// At most so many lines: in a longer file a second idea has moved in.
const LINES: usize = 400;

/// Checks every file of Rust in a workspace, those of tests too.
///
/// # Errors
/// Every file that is too long.
pub fn check(workspace: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    let files = WalkDir::new(workspace).sort_by_file_name();
    for entry in files.into_iter().filter_entry(is_ours) {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type().is_file() || path.extension().is_none_or(|rust| rust != "rs") {
            continue;
        }
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().count();
        if lines > LINES {
            let shown = path.strip_prefix(workspace).unwrap_or(path).display();
            wrong.push(format!("{shown} has {lines} lines"));
        }
    }
    if !wrong.is_empty() {
        bail!(
            "files of more than {LINES} lines: which second idea moved in?\n{}",
            wrong.join("\n")
        );
    }
    Ok(())
}

/// Neither what is built nor what tools hide.
fn is_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.depth() == 0 || !(name == "target" || name.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_named_with_its_length() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let long = "\n".repeat(LINES + 1);
        for (name, text) in [
            ("hub/src/fits.rs", &long[1..]),
            ("hub/tests/it/long.rs", &long),
            ("docs/long.md", &long),
            ("target/debug/long.rs", &long),
            (".git/long.rs", &long),
        ] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap())?;
            fs::write(file, text)?;
        }
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("?\nhub/tests/it/long.rs has 401 lines"),
            "{error}"
        );
        Ok(())
    }
}
