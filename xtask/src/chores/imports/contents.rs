//! What a module says: what it defines, what it imports, and which paths it uses.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{Ident, Item, ItemUse};

use super::import::{Import, Used};
use super::usetree;

/// What a file, or an inline module, says of names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The names of its items, modules apart.
    pub definitions: BTreeSet<String>,
    /// Every word in its item macros: what these define is among them, the macro alone knows which.
    pub made: BTreeSet<String>,
    /// Every leaf of its `use` trees, those within functions apart.
    pub imports: Vec<Import>,
    /// Every path that it uses, those of imports too.
    pub used: Vec<Used>,
}

impl Contents {
    /// Takes a `use` in.
    pub fn import(&mut self, item: &ItemUse) {
        for (import, span) in usetree::imports(item) {
            self.used.push(import.used(span.start().line));
            self.imports.push(import);
        }
    }

    /// Takes the names in that an item defines.
    pub fn define(&mut self, item: &Item) {
        match item {
            Item::Macro(made) if made.ident.is_none() => {
                words(made.mac.tokens.clone(), &mut self.made)
            }
            item => self.definitions.extend(name(item).map(Ident::to_string)),
        }
    }
}

fn name(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::TraitAlias(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

fn words(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => drop(found.insert(word.to_string())),
            TokenTree::Group(group) => words(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}
