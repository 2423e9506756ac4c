//! The name of a repository on the Gitea server.

use super::checked::checked_text;

/// The longest owner or repository name, in bytes: Gitea's own form limit for a repository (`MaxSize(100)` in
/// `services/forms/repo_form.go`); owners are shorter.
const LONGEST_PART: usize = 100;

checked_text! {
    /// The name of a repository: `owner/name`, what Gitea calls `full_name`.
    ///
    /// Each part is 1 to 100 ASCII letters, digits, `-`, `_` and `.` (Gitea's `AlphaDashDot`), is not `.` or `..`,
    /// and does not begin with `-`: so it can be two folders' names, and is never an option or a parent folder.
    RepositoryName, "repository name", check
}

impl RepositoryName {
    /// The part before the slash.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// Whether a delivery that calls its repository `full_name` speaks of this one.
    ///
    /// Gitea looks names up without regard to case (`lower_name` in `models/repo/repo.go`), and so does this.
    #[must_use]
    pub fn is_called(&self, full_name: &str) -> bool {
        self.0.eq_ignore_ascii_case(full_name)
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    let Some((owner, name)) = text.split_once('/') else {
        return Err("it must have the form owner/name");
    };
    check_part(owner)?;
    check_part(name)
}

fn check_part(part: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if part.is_empty() {
        Err("the owner or the name is empty")
    } else if part.len() > LONGEST_PART {
        Err("the owner or the name is longer than 100 bytes")
    } else if !part.chars().all(allowed) {
        Err(
            "only letters, digits, '-', '_' and '.' may stand in the owner and the name, with one '/' between them",
        )
    } else if part == "." || part == ".." {
        Err("'.' and '..' are folders, not names")
    } else if part.starts_with('-') {
        Err("neither the owner nor the name may begin with '-'")
    } else {
        Ok(())
    }
}
