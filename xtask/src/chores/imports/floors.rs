//! Floors: the modules on a crate's top sheet in an order, each of which may use those below it.
//!
//! The root `Cargo.toml` lists them, the top first, and at the end what all stand on:
//!
//! ```toml
//! [workspace.metadata.floors]
//! reconciler = ["cli", "daemon", "api", "commands", "controller", "execution", "state", "context", "telemetry", "config", "error_chain"]
//! ```
//!
//! The root itself, `lib.rs` or `main.rs`, is the roof: it may use everything, and nobody what is defined there. A
//! crate that is not listed has no floors.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::arrows::Arrow;
use super::tree::{ModuleId, ROOT, Tree};

/// The floors of each crate that has some.
#[derive(Debug, Default, Deserialize)]
pub struct Floors(BTreeMap<String, Vec<String>>);

impl Floors {
    /// Reads the floors from the workspace's metadata.
    ///
    /// # Errors
    /// When they are no lists of names.
    pub fn read(metadata: &Value) -> Result<Self> {
        match metadata.get("floors") {
            Some(floors) => Self::deserialize(floors).context("[workspace.metadata.floors]"),
            None => Ok(Self::default()),
        }
    }

    /// A crate's floors, the top first.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The crates that have floors.
    pub fn crates(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What is wrong with a crate's floors: modules that have none, and arrows that point upwards.
#[must_use]
pub fn upwards(tree: &Tree, arrows: &BTreeSet<Arrow>, floors: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for child in tree.modules[ROOT].children.values() {
        if standing(tree, *child, floors) == Standing::Nowhere {
            let module = &tree.modules[*child];
            wrong.push(format!(
                "{}: {} has no floor: add it to [workspace.metadata.floors] in the root Cargo.toml",
                tree.at(ROOT, module.declared),
                module.path.join("::"),
            ));
        }
    }
    let upward = arrows.iter().filter(|arrow| {
        let (from, to) = (
            standing(tree, arrow.from, floors),
            standing(tree, arrow.to, floors),
        );
        from != Standing::Nowhere && to != Standing::Nowhere && to < from
    });
    wrong.extend(upward.map(|arrow| {
        format!(
            "{} uses {} of {}, which is above it",
            tree.at(arrow.from, arrow.line),
            arrow.name,
            tree.shown(&tree.modules[arrow.to].file),
        )
    }));
    wrong
}

/// Where a module stands: the less, the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Roof,
    Floor(usize),
    Nowhere,
}

fn standing(tree: &Tree, module: ModuleId, floors: &[String]) -> Standing {
    let Some(top) = tree.modules[module].path.first() else {
        return Standing::Roof;
    };
    let floor = floors.iter().position(|floor| floor == top);
    floor.map_or(Standing::Nowhere, Standing::Floor)
}
