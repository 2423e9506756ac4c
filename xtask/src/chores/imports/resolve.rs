//! Where a path leads: through imports and re-exports to the module that defines what it names.

use std::collections::BTreeSet;
use std::ptr;

use super::import::{Brings, Import, Reach};
use super::tree::{ModuleId, ROOT, Tree};

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    Module(ModuleId),
    /// What this module defines: an item, or what lies in one.
    Item(ModuleId),
}

impl Found {
    /// The module that it is, or that defines it.
    #[must_use]
    pub fn place(self) -> ModuleId {
        match self {
            Self::Module(module) | Self::Item(module) => module,
        }
    }

    fn module(self) -> Option<ModuleId> {
        match self {
            Self::Module(module) => Some(module),
            Self::Item(_) => None,
        }
    }
}

/// The imports that are being followed: a circle of them ends where it closes.
type Following<'a> = Vec<&'a Import>;

impl Tree {
    /// What a path names that is written in a module: one name can be a module and a function. Nothing if it leads
    /// out of the crate.
    #[must_use]
    pub fn resolve(&self, from: ModuleId, path: &[String]) -> BTreeSet<Found> {
        self.walk(from, path, &mut Vec::new())
    }

    /// Everything that `use module::*` may bring from elsewhere: what the module defines, and what it re-exports.
    #[must_use]
    pub fn brought_by_glob(&self, module: ModuleId) -> BTreeSet<Found> {
        let mut found = BTreeSet::new();
        self.collect_brought(module, &mut BTreeSet::new(), &mut found);
        found
    }

    fn collect_brought(
        &self,
        module: ModuleId,
        seen: &mut BTreeSet<ModuleId>,
        found: &mut BTreeSet<Found>,
    ) {
        if !seen.insert(module) {
            return;
        }
        let contents = &self.modules[module].contents;
        if !(contents.definitions.is_empty() && contents.made.is_empty()) {
            found.insert(Found::Item(module));
        }
        let shared = contents
            .imports
            .iter()
            .filter(|import| import.reach == Reach::ReExported);
        for import in shared {
            let named = self.resolve(module, &import.path);
            if import.brings != Brings::All {
                found.extend(named);
                continue;
            }
            for named in named {
                match named {
                    Found::Module(inner) => self.collect_brought(inner, seen, found),
                    Found::Item(_) => drop(found.insert(named)),
                }
            }
        }
    }

    fn walk<'a>(
        &'a self,
        from: ModuleId,
        path: &[String],
        following: &mut Following<'a>,
    ) -> BTreeSet<Found> {
        let Some((first, rest)) = path.split_first() else {
            return BTreeSet::new();
        };
        let mut reached = match first.as_str() {
            "crate" => BTreeSet::from([Found::Module(ROOT)]),
            "self" => BTreeSet::from([Found::Module(from)]),
            "super" => self.parent(from).into_iter().collect(),
            name => self.lookup(from, name, following),
        };
        for name in rest {
            reached = self.step(reached, name, following);
        }
        reached
    }

    /// One name further. What lies in an item is the item's; what a module does not say that it has, a macro made there.
    fn step<'a>(
        &'a self,
        reached: BTreeSet<Found>,
        name: &str,
        following: &mut Following<'a>,
    ) -> BTreeSet<Found> {
        let modules: Vec<_> = reached.iter().filter_map(|found| found.module()).collect();
        if modules.is_empty() {
            return reached;
        }
        let mut found = BTreeSet::new();
        for module in modules {
            let named = match name {
                "super" => self.parent(module).into_iter().collect(),
                name => self.lookup(module, name, following),
            };
            if named.is_empty() {
                found.insert(Found::Item(module));
            }
            found.extend(named);
        }
        found
    }

    fn parent(&self, module: ModuleId) -> Option<Found> {
        self.modules[module].parent.map(Found::Module)
    }

    /// What a name is in a module: its own and what it imports, or else what its item macros may have made, or else
    /// what globs bring.
    fn lookup<'a>(
        &'a self,
        module: ModuleId,
        name: &str,
        following: &mut Following<'a>,
    ) -> BTreeSet<Found> {
        let own = &self.modules[module];
        let mut found = BTreeSet::new();
        found.extend(own.children.get(name).copied().map(Found::Module));
        if own.contents.definitions.contains(name) {
            found.insert(Found::Item(module));
        }
        let imports = &own.contents.imports;
        for import in imports.iter().filter(|import| import.brings(name)) {
            found.extend(self.follow(module, import, following));
        }
        if found.is_empty() && own.contents.made.contains(name) {
            found.insert(Found::Item(module));
        }
        if !found.is_empty() {
            return found;
        }
        for glob in imports.iter().filter(|import| import.brings == Brings::All) {
            found.extend(self.lookup_through(module, glob, name, following));
        }
        found
    }

    /// What an import leads to. What comes from another crate counts as defined where this one imports it.
    fn follow<'a>(
        &'a self,
        module: ModuleId,
        import: &'a Import,
        following: &mut Following<'a>,
    ) -> BTreeSet<Found> {
        if following.iter().any(|other| ptr::eq(*other, import)) {
            return BTreeSet::new();
        }
        following.push(import);
        let mut found = self.walk(module, &import.path, following);
        following.pop();
        if found.is_empty() {
            found.insert(Found::Item(module));
        }
        found
    }

    fn lookup_through<'a>(
        &'a self,
        module: ModuleId,
        glob: &'a Import,
        name: &str,
        following: &mut Following<'a>,
    ) -> BTreeSet<Found> {
        if following.iter().any(|other| ptr::eq(*other, glob)) {
            return BTreeSet::new();
        }
        following.push(glob);
        let reached = self.walk(module, &glob.path, following);
        let modules = reached.into_iter().filter_map(Found::module);
        let found = modules
            .flat_map(|inner| self.lookup(inner, name, following))
            .collect();
        following.pop();
        found
    }
}
