//! A crate's modules, read from its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

use anyhow::{Context, Result, anyhow};
use syn::visit::Visit;
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta};

use super::cfg::Tests;
use super::contents::Contents;
use super::paths::Paths;

/// A module's place in [`Tree::modules`]; the crate's root is the first.
pub type ModuleId = usize;

/// The root of a crate.
pub const ROOT: ModuleId = 0;

/// A module.
#[derive(Debug)]
pub struct Module {
    /// Its names from the root, which itself has none.
    pub path: Vec<String>,
    pub file: PathBuf,
    pub parent: Option<ModuleId>,
    /// Where its parent says `mod`.
    pub declared: usize,
    pub children: BTreeMap<String, ModuleId>,
    pub contents: Contents,
}

/// The modules of a crate.
#[derive(Debug)]
pub struct Tree {
    /// The workspace.
    base: PathBuf,
    pub modules: Vec<Module>,
}

/// What a module is read with.
struct Reading<'a> {
    tests: Tests,
    file: &'a Path,
    /// Where the files of its children lie.
    folder: PathBuf,
}

impl Tree {
    /// Reads a crate of a workspace from the file of its root.
    ///
    /// # Errors
    /// When a file is not there, or is not Rust.
    pub fn read(workspace: &Path, root: &Path, tests: Tests) -> Result<Self> {
        let mut tree = Self {
            base: workspace.to_path_buf(),
            modules: vec![Module {
                path: Vec::new(),
                file: root.to_path_buf(),
                parent: None,
                declared: 0,
                children: BTreeMap::new(),
                contents: Contents::default(),
            }],
        };
        let reading = Reading {
            tests,
            file: root,
            folder: folder_of(root),
        };
        tree.fill(ROOT, &parsed(root)?, &reading)?;
        Ok(tree)
    }

    /// A file as a person names it.
    #[must_use]
    pub fn shown(&self, file: &Path) -> String {
        file.strip_prefix(&self.base)
            .unwrap_or(file)
            .display()
            .to_string()
    }

    /// A line of a module's file, for a person to find.
    #[must_use]
    pub fn at(&self, module: ModuleId, line: usize) -> String {
        format!("{}:{line}", self.shown(&self.modules[module].file))
    }

    /// Reads what a module says, and its children.
    fn fill(&mut self, module: ModuleId, items: &[Item], reading: &Reading) -> Result<()> {
        let mut contents = Contents::default();
        let mut paths = Paths::new(reading.tests);
        let built = items.iter().filter(|item| reading.tests.have_item(item));
        for item in built {
            match item {
                Item::Mod(child) => self.add(module, child, reading)?,
                Item::Use(item) => contents.import(item),
                item => {
                    contents.define(item);
                    paths.visit_item(item);
                }
            }
        }
        contents.used.extend(paths.found());
        self.modules[module].contents = contents;
        Ok(())
    }

    /// Reads a module that its parent declares.
    fn add(&mut self, parent: ModuleId, item: &ItemMod, reading: &Reading) -> Result<()> {
        let name = item.ident.to_string();
        let (file, folder) = place(item, reading)?;
        let items = match &item.content {
            Some((_, items)) => items.clone(),
            None => parsed(&file)?,
        };
        let id = self.modules.len();
        let path = [self.modules[parent].path.as_slice(), slice::from_ref(&name)].concat();
        self.modules.push(Module {
            path,
            file: file.clone(),
            parent: Some(parent),
            declared: item.ident.span().start().line,
            children: BTreeMap::new(),
            contents: Contents::default(),
        });
        self.modules[parent].children.insert(name, id);
        let reading = Reading {
            tests: reading.tests,
            file: &file,
            folder,
        };
        self.fill(id, &items, &reading)
    }
}

/// The file of a module, and the folder where those of its children lie.
fn place(item: &ItemMod, reading: &Reading) -> Result<(PathBuf, PathBuf)> {
    let inside = reading.folder.join(item.ident.to_string());
    if item.content.is_some() {
        return Ok((reading.file.to_path_buf(), inside));
    }
    if let Some(path) = item.attrs.iter().find_map(path_attribute) {
        let file = folder_of(reading.file).join(path);
        let folder = folder_of(&file);
        return Ok((file, folder));
    }
    let places = [inside.with_extension("rs"), inside.join("mod.rs")];
    let file = places.into_iter().find(|file| file.is_file());
    let line = item.ident.span().start().line;
    let file = file.with_context(|| {
        format!(
            "{}:{line}: no file for mod {}",
            reading.file.display(),
            item.ident
        )
    })?;
    Ok((file, inside))
}

/// What `#[path = "…"]` says.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(path),
                ..
            }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_path_buf()
}

fn parsed(file: &Path) -> Result<Vec<Item>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let parsed = syn::parse_file(&text).map_err(|error| {
        let line = error.span().start().line;
        anyhow!("{}:{line}: {error}", file.display())
    })?;
    Ok(parsed.items)
}
