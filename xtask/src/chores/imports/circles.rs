//! Circles of imports between files: none of them can be read, moved or tested without the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::arrows::Arrow;
use super::tree::{ModuleId, Tree};

type Files<'a> = BTreeSet<&'a Path>;

/// Every circle: its files, and for each name that one of them uses of another the first place.
#[must_use]
pub fn circles(tree: &Tree, arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let file = |module: ModuleId| tree.modules[module].file.as_path();
    let mut direct: BTreeMap<&Path, Files> = BTreeMap::new();
    for arrow in arrows {
        let used = direct.entry(file(arrow.from)).or_default();
        used.insert(file(arrow.to));
    }
    let circles = mutual(&direct);
    let described = circles.iter().map(|circle| {
        let inside = arrows.iter().filter(|arrow| {
            let (from, to) = (file(arrow.from), file(arrow.to));
            from != to && circle.contains(from) && circle.contains(to)
        });
        describe(tree, circle, inside)
    });
    described.collect()
}

/// The sets of files that reach one another.
fn mutual<'a>(direct: &BTreeMap<&'a Path, Files<'a>>) -> BTreeSet<Files<'a>> {
    let reached: BTreeMap<&Path, Files> = direct
        .keys()
        .map(|from| (*from, reached_from(from, direct)))
        .collect();
    let circles = reached.iter().map(|(from, theirs)| {
        let comes_back = |to: &&Path| reached.get(to).is_some_and(|back| back.contains(from));
        theirs.iter().copied().filter(comes_back).collect()
    });
    circles.filter(|circle: &Files| circle.len() > 1).collect()
}

fn reached_from<'a>(from: &Path, direct: &BTreeMap<&'a Path, Files<'a>>) -> Files<'a> {
    let mut reached = Files::new();
    let mut ahead: Vec<&Path> = direct.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = ahead.pop() {
        if reached.insert(file) {
            ahead.extend(direct.get(file).into_iter().flatten());
        }
    }
    reached
}

fn describe<'a>(tree: &Tree, circle: &Files, arrows: impl Iterator<Item = &'a Arrow>) -> String {
    let files: Vec<String> = circle.iter().map(|file| tree.shown(file)).collect();
    let mut text = format!("{} import one another:", files.join(", "));
    let mut said = BTreeSet::new();
    for arrow in arrows {
        if said.insert((arrow.from, arrow.to, &arrow.name)) {
            let to = tree.shown(&tree.modules[arrow.to].file);
            text.push_str(&format!(
                "\n    {} uses {} of {to}",
                tree.at(arrow.from, arrow.line),
                arrow.name
            ));
        }
    }
    text
}
