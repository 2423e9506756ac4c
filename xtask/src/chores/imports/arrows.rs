//! Arrows from a module to the one that defines what it uses.

use std::collections::BTreeSet;

use super::import::{Usage, Used};
use super::resolve::Found;
use super::tree::{ModuleId, Tree};

/// One use of something that is defined elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: ModuleId,
    pub to: ModuleId,
    pub line: usize,
    /// The path as it is written.
    pub name: String,
}

/// All arrows of a crate between its modules, in the order of modules and lines.
#[must_use]
pub fn arrows(tree: &Tree) -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for (from, module) in tree.modules.iter().enumerate() {
        for used in &module.contents.used {
            let targets = targets(tree, from, used).into_iter();
            arrows.extend(targets.filter(|to| *to != from).map(|to| Arrow {
                from,
                to,
                line: used.line,
                name: used.path.join("::"),
            }));
        }
    }
    arrows
}

/// The modules that define what is used.
fn targets(tree: &Tree, from: ModuleId, used: &Used) -> BTreeSet<ModuleId> {
    if !leads_on(tree, from, &used.path) {
        return BTreeSet::new();
    }
    let mut found = tree.resolve(from, &used.path);
    if used.by == Usage::Glob {
        let brought = found.iter().flat_map(|found| match *found {
            Found::Module(module) => tree.brought_by_glob(module),
            item => BTreeSet::from([item]),
        });
        found = brought.collect();
    }
    let items = found.iter().filter_map(|found| match *found {
        Found::Item(module) => Some(module),
        Found::Module(_) => None,
    });
    let items: BTreeSet<ModuleId> = items.collect();
    // To import a module alone is to use nothing of it yet: the paths through it are arrows.
    if !items.is_empty() || used.by == Usage::Import {
        return items;
    }
    found.into_iter().map(Found::place).collect()
}

/// Whether a path begins at a module. One that begins at an item goes no further than the import of that item.
fn leads_on(tree: &Tree, from: ModuleId, path: &[String]) -> bool {
    let first = path.get(..1).unwrap_or_default();
    tree.resolve(from, first)
        .iter()
        .any(|found| matches!(found, Found::Module(_)))
}
