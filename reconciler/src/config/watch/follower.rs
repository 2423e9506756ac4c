//! Remembers what the configuration and its files held when last looked at, and tells what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::change::Change;
use crate::config::check::check;
use crate::config::loaded::Loaded;
use crate::config::reader::{Diagnostics, Environment, NamedPath, Source, contents};
use crate::config::tables::parse;

/// What a file held: a hash, so that no secret is kept for this.
#[derive(PartialEq, Eq)]
enum Held {
    Contents(u64),
    Unreadable(io::ErrorKind),
}

/// The configuration in force, and what was seen last of its file and of the files it names.
pub(super) struct Follower {
    environment: Environment,
    current: Arc<Loaded>,
    /// The last text of the file, or why it could not be read.
    text: Result<String, Diagnostics>,
    /// What is wrong with that text, and the files it names, which may be where the fault is.
    refused: Option<Refused>,
    files: BTreeMap<PathBuf, Held>,
}

struct Refused {
    mistakes: Diagnostics,
    files: BTreeSet<PathBuf>,
}

impl Follower {
    pub fn new(current: Arc<Loaded>, environment: Environment) -> Follower {
        let text = Ok(current.source.text.clone());
        let files = BTreeMap::new();
        let mut follower = Follower {
            environment,
            current,
            text,
            refused: None,
            files,
        };
        follower.look_at_files();
        follower
    }

    /// The files that matter now: the configuration, what it names, and what a refused one names.
    pub fn followed(&self) -> BTreeSet<PathBuf> {
        let refused = self
            .refused
            .iter()
            .flat_map(|refused| refused.files.iter().cloned());
        self.current.files().into_iter().chain(refused).collect()
    }

    /// Looks at the disk, and tells what differs from the last look.
    pub fn look(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut changed = self.look_at_files();
        let source = Source::read(&self.current.source.file);
        let text = source
            .as_ref()
            .map(|source| source.text.clone())
            .map_err(Diagnostics::clone);
        // What was refused is tried anew at each look: the fault may be in any file that it names.
        if text != self.text || self.refused.is_some() {
            self.text = text;
            changes.extend(self.take_up(source));
            changed.extend(self.look_at_files());
        }
        let changed_among = |wanted: fn(&NamedPath) -> bool| -> Vec<PathBuf> {
            let named = self
                .current
                .paths
                .iter()
                .filter(|named| named.role.is_provided() && wanted(named));
            let paths: BTreeSet<&PathBuf> = named.map(|named| &named.path).collect();
            paths
                .into_iter()
                .filter(|path| changed.contains(*path))
                .cloned()
                .collect()
        };
        let secrets = changed_among(|named| named.role.is_secret());
        let ssh_files = changed_among(|named| !named.role.is_secret());
        changes.extend((!secrets.is_empty()).then_some(Change::SecretsChanged(secrets)));
        changes.extend((!ssh_files.is_empty()).then_some(Change::SshFilesChanged(ssh_files)));
        changes
    }

    /// Puts a configuration in force, or refuses it; a refusal for the same reasons as before is no news.
    fn take_up(&mut self, source: Result<Source, Diagnostics>) -> Option<Change> {
        let mut files = BTreeSet::new();
        let taken = source
            .and_then(|source| parse(source, &self.environment))
            .and_then(|mut loaded| {
                files = loaded.files();
                let found = check(&loaded)?;
                loaded.warnings = loaded.warnings.and(found);
                Ok(loaded)
            });
        match taken {
            Ok(loaded) => {
                self.current = Arc::new(loaded);
                self.refused = None;
                Some(Change::Reloaded(self.current.clone()))
            }
            Err(mistakes) => {
                let known = self
                    .refused
                    .as_ref()
                    .is_some_and(|refused| refused.mistakes == mistakes);
                self.refused = Some(Refused {
                    mistakes: mistakes.clone(),
                    files,
                });
                (!known).then_some(Change::Refused(mistakes))
            }
        }
    }

    /// Looks at all followed files but the configuration, and returns those that hold something else. A file
    /// that was not followed before cannot differ.
    fn look_at_files(&mut self) -> BTreeSet<PathBuf> {
        let mut followed = self.followed();
        followed.remove(&self.current.source.file);
        let now: BTreeMap<PathBuf, Held> = followed
            .into_iter()
            .map(|file| (file.clone(), held_by(&file)))
            .collect();
        let differs = |(file, now): (&PathBuf, &Held)| {
            self.files
                .get(file)
                .is_some_and(|before| before != now)
                .then(|| file.clone())
        };
        let changed = now.iter().filter_map(differs).collect();
        self.files = now;
        changed
    }
}

fn held_by(file: &Path) -> Held {
    match contents(file) {
        Ok(contents) => {
            let mut hasher = DefaultHasher::new();
            contents.hash(&mut hasher);
            Held::Contents(hasher.finish())
        }
        Err(error) => Held::Unreadable(error.kind()),
    }
}
