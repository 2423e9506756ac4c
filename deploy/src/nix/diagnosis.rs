//! Reads what Nix prints when something failed, and names the cause.
//!
//! Nix has no machine-readable errors; the texts here were recorded from 2.8.0, 2.26.3 and 2.34.8
//! (`tests/recorded`), which differ mainly in the layout of the stack, which is left out.
//!
//! Whose fault it is: what Nix says of the revision is the revision's, a builder that failed or an error of
//! its code; that is final. What is not recognised, and is about the machine, its daemon or a connection, is
//! ours and passes (`general::passing`). A builder's log and a warning decide nothing of that ([`spoken`]).

pub(crate) mod builder;
pub(crate) mod general;

/// At most this many lines of Nix's own error are shown.
const ERROR_LINES: usize = 15;
/// Longer lines are cut: a minified file in an error is of no use.
const LINE_LENGTH: usize = 500;

/// The cause that Nix names last, with the place in the flake, without the stack: for evaluations.
pub(crate) fn evaluation_error(stderr: &str) -> String {
    let blocks = error_blocks(stderr);
    let Some(block) = blocks.last() else {
        return last_lines(stderr, ERROR_LINES);
    };
    let place = stderr
        .lines()
        .skip(block.end)
        .take(3)
        .find_map(|line| line.trim().strip_prefix("at "))
        .and_then(in_the_flake);
    match place {
        Some(place) => format!("{} (at {place})", block.text),
        None => block.text.clone(),
    }
}

/// The error that ended what Nix was doing, without its stack. One before it can be of a cache that Nix was told to do
/// without (nix.conf(5), `fallback`).
pub(crate) fn last_error(stderr: &str) -> String {
    let last = error_blocks(stderr).pop();
    last.map(|block| block.text).unwrap_or_default()
}

/// All that Nix itself said went wrong, in order, without stacks.
pub(crate) fn error_text(stderr: &str) -> String {
    let blocks: Vec<String> = error_blocks(stderr)
        .into_iter()
        .map(|block| block.text)
        .collect();
    let mut text = String::new();
    for (index, block) in blocks.iter().enumerate() {
        // A nested error is often said twice.
        if index == 0 || blocks[index - 1] != *block {
            text.push_str(block);
            text.push('\n');
        }
    }
    text.trim_end().to_owned()
}

/// [`error_text`], or what was printed last if Nix did not say `error:` (git and ssh do not).
pub(crate) fn summary(stderr: &str) -> String {
    let text = error_text(stderr);
    // A builder's log and Nix's own lines are dealt with elsewhere; these are of ssh, sudo and git.
    let speaks = |line: &str| {
        ["fatal: ", "ssh: ", "sudo: "]
            .iter()
            .any(|start| line.starts_with(start))
            || has_any(
                line,
                &[
                    "Permission denied (",
                    "Host key verification failed",
                    "host key is known",
                    "HAS CHANGED",
                    "Connection closed by",
                    "Connection reset by",
                ],
            )
    };
    let mut lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.trim_start().starts_with("error:") && speaks(line))
        .collect();
    lines.extend(text.lines());
    if lines.is_empty() {
        return last_lines(stderr, ERROR_LINES);
    }
    lines.truncate(ERROR_LINES);
    lines.join("\n")
}

/// What Nix, git, ssh, sudo and a host's shell said for themselves: without a builder's log, which Nix quotes,
/// without warnings, which are of what went on all the same, and without the code that a stack shows.
pub(crate) fn spoken(stderr: &str) -> String {
    let is_spoken = |line: &&str| {
        let text = line.trim_start();
        let is_code = text
            .trim_start_matches(|character: char| character.is_ascii_digit())
            .starts_with('|');
        !is_code
            && !["> ", "warning: ", "evaluation warning: ", "trace: "]
                .iter()
                .any(|start| text.starts_with(start))
    };
    let lines: Vec<&str> = stderr.lines().filter(is_spoken).collect();
    lines.join("\n")
}

/// One `error:` of Nix.
struct Block {
    text: String,
    /// The number of the line after it.
    end: usize,
}

/// All errors, in the order that Nix printed them, without those that only open a stack.
fn error_blocks(stderr: &str) -> Vec<Block> {
    let lines: Vec<&str> = stderr.lines().collect();
    let mut blocks = Vec::new();
    let mut next = 0;
    while next < lines.len() {
        let line = lines[next].trim_start();
        next += 1;
        let Some(first) = line.strip_prefix("error:") else {
            continue;
        };
        let mut text: Vec<String> = Vec::new();
        if !first.trim().is_empty() {
            text.push(cut(first.trim()));
        }
        while next < lines.len() && !ends_a_block(&lines[next..]) {
            // Nix indents what belongs to an error by seven columns.
            text.push(cut(lines[next]
                .strip_prefix("       ")
                .unwrap_or(lines[next])
                .trim_end()));
            next += 1;
        }
        if !text.is_empty() {
            text.truncate(ERROR_LINES);
            while text.last().is_some_and(|line| line.is_empty()) {
                text.pop();
            }
            blocks.push(Block {
                text: text.join("\n"),
                end: next,
            });
        }
    }
    blocks
}

/// Whether the next of these lines is no part of the error before it.
fn ends_a_block(lines: &[&str]) -> bool {
    // A message may have empty lines inside.
    let Some(line) = lines.iter().find(|line| !line.trim().is_empty()) else {
        return true;
    };
    let text = line.trim_start();
    // What belongs to an error is indented.
    text.len() == line.len()
        || [
            "at /",
            "at «",
            "… ",
            "error:",
            "(stack trace",
            "(use '--show-trace'",
            "> ",
            "last ",
            "Last ",
            "For full logs",
        ]
        .iter()
        .any(|start| text.starts_with(start))
}

/// `/nix/store/…-source/hosts/a.nix:3:5:` (since 2.30 `«git+file:…»/hosts/a.nix:3:5:`) as
/// `hosts/a.nix:3:5`; other places are of no use to a reader.
fn in_the_flake(place: &str) -> Option<&str> {
    let inside = match place.strip_prefix("/nix/store/") {
        Some(inside) => inside.split_once('/')?.1,
        None => place.strip_prefix("«git+file:")?.split_once("»/")?.1,
    };
    Some(inside.trim_end_matches(':'))
}

fn last_lines(text: &str, count: usize) -> String {
    last(
        &text
            .lines()
            // OpenSSH 10.1 warns so of each server whose key exchange is not post-quantum.
            .filter(|line| !line.trim().is_empty() && !line.starts_with("** "))
            .collect::<Vec<_>>(),
        count,
    )
}

fn last(lines: &[&str], count: usize) -> String {
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| cut(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_LENGTH) {
        Some((end, _)) => format!("{} […]", &line[..end]),
        None => line.to_owned(),
    }
}

/// Whether a derivation needs another machine: another system, or a feature that this one lacks.
pub(crate) fn needs_another_machine(error_text: &str) -> bool {
    // Nix, derivation-building-goal.cc: until 2.26; until 2.33; since.
    has_any(
        error_text,
        &[
            "is required to build '",
            "required system or feature not available",
            "Reason: platform mismatch",
            "Reason: missing system features",
        ],
    )
}

/// Whether any of the signs is in the text.
pub(crate) fn has_any(text: &str, signs: &[&str]) -> bool {
    signs.iter().any(|sign| text.contains(sign))
}

/// The last few lines of what a command printed before it was ended.
pub(crate) fn last_words(stderr: &str) -> String {
    const LINES: usize = 5;
    last_lines(stderr, LINES)
}

#[cfg(test)]
pub(crate) mod tests;
