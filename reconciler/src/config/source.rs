//! The text of a configuration file, and where in it a byte stands.

use std::path::{Path, PathBuf};

use toml_span::Span;

use super::files::contents;
use super::mistake::{Mistakes, Origin, Place, Remark};

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
    pub fn read(file: &Path) -> Result<Source, Mistakes> {
        let fault = |what: String, why: &str, mend: &str| {
            let origin = Origin::File(file.to_owned());
            Mistakes::one(Remark {
                origin,
                what,
                why: why.to_owned(),
                mend: mend.to_owned(),
            })
        };
        let unreadable = |error: std::io::Error| {
            let mend = match error.kind() {
                std::io::ErrorKind::NotFound => "create it, or name another with --config",
                std::io::ErrorKind::PermissionDenied => "let the user that runs reconcile read it",
                _ => "check the path and the disk",
            };
            fault(
                format!("the configuration cannot be read: {error}"),
                "without it there is nothing to do",
                mend,
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

/// Whether a line of the file must not be repeated: it may hold a password within a URL, or a secret that was
/// written in place of the name of its file.
pub(super) fn may_hold_a_secret(line: &str) -> bool {
    let in_url = line.split("://").skip(1).any(|rest| {
        // A password may hold any character, so everything up to the last `@` of the line counts.
        rest.rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':') || !line.contains("ssh://"))
    });
    // The form of scp, `user@host:path`, has no place for a password; a person may try all the same.
    let in_scp = line.split(['"', '\'', ' ']).any(|word| {
        word.rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':') && !user.contains('/'))
    });
    let keys = line
        .split('=')
        .filter_map(|part| part.split(['{', ',', '.']).next_back());
    in_url
        || in_scp
        || keys
            .into_iter()
            .any(|key| names_a_secret(key.trim().trim_matches(['"', '\''])))
}

/// Whether a key's name says that its value is a secret, rather than the name of a file or of a user.
pub(super) fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let secret = ["secret", "token", "password", "passphrase", "private_key"]
        .iter()
        .any(|word| key.contains(word));
    secret
        && !["_file", "_files", "_user"]
            .iter()
            .any(|ending| key.ends_with(ending))
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

    #[test]
    fn lines_with_a_secret_are_known() {
        for line in [
            "url = \"https://me:hunter2@git.example/a/b\"",
            "url = \"https://hunter2@git.example/a/b\"",
            "url = \"ssh://me:hun/ter@2@git.example/a/b\"",
            "url = \"me:hunter2@git.example:a/b\"",
            "url = \"https://git.example/a/b?access_token=hunter2\"",
            "secret = \"hunter2\"",
            "webhook = { secret = \"hunter2\" }",
            "webhook.\"secret\" = \"hunter2\"",
            "API_TOKEN=\"hunter2\"",
        ] {
            assert!(may_hold_a_secret(line), "{line}");
        }
        for line in [
            "url = \"ssh://git@gitea.example:2222/a/b.git\"",
            "url = \"git@gitea.example:a/b.git\"",
            "url = \"https://git.example/a/b\"",
            "secret_files = [\"a\"]",
            "token_file = \"a\"",
            "token_user = \"a\"",
            "interval = \"5\"",
        ] {
            assert!(!may_hold_a_secret(line), "{line}");
        }
    }
}
