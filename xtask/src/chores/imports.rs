//! Who imports whom within a crate: no circle of files, and, where a crate has floors, nothing from above.
//!
//! An arrow goes from a file to the one that defines what it uses, through faces: `use crate::X` is no arrow to `lib.rs`
//! if that only re-exports `X`; the re-export itself is one. `mod x;` is no arrow, and code under `#[cfg(test)]` has
//! none. A method needs no import, so a call of one is no arrow either.

mod arrows;
mod cfg;
mod circles;
mod contents;
mod floors;
mod import;
mod paths;
mod resolve;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod usetree;

use std::path::Path;

use anyhow::{Result, bail};
use cargo_metadata::Package;

use cfg::Tests;
use floors::Floors;
use tree::Tree;

use super::cargo::members;

/// Checks every crate of a workspace: libraries, programs, and tests under `tests/`.
///
/// # Errors
/// Every circle and every arrow upwards, each with its place.
pub fn check(workspace: &Path) -> Result<()> {
    let metadata = members(workspace)?;
    let floors = Floors::read(&metadata.workspace_metadata)?;
    let mut wrong: Vec<String> = floors
        .crates()
        .filter(|name| {
            !metadata
                .packages
                .iter()
                .any(|package| package.name == *name)
        })
        .map(|name| format!("[workspace.metadata.floors] names {name}, which is no crate of ours"))
        .collect();
    for package in &metadata.packages {
        wrong.extend(wrong_in(workspace, package, &floors)?);
    }
    if !wrong.is_empty() {
        bail!("imports that must not be:\n{}", wrong.join("\n"));
    }
    Ok(())
}

fn wrong_in(workspace: &Path, package: &Package, floors: &Floors) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for target in &package.targets {
        let tests = if target.is_test() {
            Tests::Built
        } else {
            Tests::LeftOut
        };
        let is_product = target.is_lib() || target.is_bin();
        let floors = floors.of(&package.name).filter(|_| is_product);
        let tree = Tree::read(workspace, target.src_path.as_std_path(), tests)?;
        wrong.extend(wrong_with(&tree, floors));
    }
    Ok(wrong)
}

fn wrong_with(tree: &Tree, floors: Option<&[String]>) -> Vec<String> {
    let arrows = arrows::arrows(tree);
    let mut wrong = circles::circles(tree, &arrows);
    if let Some(floors) = floors {
        wrong.extend(floors::upwards(tree, &arrows, floors));
    }
    wrong
}
