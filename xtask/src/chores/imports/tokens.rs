//! Paths in tokens that nobody parses: what macros and attributes are given.

use proc_macro2::{Ident, Literal, TokenStream, TokenTree};
use syn::{LitStr, Path};

/// Every path of these tokens with its line, also of one name.
pub fn paths(tokens: TokenStream) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<(Vec<String>, usize)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => found.extend(quoted(literal)),
            TokenTree::Ident(first) => {
                let (before, rest) = tokens.split_at(at);
                if begins_here(before, first) {
                    found.push((names(rest), first.span().start().line));
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// The names that begin here and are joined by `::`.
fn names(mut tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    while let [TokenTree::Ident(name), after @ ..] = tokens {
        names.push(name.to_string());
        tokens = match after {
            [first, second, rest @ ..] if is(first, ':') && is(second, ':') => rest,
            _ => break,
        };
    }
    names
}

/// Whether a name begins a path: it neither goes on with one, nor is it a method or a macro's variable.
fn begins_here(before: &[TokenTree], name: &Ident) -> bool {
    match before {
        [.., first, second] if is(first, ':') && is(second, ':') => false,
        [.., dollar] if is(dollar, '$') => name == "crate",
        [.., dot] => !is(dot, '.'),
        [] => true,
    }
}

fn is(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(own) if own.as_char() == character)
}

/// A path in a string, as in `#[serde(with = "crate::duration")]`.
fn quoted(literal: &Literal) -> Option<(Vec<String>, usize)> {
    let text: LitStr = syn::parse_str(&literal.to_string()).ok()?;
    let path: Path = text.parse().ok()?;
    let names = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string());
    Some((names.collect(), literal.span().start().line))
}
