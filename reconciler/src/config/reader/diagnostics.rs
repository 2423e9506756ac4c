//! What is wrong with a configuration, told so that it can be mended: where, what, why, and how.

use std::fmt;
use std::path::PathBuf;

/// One thing to say about the configuration: a mistake, or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it was written.
    pub origin: Origin,
    /// What was found, on one line.
    pub what: String,
    /// Why that does not do.
    pub why: String,
    /// What to write instead.
    pub help: String,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file as a whole: it cannot be read, or lacks something.
    File(PathBuf),
    /// A place in the file.
    Place(Place),
    /// An environment variable.
    Variable(String),
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line's text; `None` where it may hold a secret or is too long to help.
    pub excerpt: Option<String>,
    /// How many characters the caret underlines, at least 1.
    pub width: usize,
}

/// Every mistake of a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", Blocks(.0))]
pub struct Diagnostics(Vec<Diagnostic>);

/// What does not stop the daemon and should still be looked at; often empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings(Vec<Diagnostic>);

impl Diagnostics {
    /// `diagnostics` as mistakes, in the order of the file, or nothing where there are none.
    pub(in crate::config) fn among(mut diagnostics: Vec<Diagnostic>) -> Result<(), Diagnostics> {
        if diagnostics.is_empty() {
            return Ok(());
        }
        diagnostics.sort_by_key(|diagnostic| diagnostic.origin.rank());
        Err(Diagnostics(diagnostics))
    }

    /// A single mistake.
    pub(super) fn one(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }

    /// The mistakes, in the order of the file, then the environment's.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Never: only a person, or a changed file, mends a mistake.
    pub fn is_worth_retrying(&self) -> bool {
        false
    }
}

impl Warnings {
    /// `diagnostics` in the order of the file.
    pub(in crate::config) fn of(mut diagnostics: Vec<Diagnostic>) -> Warnings {
        diagnostics.sort_by_key(|diagnostic| diagnostic.origin.rank());
        Warnings(diagnostics)
    }

    /// These and `others`.
    pub fn and(self, others: Warnings) -> Warnings {
        Warnings::of(self.0.into_iter().chain(others.0).collect())
    }

    /// The warnings, in the order of the file, then the environment's.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Origin {
    /// Orders diagnostics as a person reads: the file as a whole, its lines, the environment.
    fn rank(&self) -> (u8, usize, usize, String) {
        match self {
            Origin::File(_) => (0, 0, 0, String::new()),
            Origin::Place(place) => (1, place.line, place.column, String::new()),
            Origin::Variable(name) => (2, 0, 0, name.clone()),
        }
    }
}

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Blocks(&self.0).fmt(f)
    }
}

/// `file:line:column`, as compilers write it and editors follow it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(file) => f.write_str(&printable(&file.to_string_lossy())),
            Origin::Place(place) => {
                let file = place.file.to_string_lossy();
                write!(f, "{}:{}:{}", printable(&file), place.line, place.column)
            }
            Origin::Variable(name) => write!(f, "environment variable {}", printable(name)),
        }
    }
}

/// One block: the place and the fault, the line with a caret, the reason, the help. Ends without a line feed.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, printable(&self.what))?;
        if let Origin::Place(Place {
            line,
            column,
            excerpt: Some(excerpt),
            width,
            ..
        }) = &self.origin
        {
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            let indent = " ".repeat(column.saturating_sub(1));
            write!(f, "\n {number} | {}", printable(excerpt))?;
            write!(f, "\n {gutter} | {indent}{}", "^".repeat(*width))?;
        }
        write!(f, "\n   why:  {}", printable(&self.why))?;
        write!(f, "\n   mend: {}", printable(&self.help))
    }
}

/// Remarks one after another, an empty line between two.
struct Blocks<'a>(&'a [Diagnostic]);

impl fmt::Display for Blocks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

/// `text` without control characters, each replaced by one character so that a caret below still fits.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_its_line_with_a_caret_below_the_fault() {
        let place = Place {
            file: "reconcile.toml".into(),
            line: 12,
            column: 8,
            excerpt: Some("listen\t= \"\u{1b}[31mno\"".into()),
            width: 3,
        };
        let diagnostic = Diagnostic {
            origin: Origin::Place(place),
            what: "w\u{7}".into(),
            why: "y".into(),
            help: "m".into(),
        };
        assert_eq!(
            diagnostic.to_string(),
            "reconcile.toml:12:8: w\u{fffd}\n 12 | listen = \"\u{fffd}[31mno\"\n    |        ^^^\n   why:  y\n   mend: m"
        );
    }
}
