//! What a reading has found so far, besides the values.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::diagnostics::{Diagnostic, Origin};
use super::environment::Environment;
use super::named::NamedPath;
use super::problem::Problem;
use super::source::Source;

/// What a reading of one configuration has found so far.
pub struct Notes<'a> {
    pub source: &'a Source,
    pub environment: &'a Environment,
    pub mistakes: RefCell<Vec<Diagnostic>>,
    pub warnings: RefCell<Vec<Diagnostic>>,
    pub paths: RefCell<Vec<NamedPath>>,
    /// Every environment variable that would have been heeded.
    pub variables: RefCell<BTreeSet<String>>,
}

impl<'a> Notes<'a> {
    pub fn new(source: &'a Source, environment: &'a Environment) -> Notes<'a> {
        Notes {
            source,
            environment,
            mistakes: RefCell::default(),
            warnings: RefCell::default(),
            paths: RefCell::default(),
            variables: RefCell::default(),
        }
    }

    pub fn mistake(&self, origin: Origin, problem: Problem) {
        self.mistakes.borrow_mut().push(problem.at(origin));
    }

    pub fn warn(&self, origin: Origin, problem: Problem) {
        self.warnings.borrow_mut().push(problem.at(origin));
    }
}
