//! The leaves of `use` trees.

use proc_macro2::Span;
use syn::{ItemUse, UseTree, Visibility};

use super::import::{Brings, Import, Reach};

/// The imports of one `use`, each with the place where it is written. One that begins with `::` names another crate
/// and is left out.
pub fn imports(item: &ItemUse) -> Vec<(Import, Span)> {
    let mut leaves = Vec::new();
    if item.leading_colon.is_none() {
        let reach = match item.vis {
            Visibility::Inherited => Reach::Private,
            _ => Reach::ReExported,
        };
        collect(&item.tree, &[], reach, &mut leaves);
    }
    leaves
}

fn collect(tree: &UseTree, before: &[String], reach: Reach, leaves: &mut Vec<(Import, Span)>) {
    let (path, brings, span) = match tree {
        UseTree::Path(path) => {
            let before = extended(before, &path.ident);
            return collect(&path.tree, &before, reach, leaves);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                collect(tree, before, reach, leaves);
            }
            return;
        }
        UseTree::Name(name) => {
            let path = extended(before, &name.ident);
            let last = path.last().cloned().unwrap_or_default();
            (path, Brings::Name(last), name.ident.span())
        }
        UseTree::Rename(rename) => {
            let brings = match rename.rename.to_string().as_str() {
                "_" => Brings::NoName,
                name => Brings::Name(name.to_owned()),
            };
            (extended(before, &rename.ident), brings, rename.ident.span())
        }
        UseTree::Glob(glob) => (before.to_vec(), Brings::All, glob.star_token.spans[0]),
    };
    let import = Import {
        path,
        brings,
        reach,
    };
    leaves.push((import, span));
}

/// A path with one name more; `a::{self}` names `a`.
fn extended(before: &[String], ident: &syn::Ident) -> Vec<String> {
    let mut path = before.to_vec();
    if ident != "self" || path.is_empty() {
        path.push(ident.to_string());
    }
    path
}
