//! How one commit stands to another: may a host go from the one to the other without a person having said so?

use crate::names::Revision;

/// How the commit that a branch shows now stands to the commit that it showed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lineage {
    /// The same commit.
    Same,
    /// The later commit has the earlier one among its ancestors: an ordinary push.
    Forward,
    /// Anything else: a forced push, a branch deleted and made anew, unrelated history.
    Rewound,
}

impl Lineage {
    /// Whether following the branch would drop commits that were wished for before.
    #[must_use]
    pub fn is_rewound(self) -> bool {
        self == Self::Rewound
    }
}

/// Asks `repository` how `to` stands to `from`.
///
/// A `from` that the repository does not have is answered with [`Lineage::Rewound`]: whoever has `to` has all its
/// ancestors, so `from` is not one of them.
///
/// # Errors
///
/// `to` is not there, or an object on the way cannot be read.
pub(super) fn between(
    repository: &git2::Repository,
    from: &Revision,
    to: &Revision,
) -> Result<Lineage, git2::Error> {
    let from = git2::Oid::from_str(from.as_str())?;
    let to = git2::Oid::from_str(to.as_str())?;
    repository.find_commit(to)?;
    if from == to {
        return Ok(Lineage::Same);
    }
    match repository.find_commit(from) {
        Ok(_) => {}
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(Lineage::Rewound),
        Err(error) => return Err(error),
    }
    // git_graph_descendant_of: a commit is not its own descendant, which is why `from == to` is answered above.
    if repository.graph_descendant_of(to, from)? {
        Ok(Lineage::Forward)
    } else {
        Ok(Lineage::Rewound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a commit with an empty tree.
    fn commit(repository: &git2::Repository, message: &str, parents: &[&Revision]) -> Revision {
        let tree = repository.treebuilder(None).unwrap().write().unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let who = git2::Signature::new("a", "a@example", &git2::Time::new(0, 0)).unwrap();
        let parents: Vec<git2::Commit<'_>> = parents
            .iter()
            .map(|parent| {
                let id = git2::Oid::from_str(parent.as_str()).unwrap();
                repository.find_commit(id).unwrap()
            })
            .collect();
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        let id = repository
            .commit(None, &who, &who, message, &tree, &parents)
            .unwrap();
        id.to_string().parse().unwrap()
    }

    #[test]
    fn only_a_descendant_is_forward_and_all_else_is_rewound() {
        let directory = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init_bare(directory.path()).unwrap();
        let root = commit(&repository, "root", &[]);
        let left = commit(&repository, "left", &[&root]);
        let right = commit(&repository, "right", &[&root]);
        let merge = commit(&repository, "merge", &[&left, &right]);
        let stranger = commit(&repository, "stranger", &[]);
        let absent: Revision = "0123456789012345678901234567890123456789".parse().unwrap();

        let check = |from: &Revision, to: &Revision, expected: Lineage| {
            assert_eq!(between(&repository, from, to).unwrap(), expected);
        };
        check(&root, &root, Lineage::Same);
        check(&root, &left, Lineage::Forward);
        check(&root, &merge, Lineage::Forward);
        check(&right, &merge, Lineage::Forward);
        check(&left, &root, Lineage::Rewound);
        check(&left, &right, Lineage::Rewound);
        check(&root, &stranger, Lineage::Rewound);
        check(&absent, &root, Lineage::Rewound);
        assert!(between(&repository, &root, &absent).is_err());
        assert!(Lineage::Rewound.is_rewound() && !Lineage::Forward.is_rewound());
    }
}
