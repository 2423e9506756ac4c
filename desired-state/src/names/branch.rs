//! The name of a branch.

use super::checked::checked_text;

/// The longest branch name, in bytes: longer ones do not fit in a file name, and Gitea stores 255 at most.
const LONGEST: usize = 255;

checked_text! {
    /// The name of a branch, without `refs/heads/`: `main`, `feature/größer`.
    ///
    /// At most 255 bytes of UTF-8 that git takes as a branch: the rules of git-check-ref-format(1), and the two that
    /// `git branch` adds (not `HEAD`, no leading `-`). Two things are stricter than git: no control character beyond
    /// ASCII either, for U+009B starts an escape sequence in a terminal; and not `@`, which git reads as `HEAD`.
    BranchName, "branch name", check
}

impl BranchName {
    /// The full name of the reference: `refs/heads/main`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > LONGEST {
        Err("it is longer than 255 bytes")
    } else if text.chars().any(char::is_control) {
        Err("control characters must not stand in it")
    } else if text.contains([' ', '~', '^', ':', '?', '*', '[', '\\']) {
        Err("a space and the characters ~ ^ : ? * [ \\ must not stand in it")
    } else if text.contains("..") || text.contains("@{") {
        Err("'..' and '@{' must not stand in it")
    } else if text.ends_with('.') {
        Err("it must not end with '.'")
    } else if text.starts_with('-') {
        Err("it must not begin with '-'")
    } else if text == "HEAD" || text == "@" {
        Err("HEAD and @ stand for the checked out commit, not for a branch")
    } else {
        text.split('/').try_for_each(check_component)
    }
}

/// One part between slashes, which git keeps as a folder or a file.
fn check_component(component: &str) -> Result<(), &'static str> {
    if component.is_empty() {
        Err("it must not begin or end with '/', nor contain '//'")
    } else if component.starts_with('.') {
        Err("no part of it may begin with '.'")
    } else if component.ends_with(".lock") {
        Err("no part of it may end with '.lock'")
    } else {
        Ok(())
    }
}
