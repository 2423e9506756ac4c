//! Finds the commit that a person means by its first digits.

use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::error::MirrorError;
use crate::names::Revision;
use crate::shown::shown;

/// The fewest digits: what `git log --oneline` prints at least.
const FEWEST: usize = 7;

/// The digits of a whole SHA-1 id.
const WHOLE: usize = 40;

/// How much of a refused text an error repeats, in characters.
const SHOWN: usize = 60;

/// The first digits of a commit id, or all of them.
#[derive(Debug, Clone)]
pub(super) struct Prefix(String);

impl TryFrom<&str> for Prefix {
    type Error = MirrorError;

    fn try_from(text: &str) -> Result<Self, MirrorError> {
        let digits = text.trim();
        let is_prefix = (FEWEST..=WHOLE).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if is_prefix {
            Ok(Self(digits.to_ascii_lowercase()))
        } else {
            Err(MirrorError::NotARevision(shown(text, SHOWN)))
        }
    }
}

impl Prefix {
    /// The commits that begin so; two are enough to know that there is more than one.
    pub(super) fn find(&self, repository: &Repository) -> Result<Vec<Oid>, git2::Error> {
        match repository.find_commit_by_prefix(&self.0) {
            Ok(commit) => Ok(vec![commit.id()]),
            // Not there, or there and not a commit.
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::Invalid) => {
                Ok(Vec::new())
            }
            // Files and folders count for libgit2 too, and share seven digits with a commit now and then.
            Err(error) if error.code() == ErrorCode::Ambiguous => self.find_commits(repository),
            Err(error) => Err(error),
        }
    }

    fn find_commits(&self, repository: &Repository) -> Result<Vec<Oid>, git2::Error> {
        let odb = repository.odb()?;
        let mut candidates = Vec::new();
        odb.foreach(|id| {
            if id.to_string().starts_with(&self.0) {
                candidates.push(*id);
            }
            true
        })?;
        // An object can be in two packs.
        candidates.sort_unstable();
        candidates.dedup();
        let mut commits = Vec::new();
        for id in candidates {
            if odb.read_header(id)?.1 == ObjectType::Commit {
                commits.push(id);
            }
        }
        Ok(commits)
    }

    /// The one commit that was found.
    pub(super) fn only_one(self, found: Vec<Oid>) -> Result<Revision, MirrorError> {
        match found.as_slice() {
            [] => Err(MirrorError::UnknownRevision(self.0)),
            [id] => {
                Revision::try_from(id.to_string()).map_err(|_| MirrorError::NotARevision(self.0))
            }
            _ => Err(MirrorError::AmbiguousRevision(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_seven_to_forty_hexadecimal_digits_are_a_revision() {
        for good in ["0123456", "0123456789ABCDEF", " abcdef0\n", &"a".repeat(40)] {
            assert!(Prefix::try_from(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "012345",
            "main",
            "HEAD~1",
            "0123456g",
            &"a".repeat(41),
            "-123456",
        ] {
            let error = Prefix::try_from(bad).unwrap_err();
            assert!(matches!(error, MirrorError::NotARevision(_)), "{error}");
        }
    }

    #[test]
    fn a_file_with_the_same_digits_does_not_make_a_commit_ambiguous() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        let tree = repository.treebuilder(None).unwrap().write().unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let who = git2::Signature::new("a", "a@example", &git2::Time::new(0, 0)).unwrap();
        let mut firsts = std::collections::HashMap::new();
        // Two digits collide soon; the logic is the same as for seven.
        let (commit, prefix) = (0..)
            .find_map(|n: u32| {
                let blob = repository.blob(n.to_string().as_bytes()).unwrap();
                firsts.insert(blob.to_string()[..2].to_owned(), blob);
                let commit = repository
                    .commit(None, &who, &who, &n.to_string(), &tree, &[])
                    .unwrap();
                let prefix = commit.to_string()[..2].to_owned();
                firsts.contains_key(&prefix).then_some((commit, prefix))
            })
            .unwrap();
        let found = Prefix(prefix).find_commits(&repository).unwrap();
        assert!(found.contains(&commit));
        let odb = repository.odb().unwrap();
        let is_commit = |id: &Oid| odb.read_header(*id).unwrap().1 == ObjectType::Commit;
        assert!(found.iter().all(is_commit));
    }
}
