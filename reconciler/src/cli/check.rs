//! `reconcile check`.

use std::path::Path;

use super::exit::{CliError, Exit};
use super::output;
use crate::config::{self, Environment};

/// Reads the config whole, and the files that it names; reports every mistake at once.
pub fn run(file: &Path, environment: &Environment) -> Result<Exit, CliError> {
    let loaded = config::load(file, environment)?;
    let warnings = config::check(&loaded)?;
    for warning in warnings.iter() {
        output::note(&format!("{warning}"));
    }
    let config = &loaded.config;
    output::print(&format!(
        "{}: good: {} hosts, {} repositories\n",
        file.display(),
        config.hosts.len(),
        config.repositories.len()
    ))
}
