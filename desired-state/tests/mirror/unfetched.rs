//! Commits that have something elsewhere: files of Git LFS, and submodules.

use desired_state::{Access, Unfetched};

use crate::support::{AMPLE, World, git};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// What the mirror says of the newest commit, for a flake in a folder.
async fn unfetched(world: &World, folder: &str) -> Option<Unfetched> {
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    mirror
        .unfetched(&world.revision("main"), folder)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_commit_with_pointers_of_git_lfs_is_named_unless_its_flake_speaks_of_them() {
    let world = World::new();
    world.write(
        "certs/.gitattributes",
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    world.write("certs/real.txt", "a real file\n");
    world.commit("no pointer yet");
    assert_eq!(unfetched(&world, ".").await, None);

    world.write("certs/ca.bin", POINTER);
    world.commit("a pointer");
    let found = unfetched(&world, ".").await.unwrap();
    let paths = "certs/ca.bin".to_owned();
    assert_eq!(found, Unfetched::LargeFiles { paths });
    let said = found.to_string();
    assert!(
        said.contains("certs/ca.bin") && said.contains("inputs.self.lfs = true"),
        "{said}"
    );

    world.write(
        "flake.nix",
        "{ inputs.self.lfs = true; outputs = { self }: { }; }\n",
    );
    world.commit("it asks for them");
    assert_eq!(unfetched(&world, ".").await, None);

    world.write("nix/flake.nix", "{ outputs = { self }: { }; }\n");
    world.commit("another flake that does not");
    assert!(unfetched(&world, "./nix/").await.is_some());
    assert_eq!(unfetched(&world, ".").await, None);
}

#[tokio::test]
async fn a_commit_with_submodules_is_named_unless_its_flake_speaks_of_them() {
    let world = World::new();
    let id = world.revision("main");
    for name in ["a", "b", "c", "modules/common"] {
        let entry = format!("160000,{id},{name}");
        world.git(&["update-index", "--add", "--cacheinfo", &entry]);
    }
    world.git(&["commit", "--quiet", "--message", "submodules"]);
    let found = unfetched(&world, ".").await.unwrap();
    let said = found.to_string();
    assert!(matches!(found, Unfetched::Submodules { .. }), "{said}");
    assert!(said.contains("a, b, c and 1 more"), "{said}");

    world.write(
        "flake.nix",
        "# submodules = false\n{ outputs = { self }: { }; }\n",
    );
    world.git(&["add", "flake.nix"]);
    world.git(&["commit", "--quiet", "--message", "without them"]);
    assert_eq!(unfetched(&world, ".").await, None);
}

#[tokio::test]
async fn the_mirror_says_where_it_comes_from_for_whoever_resolves_relative_urls() {
    let world = World::new();
    let origin = || git(&world.path("mirror/.git"), &["config", "remote.origin.url"]);
    world.mirror().fetch().await.unwrap();
    assert_eq!(origin().trim(), world.file_url());
    let other = World::new();
    let mirror = world.mirror_of(&other.file_url(), Access::None, AMPLE);
    mirror.fetch().await.unwrap();
    assert_eq!(origin().trim(), other.file_url());
    // It is not fetched by: only branches are, from the URL of the settings.
    assert_eq!(
        git(
            &world.path("mirror/.git"),
            &["config", "--get-all", "remote.origin.url"]
        )
        .lines()
        .count(),
        1
    );
}
