//! Which folders to watch so that no change of a file goes unseen, however it is made.
//!
//! A watch on the file itself follows the inode, and so loses a file that is renamed over; a watch on its folder
//! sees that. Where the path leads through symlinks, each link's folder counts too: Kubernetes changes a volume by
//! renaming a new link over `..data`, NixOS changes `/etc` by one over `/etc/static`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// As many symlinks as Linux follows in one path: `path_resolution(7)`.
const MOST_LINKS: usize = 40;

/// The folders that are watched.
pub(super) struct Folders {
    watcher: Option<RecommendedWatcher>,
    /// Each with what was wrong with watching it, if anything.
    watched: BTreeMap<PathBuf, Option<String>>,
}

impl Folders {
    /// Watches nothing yet; without a watcher, it never will.
    pub fn new(watcher: Option<RecommendedWatcher>) -> Folders {
        Folders {
            watcher,
            watched: BTreeMap::new(),
        }
    }

    /// Watches what must be watched to see changes of `files`, and nothing else.
    pub fn follow(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let needed: BTreeSet<PathBuf> = files
            .into_iter()
            .flat_map(|file| folders_of(&file))
            .collect();
        for folder in self
            .watched
            .keys()
            .filter(|folder| !needed.contains(*folder))
        {
            // It fails when the folder is gone, and then there is nothing to stop.
            let _ = watcher.unwatch(folder);
        }
        let before = std::mem::take(&mut self.watched);
        for folder in needed {
            // Every folder each time: one that was removed and made again has another inode, and to add a watch
            // that exists changes nothing (`inotify_add_watch(2)`).
            let fault = watcher
                .watch(&folder, RecursiveMode::NonRecursive)
                .err()
                .map(|error| error.to_string());
            if let Some(error) = &fault
                && before.get(&folder) != Some(&fault)
            {
                tracing::warn!(folder = %folder.display(), error, "changes in a folder are seen only by re-reading");
            }
            self.watched.insert(folder, fault);
        }
    }
}

/// The folders in which something must change for `file`, an absolute path, to hold or mean something else: the
/// folder of every symlink on its way, the folder of the file at its end, and where something on the way is missing,
/// the last folder before it.
fn folders_of(file: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut here = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = names(file).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let is_last = rest.is_empty();
        match next.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() && links < MOST_LINKS => {
                folders.insert(here.clone());
                links += 1;
                let Ok(target) = next.read_link() else { break };
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(name);
                }
            }
            Ok(metadata) if metadata.is_dir() && !is_last => here = next,
            _ => {
                folders.insert(here.clone());
                break;
            }
        }
    }
    folders
}

/// The names in a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_folder_of_every_link_and_of_the_file_is_watched() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        let [volume, version, elsewhere] =
            ["volume", "volume/..2026_1", "elsewhere"].map(|name| root.join(name));
        std::fs::create_dir_all(&version).unwrap();
        std::fs::create_dir_all(&elsewhere).unwrap();
        std::fs::write(version.join("secret"), "x").unwrap();
        symlink("..2026_1", volume.join("..data")).unwrap();
        symlink("..data/secret", volume.join("secret")).unwrap();
        symlink("../volume/secret", elsewhere.join("link")).unwrap();

        assert_eq!(
            folders_of(&version.join("secret")),
            BTreeSet::from([version.clone()])
        );
        assert_eq!(
            folders_of(&volume.join("secret")),
            BTreeSet::from([volume.clone(), version.clone()])
        );
        assert_eq!(
            folders_of(&elsewhere.join("link")),
            BTreeSet::from([elsewhere, volume, version])
        );
    }

    #[test]
    fn where_a_folder_is_missing_the_one_before_it_is_watched() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        assert_eq!(
            folders_of(&root.join("a/b/c")),
            BTreeSet::from([root.clone()])
        );
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(folders_of(&root.join("loop/b")), BTreeSet::from([root]));
    }
}
