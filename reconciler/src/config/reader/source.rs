//! The text of a configuration file, and where in it a byte stands.

use std::path::{Path, PathBuf};

use toml_span::Span;

use super::diagnostics::{Diagnostics, Origin, Place};
use super::files::contents;
use super::masking::may_hold_a_secret;
use super::problem::Problem;

/// A longer line does not help on a terminal, and is not shown.
const LONGEST_EXCERPT: usize = 200;

/// A configuration file's text, and what its paths are relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, absolute, so that a path within it means the same wherever it is used.
    pub file: PathBuf,
    /// The text.
    pub text: String,
    /// What relative paths from the environment are relative to; those in the file are relative to its folder.
    pub working_directory: PathBuf,
}

impl Source {
    /// Reads `file` from the disk.
    ///
    /// # Errors
    /// One mistake: the file is missing, unreadable, larger than 1 MiB or not UTF-8.
    pub fn read(file: &Path) -> Result<Source, Diagnostics> {
        let fault = |what: String, why: &str, help: &str| {
            let origin = Origin::File(file.to_owned());
            Diagnostics::one(Problem::new(what, why, help).at(origin))
        };
        let unreadable = |error: std::io::Error| {
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => "create it, or name another with --config",
                std::io::ErrorKind::PermissionDenied => "let the user that runs reconcile read it",
                _ => "check the path and the disk",
            };
            fault(
                format!("the configuration cannot be read: {error}"),
                "without it there is nothing to do",
                help,
            )
        };
        let working_directory = std::env::current_dir().map_err(unreadable)?;
        let bytes = contents(file).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            fault(
                format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()),
                "TOML is UTF-8 text",
                "save the file as UTF-8",
            )
        })?;
        Ok(Source {
            file: working_directory.join(file),
            text,
            working_directory,
        })
    }

    /// The folder that relative paths within the file start from.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// Where `span` stands.
    pub(super) fn origin(&self, span: Span) -> Origin {
        let start = self.boundary(span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_text = self.text[line_start..].lines().next().unwrap_or_default();
        let column = self.text[line_start..start].chars().count() + 1;
        let end = self
            .boundary(span.end)
            .clamp(start, line_start + line_text.len().max(start - line_start));
        let shown = line_text.chars().count() <= LONGEST_EXCERPT && !may_hold_a_secret(line_text);
        Origin::Place(Place {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column,
            excerpt: shown.then(|| line_text.to_owned()),
            width: self.text[start..end].chars().count().max(1),
        })
    }

    /// The line of `span`, from 1.
    pub(super) fn line(&self, span: Span) -> usize {
        self.text[..self.boundary(span.start)].matches('\n').count() + 1
    }

    /// The nearest place at or before `at` where a character begins.
    fn boundary(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at)
            .rev()
            .find(|&at| self.text.is_char_boundary(at))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_not_bytes() {
        let source = Source {
            file: "/r.toml".into(),
            text: "# ä\nö = \"ü\"\n".into(),
            working_directory: "/".into(),
        };
        let at = source.text.find("\"ü").unwrap();
        let Origin::Place(place) = source.origin(Span::new(at, at + 4)) else {
            panic!("a place")
        };
        assert_eq!((place.line, place.column, place.width), (2, 5, 3));
        assert_eq!(place.excerpt.as_deref(), Some("ö = \"ü\""));
    }

    #[test]
    fn a_span_outside_of_the_text_is_a_place_all_the_same() {
        let source = Source {
            file: "/r.toml".into(),
            text: "ä\n".into(),
            working_directory: "/".into(),
        };
        for (start, end) in [(0, 0), (1, 2), (3, 3), (2, 900), (900, 2)] {
            let Origin::Place(place) = source.origin(Span::new(start, end)) else {
                panic!("a place")
            };
            assert!(
                place.width >= 1 && place.line <= 2,
                "{start}..{end}: {place:?}"
            );
        }
    }
}
