//! Reads a configuration of TOML and environment variables so that every mistake is told at once, each with where it
//! stands, what it is, why it does not do and what to write instead. What the keys mean is the business of who calls.
//!
//! [`read()`] takes a [`Source`] and a function that reads the top [`Section`]; that one asks for its keys and the
//! tables below, and ends with [`Section::finish`]. [`values`] are how a single value is read: each returns it typed,
//! or a [`Problem`], which the section makes a [`Diagnostic`] of.

mod bytes;
mod diagnostics;
mod environment;
mod files;
mod masking;
mod named;
mod nearest;
mod notes;
mod problem;
mod read;
mod section;
mod source;
mod unknown_variables;
pub mod values;

pub use bytes::bytes;
pub use diagnostics::{Diagnostic, Diagnostics, Origin, Place, Warnings};
pub use environment::{Environment, environment};
pub use files::contents;
pub use named::{NamedPath, PathRole};
pub use nearest::{did_you_mean, nearest};
pub use problem::{Problem, quoted};
pub use read::read;
pub use section::Section;
pub use source::Source;
