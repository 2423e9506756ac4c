//! Whose a folder is, and who has to work on it for that.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

/// Who has to work on the state in `folder`, where we are root and it is somebody else's.
pub fn owner_instead_of_root(folder: &Path) -> Option<Uid> {
    let owner = Uid::from_raw(folder.metadata().ok()?.uid());
    instead_of_root(geteuid(), owner)
}

fn instead_of_root(we: Uid, owner: Uid) -> Option<Uid> {
    (we.is_root() && !owner.is_root()).then_some(owner)
}

/// What a user is called; its number where nobody has named it.
pub fn name_of(user: Uid) -> String {
    let known = User::from_uid(user).ok().flatten();
    known.map_or_else(|| user.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_is_sent_to_another_user_and_only_where_the_state_is_not_its_own() {
        let [root, nobody, other] = [0, 65_534, 4_000_000].map(Uid::from_raw);
        assert_eq!(instead_of_root(root, nobody), Some(nobody));
        for (we, owner) in [
            (root, root),
            (nobody, root),
            (nobody, nobody),
            (nobody, other),
        ] {
            assert_eq!(instead_of_root(we, owner), None, "{we} {owner}");
        }
        assert_eq!(
            (name_of(nobody), name_of(other)),
            ("nobody".to_owned(), "4000000".to_owned())
        );
    }
}
