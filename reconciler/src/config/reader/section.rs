//! Reads the keys of one table: from the environment, else from the file, else the default; what is wrong is
//! noted and reading goes on, so that one run reports every mistake.

mod paths;

use std::cell::Cell;

use toml_span::Span;
use toml_span::value::{Key, Table, Value};

use super::diagnostics::Origin;
use super::masking::names_a_secret;
use super::nearest::did_you_mean;
use super::notes::Notes;
use super::problem::{Problem, quoted};
use super::values::{Given, type_of};

/// One table of the file, present or not.
pub struct Section<'a> {
    notes: &'a Notes<'a>,
    /// How messages name it: `defaults.timeouts`; empty for the top of the file.
    name: String,
    /// What its variables begin with; `None` where the environment does not count.
    prefix: Option<String>,
    table: Option<&'a Table<'a>>,
    origin: Origin,
    asked: Vec<&'static str>,
    overridden: Cell<bool>,
}

impl<'a> Section<'a> {
    /// The top of the file.
    pub fn top(notes: &'a Notes<'a>, table: &'a Table<'a>) -> Section<'a> {
        let origin = Origin::File(notes.source.file.clone());
        Section::new(
            notes,
            String::new(),
            Some("RECONCILE".to_owned()),
            Some(table),
            origin,
        )
    }

    fn new(
        notes: &'a Notes<'a>,
        name: String,
        prefix: Option<String>,
        table: Option<&'a Table<'a>>,
        origin: Origin,
    ) -> Section<'a> {
        Section {
            notes,
            name,
            prefix,
            table,
            origin,
            asked: Vec::new(),
            overridden: Cell::new(false),
        }
    }

    /// The table below `key`, which the environment may set too where it may set this one.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let prefix = self.prefix.as_ref().map(|prefix| variable(prefix, key));
        self.known(key);
        let (table, origin) = match self.entry(key) {
            Some((key, value)) => (self.table_of(value), self.place(key.span)),
            None => (None, self.origin.clone()),
        };
        Section::new(self.notes, self.path(key), prefix, table, origin)
    }

    /// The tables below the table `key`, each with its name; the environment does not count there.
    pub fn named_sections(&mut self, key: &'static str) -> Vec<(&'a Key<'a>, Section<'a>)> {
        let parent = self.section(key);
        let mut entries: Vec<_> = parent.table.into_iter().flatten().collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
            .into_iter()
            .map(|(key, value)| {
                let (name, origin) = (parent.path(&key.name), parent.place(key.span));
                (
                    key,
                    Section::new(self.notes, name, None, parent.table_of(value), origin),
                )
            })
            .collect()
    }

    /// A table that stands as a value, such as one element of a list.
    pub fn inline(&self, name: &str, value: &'a Value<'a>) -> Section<'a> {
        Section::new(
            self.notes,
            self.path(name),
            None,
            self.table_of(value),
            self.place(value.span),
        )
    }

    /// The value of `key` as `read` takes it; `None` where it is absent or wrong (and noted).
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Given<'_>) -> Result<T, Problem>,
    ) -> Option<T> {
        self.known(key);
        let noted = |result: Result<T, Problem>, origin: Origin| {
            result
                .map_err(|problem| self.notes.mistake(origin, problem.named(&self.path(key))))
                .ok()
        };
        // The file's value is read even where the environment's counts: a mistake in it is one tomorrow.
        let written = self
            .entry(key)
            .and_then(|(_, value)| noted(read(Given::Toml(value)), self.place(value.span)));
        match self.variable(key) {
            Some((name, given)) => noted(read(Given::Text(given)), Origin::Variable(name)),
            None => written,
        }
    }

    /// The value of `key`, else `default`.
    pub fn or<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Given<'_>) -> Result<T, Problem>,
        default: T,
    ) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// The value of `key`, whose absence is a mistake; `None` once it is noted.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Given<'_>) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.optional(key, read);
        if !self.has(key) {
            self.missing(key);
        }
        value
    }

    /// The elements of the list at `key`; an empty list is a mistake, and so is what is no list.
    pub fn list(&mut self, key: &'static str) -> Option<&'a [Value<'a>]> {
        let elements = self.elements(key)?;
        if elements.is_empty() {
            self.mistake_at(
                key,
                Problem::new(
                    "the list is empty",
                    "it needs one element at least",
                    "add one, or remove the key",
                ),
            );
            return None;
        }
        Some(elements)
    }

    /// The elements of the list at `key`, of which there may be none; what is no list is a mistake.
    pub fn elements(&mut self, key: &'static str) -> Option<&'a [Value<'a>]> {
        self.known(key);
        let (_, value) = self.entry(key)?;
        let Some(elements) = value.as_array() else {
            let problem = Problem::new(
                format!("a list is expected, not {}", type_of(value)),
                "there may be several",
                "write it in brackets: [\"…\"]",
            );
            self.notes
                .mistake(self.place(value.span), problem.named(&self.path(key)));
            return None;
        };
        Some(elements)
    }

    /// Says that `key` may stand in this table.
    pub fn known(&mut self, key: &'static str) {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
    }

    /// Notes that `key` is missing.
    pub fn missing(&self, key: &str) {
        let table = if self.name.is_empty() {
            "the file".to_owned()
        } else {
            format!("[{}]", self.name)
        };
        let variable = self
            .prefix
            .as_ref()
            .map(|prefix| format!(", or set {}", variable(prefix, key)));
        self.mistake(Problem::new(
            format!("{table} has no `{key}`"),
            "it has no default",
            format!("add `{key} = …` to {table}{}", variable.unwrap_or_default()),
        ));
    }

    /// Notes every key that nobody asked for. To be called last.
    pub fn finish(self) {
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name = key.name.as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let place = if self.name.is_empty() {
                "at the top of the file".to_owned()
            } else {
                format!("in [{}]", self.name)
            };
            let why = format!("known here: {}", self.asked.join(", "));
            let help = if names_a_secret(name) {
                let help = did_you_mean(name, &self.asked);
                format!(
                    "a secret never stands in this file: put it in a file of its own, and name that; {help}"
                )
            } else {
                did_you_mean(name, &self.asked)
            };
            self.notes.mistake(
                self.place(key.span),
                Problem::new(format!("unknown key {} {place}", quoted(name)), why, help),
            );
        }
    }

    /// Notes a mistake of the table as a whole.
    pub fn mistake(&self, problem: Problem) {
        self.notes.mistake(self.origin.clone(), problem);
    }

    /// Notes a warning about the table as a whole.
    pub fn warn(&self, problem: Problem) {
        self.notes.warn(self.origin.clone(), problem);
    }

    /// Notes a mistake at the value of `key`.
    pub fn mistake_at(&self, key: &str, problem: Problem) {
        self.notes
            .mistake(self.origin_of(key), problem.named(&self.path(key)));
    }

    /// Notes a warning at the value of `key`.
    pub fn warn_at(&self, key: &str, problem: Problem) {
        self.notes
            .warn(self.origin_of(key), problem.named(&self.path(key)));
    }

    /// Notes a mistake at one element of a list.
    pub fn mistake_in(&self, key: &str, value: &Value<'_>, problem: Problem) {
        self.notes
            .mistake(self.place(value.span), problem.named(&self.path(key)));
    }

    /// Whether `key` is given, rightly or wrongly.
    pub fn has(&self, key: &str) -> bool {
        self.variable(key).is_some() || self.entry(key).is_some()
    }

    /// Whether anybody wrote this table, or set one of the variables asked for so far.
    pub fn is_present(&self) -> bool {
        self.table.is_some() || self.overridden.get()
    }

    /// Where the value of `key` was written, or where it would have been.
    pub fn origin_of(&self, key: &str) -> Origin {
        match (self.variable(key), self.entry(key)) {
            (Some((name, _)), _) => Origin::Variable(name),
            (None, Some((_, value))) => self.place(value.span),
            (None, None) => self.origin.clone(),
        }
    }

    fn table_of(&self, value: &'a Value<'a>) -> Option<&'a Table<'a>> {
        let table = value.as_table();
        if table.is_none() {
            self.notes.mistake(
                self.place(value.span),
                Problem::new(
                    format!("a table is expected, not {}", type_of(value)),
                    "it holds keys of its own",
                    "write it as [table] or { key = … }",
                ),
            );
        }
        table
    }

    fn entry(&self, key: &str) -> Option<(&'a Key<'a>, &'a Value<'a>)> {
        self.table.and_then(|table| table.get_key_value(key))
    }

    /// The variable that sets `key`, if it is set; an empty one counts as unset, as in most container set-ups.
    fn variable(&self, key: &str) -> Option<(String, &'a str)> {
        let name = variable(self.prefix.as_ref()?, key);
        self.notes.variables.borrow_mut().insert(name.clone());
        let value = self
            .notes
            .environment
            .get(&name)
            .filter(|value| !value.is_empty())?;
        self.overridden.set(true);
        Some((name, value))
    }

    fn place(&self, span: Span) -> Origin {
        self.notes.source.origin(span)
    }

    fn path(&self, key: &str) -> String {
        let key = if key.contains(['/', '.', ' ']) {
            format!("{key:?}")
        } else {
            key.to_owned()
        };
        if self.name.is_empty() {
            key
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// `RECONCILE_DEFAULTS` and `interval` make `RECONCILE_DEFAULTS_INTERVAL`.
fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}_{}", key.to_uppercase())
}
