//! Imports, and uses of paths.

/// A leaf of a `use` tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub path: Vec<String>,
    pub brings: Brings,
    pub reach: Reach,
}

/// What an import brings into scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brings {
    Name(String),
    /// `use a::*`.
    All,
    /// `use a::Trait as _`.
    NoName,
}

/// Who sees an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Private,
    ReExported,
}

/// A path that is used somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    pub path: Vec<String>,
    pub line: usize,
    pub by: Usage,
}

/// How a path is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// In an expression, a type, a macro.
    Path,
    Import,
    ReExport,
    /// An import of everything.
    Glob,
}

impl Import {
    /// This import as a use of its path.
    #[must_use]
    pub fn used(&self, line: usize) -> Used {
        let by = match (&self.brings, self.reach) {
            (Brings::All, _) => Usage::Glob,
            (_, Reach::ReExported) => Usage::ReExport,
            (_, Reach::Private) => Usage::Import,
        };
        Used {
            path: self.path.clone(),
            line,
            by,
        }
    }

    /// Whether it brings this name.
    #[must_use]
    pub fn brings(&self, name: &str) -> bool {
        matches!(&self.brings, Brings::Name(own) if own == name)
    }
}
