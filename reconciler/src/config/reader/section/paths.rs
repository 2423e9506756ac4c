//! Paths among the keys of a table: relative ones are made absolute, and all are remembered.

use std::path::{Path, PathBuf};

use super::super::diagnostics::Origin;
use super::super::named::{NamedPath, PathRole};
use super::super::problem::{Problem, quoted};
use super::super::values::{Given, text};
use super::Section;

impl Section<'_> {
    /// The path at `key`, absolute.
    pub fn path_at(&mut self, key: &'static str, role: PathRole) -> Option<PathBuf> {
        let written = self.optional(key, text)?;
        self.resolve(key, &written, self.origin_of(key), role)
    }

    /// The paths of the list at `key`, absolute; from the environment, separated by `:` as in `PATH`.
    pub fn paths_at(&mut self, key: &'static str, role: PathRole) -> Vec<PathBuf> {
        self.known(key);
        let mut written: Vec<(String, Origin)> = Vec::new();
        if let Some((name, given)) = self.variable(key) {
            let parts = given.split(':').filter(|part| !part.is_empty());
            written.extend(parts.map(|part| (part.to_owned(), Origin::Variable(name.clone()))));
        } else if let Some(elements) = self.list(key) {
            for element in elements {
                let origin = self.place(element.span);
                match text(Given::Toml(element)) {
                    Ok(part) => written.push((part, origin)),
                    Err(problem) => self.notes.mistake(origin, problem.named(&self.path(key))),
                }
            }
        }
        let mut paths = Vec::new();
        for (part, origin) in written {
            let Some(path) = self.resolve(key, &part, origin.clone(), role) else {
                continue;
            };
            if paths.contains(&path) {
                let what = format!("{}: {} stands twice", self.path(key), quoted(&part));
                self.notes.mistake(
                    origin,
                    Problem::new(what, "once is enough", "remove one of them"),
                );
            } else {
                paths.push(path);
            }
        }
        paths
    }

    /// Remembers that the configuration names `path`, so that it is checked and followed.
    pub fn name_path(&self, key: &str, path: PathBuf, origin: Origin, role: PathRole) {
        self.notes.paths.borrow_mut().push(NamedPath {
            key: self.path(key),
            path,
            role,
            origin,
        });
    }

    fn resolve(&self, key: &str, written: &str, origin: Origin, role: PathRole) -> Option<PathBuf> {
        if written.starts_with('~') {
            let problem = Problem::new(
                format!("{} begins with `~`", quoted(written)),
                "only a shell replaces `~` by a home folder",
                "write the path in full",
            );
            self.notes.mistake(origin, problem.named(&self.path(key)));
            return None;
        }
        let base = match origin {
            Origin::Variable(_) => &self.notes.source.working_directory,
            _ => self.notes.source.folder(),
        };
        let path = lexically_clean(&base.join(written));
        self.name_path(key, path.clone(), origin, role);
        Some(path)
    }
}

/// The path without `.` components. `..` stays: beyond a symlink it is not the folder's parent.
fn lexically_clean(path: &Path) -> PathBuf {
    path.components().collect()
}
