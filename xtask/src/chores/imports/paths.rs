//! The paths that code uses, wherever it does: types, expressions, patterns, attributes, and what macros are given.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, Field, ImplItemFn, Item, ItemUse, Macro, Meta, Path, Stmt, Visibility,
};

use super::cfg::Tests;
use super::import::{Import, Usage, Used};
use super::{tokens, usetree};

/// Walks through code and notes every path of more than one name; one name alone was imported, or is the module's own.
pub struct Paths {
    tests: Tests,
    used: Vec<Used>,
    // What functions import for themselves, the innermost last.
    blocks: Vec<Vec<Import>>,
}

impl Paths {
    #[must_use]
    pub fn new(tests: Tests) -> Self {
        Self {
            tests,
            used: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(self) -> Vec<Used> {
        self.used
    }

    fn note(&mut self, path: Vec<String>, line: usize) {
        if path.len() < 2 {
            return;
        }
        self.used.push(Used {
            path: self.unfolded(path),
            line,
            by: Usage::Path,
        });
    }

    /// A path whose first name an enclosing function imports is that import's.
    fn unfolded(&self, path: Vec<String>) -> Vec<String> {
        let Some((first, rest)) = path.split_first() else {
            return path;
        };
        let imports = self.blocks.iter().rev().flatten();
        match imports.into_iter().find(|import| import.brings(first)) {
            Some(import) => [&import.path, rest].concat(),
            None => path,
        }
    }

    fn scan(&mut self, tokens: &TokenStream) {
        for (path, line) in tokens::paths(tokens.clone()) {
            self.note(path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let names = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string());
            self.note(names.collect(), path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, node: &'ast Macro) {
        self.visit_path(&node.path);
        self.scan(&node.tokens);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) => self.scan(&list.tokens),
            Meta::NameValue(_) | Meta::Path(_) => visit::visit_attribute(self, attribute),
        }
    }

    fn visit_block(&mut self, block: &'ast Block) {
        let imports = block.stmts.iter().filter_map(|statement| match statement {
            Stmt::Item(Item::Use(item)) => Some(usetree::imports(item)),
            _ => None,
        });
        let imports = imports.flatten().map(|(import, _)| import).collect();
        self.blocks.push(imports);
        visit::visit_block(self, block);
        self.blocks.pop();
    }

    /// Only those in functions come here.
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (import, span) in usetree::imports(item) {
            self.used.push(import.used(span.start().line));
        }
    }

    fn visit_item(&mut self, item: &'ast Item) {
        if self.tests.have_item(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if self.tests.have(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        if self.tests.have(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    /// `pub(in crate::a)` uses nothing of `a`.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
