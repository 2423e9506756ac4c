//! The Helm chart, `charts/reconcile`.
//!
//! `ci/*-values.yaml` are the sets of values that it is tried with, and `tests/rendered/` what Helm makes of them:
//! committed, so that a change of a template shows what it changes. `UPDATE_RENDERED=1` writes them anew.
//! What needs no Helm is looked at every day: the committed configs by the real `reconcile check`, the words by the schema.

mod committed;
mod helm;
mod pod;
mod refused;
mod rendered;
mod words;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xtask::workspace::root;

/// The chart's folder.
fn chart() -> PathBuf {
    root().join("charts/reconcile")
}

/// The names of the sets of values, in order.
fn sets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(chart().join("ci"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let set = name.strip_suffix("-values.yaml");
        names.push(
            set.with_context(|| format!("ci/{name} is no set of values"))?
                .to_owned(),
        );
    }
    names.sort();
    Ok(names)
}

/// The file of a set's values.
fn values(set: &str) -> PathBuf {
    chart().join(format!("ci/{set}-values.yaml"))
}

/// What Helm is known to make of a set.
fn committed(set: &str) -> Result<String> {
    let file = chart().join(format!("tests/rendered/{set}.yaml"));
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}
