//! Mirrors of `file://` repositories: what a fetch brings, and what is kept.

use std::os::unix::ffi::OsStrExt as _;

use desired_state::{Access, Branches, Lineage, MirrorError, RemoteFailure};

use crate::support::{AMPLE, World, branch, git};

#[tokio::test]
async fn a_first_fetch_brings_all_branches_and_says_which() {
    let world = World::new();
    world.git(&["branch", "feature/größer"]);
    let mirror = world.mirror();
    let error = mirror.tip(&branch("main")).await.unwrap_err();
    assert!(
        matches!(error, MirrorError::NotFetchedYet { .. }),
        "{error}"
    );

    let fetched = mirror.fetch().await.unwrap();
    assert_eq!(fetched.changed, [branch("feature/größer"), branch("main")]);
    assert!(!fetched.recloned);
    let main = world.revision("main");
    assert_eq!(
        mirror.tip(&branch("main")).await.unwrap(),
        Some(main.clone())
    );
    assert_eq!(
        mirror.tip(&branch("feature/größer")).await.unwrap(),
        Some(main)
    );
    assert_eq!(mirror.tip(&branch("absent")).await.unwrap(), None);
    assert_eq!(mirror.fetch().await.unwrap().changed, []);
}

#[tokio::test]
async fn a_push_is_forward_and_a_forced_push_is_rewound_and_keeps_the_old_commit() {
    let world = World::new();
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    let first = world.revision("main");
    let second = world.commit("second");
    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
    assert_eq!(
        mirror.lineage(&first, &second).await.unwrap(),
        Lineage::Forward
    );
    assert_eq!(
        mirror.lineage(&second, &second).await.unwrap(),
        Lineage::Same
    );

    let forced = world.amend("second, otherwise");
    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
    assert_eq!(
        mirror.tip(&branch("main")).await.unwrap(),
        Some(forced.clone())
    );
    assert_eq!(
        mirror.lineage(&second, &forced).await.unwrap(),
        Lineage::Rewound
    );
    assert!(mirror.contains(&second).await.unwrap());

    // Also after a person's garbage collection.
    let git_directory = mirror.directory().join(".git");
    git(&git_directory, &["gc", "--quiet", "--prune=now"]);
    assert!(mirror.contains(&second).await.unwrap());
    assert_eq!(mirror.fetch().await.unwrap().changed, []);
}

#[tokio::test]
async fn a_deleted_branch_is_gone_and_its_commits_are_kept() {
    let world = World::new();
    world.git(&["switch", "--quiet", "--create", "doomed"]);
    let doomed = world.commit("doomed");
    world.git(&["switch", "--quiet", "main"]);
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    world.git(&["branch", "--quiet", "-D", "doomed"]);
    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("doomed")]);
    assert_eq!(mirror.tip(&branch("doomed")).await.unwrap(), None);
    assert!(mirror.contains(&doomed).await.unwrap());
    assert_eq!(mirror.resolve(doomed.short()).await.unwrap(), doomed);
}

#[tokio::test]
async fn a_branch_that_nobody_follows_is_left_alone_until_somebody_asks() {
    let world = World::new();
    world.git(&["branch", "bot"]);
    world.git(&["branch", "topic"]);
    let mirror = world.mirror();
    let followed = || Branches::These([branch("main"), branch("topic/one")].into());
    // A clone brings all there is, for nobody knows yet what is pinned.
    let fetched = mirror.fetch_branches(followed()).await.unwrap();
    assert_eq!(fetched.changed.len(), 3);
    let before = mirror.tip(&branch("bot")).await.unwrap();

    world.git(&["switch", "--quiet", "bot"]);
    let by_bot = world.amend("by a bot");
    assert_eq!(mirror.fetch_branches(followed()).await.unwrap().changed, []);
    assert!(!mirror.contains(&by_bot).await.unwrap());
    assert_eq!(mirror.tip(&branch("bot")).await.unwrap(), before);

    world.git(&["switch", "--quiet", "main"]);
    let second = world.commit("second");
    // What is gone makes room, whoever followed it.
    world.git(&["branch", "-m", "topic", "topic/one"]);
    let fetched = mirror.fetch_branches(followed()).await.unwrap();
    let changed = [branch("main"), branch("topic"), branch("topic/one")];
    assert_eq!(fetched.changed, changed);
    assert_eq!(mirror.tip(&branch("main")).await.unwrap(), Some(second));
    assert!(!mirror.contains(&by_bot).await.unwrap());

    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("bot")]);
    assert_eq!(mirror.tip(&branch("bot")).await.unwrap(), Some(by_bot));
}

#[tokio::test]
async fn a_branch_may_become_a_folder_of_branches_and_back() {
    let world = World::new();
    world.git(&["branch", "topic"]);
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    world.git(&["branch", "-m", "topic", "topic/one"]);
    mirror.fetch().await.unwrap();
    assert!(mirror.tip(&branch("topic/one")).await.unwrap().is_some());
    assert_eq!(mirror.tip(&branch("topic")).await.unwrap(), None);
    world.git(&["branch", "-m", "topic/one", "topic"]);
    mirror.fetch().await.unwrap();
    assert!(mirror.tip(&branch("topic")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_branch_whose_name_is_not_utf_8_is_passed_over_and_hurts_nobody() {
    let world = World::new();
    let head = world.source().join(".git/refs/heads");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    std::fs::copy(head.join("main"), head.join(name)).unwrap();
    let mirror = world.mirror();
    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
    std::fs::remove_file(head.join(name)).unwrap();
    assert_eq!(mirror.fetch().await.unwrap().changed, []);
}

#[tokio::test]
async fn an_empty_repository_has_no_branches_and_gets_them_later() {
    let world = World::empty();
    let mirror = world.mirror();
    assert_eq!(mirror.fetch().await.unwrap().changed, []);
    assert_eq!(mirror.tip(&branch("main")).await.unwrap(), None);
    let first = world.commit("first");
    assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
    assert_eq!(mirror.tip(&branch("main")).await.unwrap(), Some(first));
}

#[tokio::test]
async fn an_empty_folder_is_a_mirror_not_fetched_yet() {
    let world = World::new();
    std::fs::create_dir(world.path("mirror")).unwrap();
    let mirror = world.mirror();
    let error = mirror.tip(&branch("main")).await.unwrap_err();
    assert!(
        matches!(error, MirrorError::NotFetchedYet { .. }),
        "{error}"
    );
    assert!(!mirror.fetch().await.unwrap().recloned);
    assert!(!world.path("mirror.broken").exists());
}

#[tokio::test]
async fn the_mirror_follows_another_url_and_keeps_what_it_had() {
    let world = World::new();
    let old = world.revision("main");
    world.mirror().fetch().await.unwrap();
    let other = World::new();
    other.git(&["branch", "-m", "main", "trunk"]);
    let new = other.amend("unrelated");
    let mirror = world.mirror_of(&other.file_url(), Access::None, AMPLE);
    let fetched = mirror.fetch().await.unwrap();
    assert_eq!(fetched.changed, [branch("main"), branch("trunk")]);
    assert!(!fetched.recloned);
    assert_eq!(mirror.tip(&branch("main")).await.unwrap(), None);
    assert_eq!(mirror.lineage(&old, &new).await.unwrap(), Lineage::Rewound);
    assert!(mirror.contains(&old).await.unwrap());
}

#[tokio::test]
async fn a_sha256_repository_is_refused_in_plain_words() {
    let world = World::empty();
    std::fs::remove_dir_all(world.source()).unwrap();
    std::fs::create_dir(world.source()).unwrap();
    world.git(&["init", "--quiet", "--object-format=sha256"]);
    world.git(&["commit", "--quiet", "--allow-empty", "--message", "first"]);
    let error = world.mirror().fetch().await.unwrap_err();
    let is_sha256 = matches!(
        &error,
        MirrorError::Remote {
            failure: RemoteFailure::Sha256,
            ..
        }
    );
    assert!(is_sha256, "{error:?}");
    assert!(
        error.to_string().contains("use a SHA-1 repository"),
        "{error}"
    );
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn a_folder_without_a_repository_is_not_found() {
    let world = World::new();
    let url = format!("file://{}/nowhere", world.root.path().display());
    let error = world
        .mirror_of(&url, Access::None, AMPLE)
        .fetch()
        .await
        .unwrap_err();
    let is_not_found = matches!(
        &error,
        MirrorError::Remote {
            failure: RemoteFailure::NotFound,
            ..
        }
    );
    assert!(is_not_found, "{error:?}");
}

#[tokio::test]
async fn a_revision_is_found_by_its_first_digits_and_by_nothing_else() {
    let world = World::new();
    let revision = world.revision("main");
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    let text = revision.as_str();
    for good in [text, &text[..7], &text[..12].to_uppercase()] {
        assert_eq!(mirror.resolve(good).await.unwrap(), revision, "{good}");
    }
    for bad in ["main", &text[..6], "--help", ""] {
        let error = mirror.resolve(bad).await.unwrap_err();
        assert!(matches!(error, MirrorError::NotARevision(_)), "{error}");
    }
    let tree = world.git(&["rev-parse", "main^{tree}"]);
    for absent in ["0000000", tree.trim(), &tree[..10]] {
        let error = mirror.resolve(absent).await.unwrap_err();
        assert!(matches!(error, MirrorError::UnknownRevision(_)), "{error}");
    }
    let absent = "0123456789012345678901234567890123456789".parse().unwrap();
    assert!(!mirror.contains(&absent).await.unwrap());
    let error = mirror.lineage(&revision, &absent).await.unwrap_err();
    assert!(matches!(error, MirrorError::UnknownRevision(_)), "{error}");
}

#[tokio::test]
async fn many_fetches_at_once_into_one_folder_all_succeed() {
    let world = World::new();
    // Two values stand for two processes: they share nothing but the lock on disk.
    let (one, two) = (world.mirror(), world.mirror());
    let fetches = (0..8).map(|n| {
        let mirror = if n % 2 == 0 { one.clone() } else { two.clone() };
        tokio::spawn(async move { mirror.fetch().await })
    });
    for fetch in fetches.collect::<Vec<_>>() {
        fetch.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_server_is_asked_without_fetching_anything() {
    let world = World::new();
    let mirror = world.mirror();
    mirror.ask(AMPLE).await.unwrap();
    let error = mirror.tip(&branch("main")).await.unwrap_err();
    assert!(
        matches!(error, MirrorError::NotFetchedYet { .. }),
        "{error}"
    );
    std::fs::remove_dir_all(world.source()).unwrap();
    std::fs::create_dir(world.source()).unwrap();
    world.git(&["init", "--quiet", "--object-format=sha256"]);
    world.git(&["commit", "--quiet", "--allow-empty", "--message", "first"]);
    let error = mirror.ask(AMPLE).await.unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
    assert!(!error.is_worth_retrying());
}
