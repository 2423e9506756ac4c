//! From a text and the environment to what a function makes of them, or to every mistake in them. Pure.

use toml_span::value::Table;
use toml_span::{ErrorKind, Span};

use super::diagnostics::{Diagnostics, Warnings};
use super::environment::Environment;
use super::named::NamedPath;
use super::notes::Notes;
use super::problem::{Problem, quoted};
use super::section::Section;
use super::source::Source;
use super::unknown_variables::refuse_unknown;

/// What was read without a mistake.
pub struct Reading<T> {
    /// What was made of it.
    pub value: T,
    /// What should still be looked at.
    pub warnings: Warnings,
    /// Every path that it names.
    pub paths: Vec<NamedPath>,
}

/// What `top` makes of the top of the file.
///
/// # Errors
/// Every mistake at once, except that a text that is not TOML shows only its first.
pub fn read<T>(
    source: &Source,
    environment: &Environment,
    top: impl FnOnce(Section<'_>) -> T,
) -> Result<Reading<T>, Diagnostics> {
    let text = toml_span::parse(&source.text).map_err(|error| {
        Diagnostics::one(not_toml(&error.kind, source).at(source.origin(error.span)))
    })?;
    let empty = Table::new();
    let notes = Notes::new(source, environment);
    let value = top(Section::top(&notes, text.as_table().unwrap_or(&empty)));
    refuse_unknown(&notes);
    Diagnostics::among(notes.mistakes.take())?;
    Ok(Reading {
        value,
        warnings: Warnings::of(notes.warnings.take()),
        paths: notes.paths.take(),
    })
}

/// A fault of the text's form.
fn not_toml(kind: &ErrorKind, source: &Source) -> Problem {
    let again = |what: String, first: &Span| {
        let why = format!("it stands on line {} already", source.line(*first));
        Problem::new(what, why, "keep one of the two")
    };
    match kind {
        ErrorKind::DuplicateKey { key, first } => {
            again(format!("key {} stands twice", quoted(key)), first)
        }
        ErrorKind::DuplicateTable { name, first } => {
            again(format!("table [{name}] stands twice"), first)
        }
        kind => Problem::new(
            format!("this is not TOML: {kind}"),
            "nothing after it can be read; there may be more to mend",
            "texts stand in quotes, tables in [brackets]; see https://toml.io",
        ),
    }
}
