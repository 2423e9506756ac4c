//! Damaged mirrors: cloned again, once, and never because of the network.

use std::fs;
use std::path::{Path, PathBuf};

use desired_state::{Access, MirrorError};

use crate::support::{AMPLE, World, branch, git};

/// The only pack of a fresh mirror, by ending.
fn pack(git: &Path, ending: &str) -> PathBuf {
    fs::read_dir(git.join("objects/pack"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == ending))
        .unwrap()
}

/// Overwrites the read-only files of a repository.
fn put(path: &Path, contents: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, contents).unwrap();
}

fn cut(path: &Path, length: usize) {
    let contents = fs::read(path).unwrap();
    put(path, &contents[..length.min(contents.len())]);
}

/// A world whose history has some size, so that a cut pack still has a readable beginning.
fn world() -> World {
    let world = World::new();
    for n in 0..20 {
        let noise: String = (0..4000)
            .map(|i: u32| char::from(b'!' + ((i * (n + 7) * 31 + i * i) % 90) as u8))
            .collect();
        world.write(&format!("file{n}"), &noise);
        world.commit(&format!("commit {n}"));
    }
    world
}

/// What is broken, and how: it is given the mirror's `.git`.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 17] = [
    ("missing pack", |git| {
        fs::remove_file(pack(git, "pack")).unwrap();
        fs::remove_file(pack(git, "idx")).unwrap();
    }),
    ("missing pack, index still there", |git| {
        fs::remove_file(pack(git, "pack")).unwrap();
    }),
    ("pack cut short", |git| cut(&pack(git, "pack"), 3000)),
    ("pack empty", |git| cut(&pack(git, "pack"), 0)),
    ("index cut short", |git| cut(&pack(git, "idx"), 500)),
    ("index empty", |git| cut(&pack(git, "idx"), 0)),
    ("a byte of the pack changed", |git| {
        let path = pack(git, "pack");
        let mut contents = fs::read(&path).unwrap();
        let middle = contents.len() / 2;
        contents[middle] ^= 0xff;
        put(&path, &contents);
    }),
    ("HEAD is garbage", |git| {
        put(&git.join("HEAD"), b"\0\0garbage")
    }),
    ("HEAD is empty", |git| put(&git.join("HEAD"), b"")),
    ("no HEAD", |git| fs::remove_file(git.join("HEAD")).unwrap()),
    ("a branch is empty", |git| {
        put(&git.join("refs/heads/main"), b"")
    }),
    ("a branch is zeros", |git| {
        put(&git.join("refs/heads/main"), &[0; 41]);
    }),
    ("a branch leads nowhere", |git| {
        put(
            &git.join("refs/heads/main"),
            b"0123456789012345678901234567890123456789\n",
        );
    }),
    ("config is garbage", |git| {
        put(&git.join("config"), b"[core\n\0")
    }),
    ("no objects", |git| {
        fs::remove_dir_all(git.join("objects")).unwrap()
    }),
    ("no refs", |git| {
        fs::remove_dir_all(git.join("refs")).unwrap();
    }),
    ("a file instead of .git", |git| {
        fs::remove_dir_all(git).unwrap();
        put(git, b"");
    }),
];

#[tokio::test]
async fn every_kind_of_damage_leads_to_one_new_clone() {
    for (what, damage) in DAMAGES {
        let world = world();
        world.mirror().fetch().await.unwrap();
        let git_directory = world.path("mirror/.git");
        damage(&git_directory);
        let broken = world.path("mirror.broken");
        fs::create_dir(&broken).unwrap();
        fs::write(broken.join("older"), "").unwrap();

        // A daemon that starts anew, as after a power cut.
        let mirror = world.mirror();
        let fetched = mirror.fetch().await;
        let fetched = fetched.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(fetched.recloned, "{what}");
        assert!(fetched.damage.is_some(), "{what}");
        let main = world.revision("main");
        assert_eq!(
            mirror.tip(&branch("main")).await.unwrap(),
            Some(main),
            "{what}"
        );
        git(&git_directory, &["fsck", "--strict"]);
        assert!(broken.exists(), "{what}: it is moved away");
        assert!(
            !broken.join("older").exists(),
            "{what}: only the last is kept"
        );
        let fetched = mirror.fetch().await.unwrap();
        assert!(!fetched.recloned, "{what}: it is cloned once");
        assert_eq!(fetched.changed, [], "{what}");
    }
}

#[tokio::test]
async fn damage_under_a_running_daemon_is_found_by_whoever_meets_it() {
    let world = world();
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    let git_directory = world.path("mirror/.git");
    put(&git_directory.join("refs/heads/main"), b"");
    let error = mirror.tip(&branch("main")).await.unwrap_err();
    assert!(matches!(error, MirrorError::Damaged { .. }), "{error}");
    assert!(error.is_worth_retrying());
    assert!(mirror.fetch().await.unwrap().recloned);

    // What only Nix meets: a file that is broken while all commits are whole.
    let blob = world.git(&["rev-parse", "main:file3"]);
    let pack = pack(&git_directory, "pack");
    let moved = world.path("moved.pack");
    fs::rename(&pack, &moved).unwrap();
    fs::remove_file(pack.with_extension("idx")).unwrap();
    let unpacked = std::process::Command::new("git")
        .arg("-C")
        .arg(&git_directory)
        .args(["unpack-objects", "-q"])
        .stdin(fs::File::open(&moved).unwrap())
        .status();
    assert!(unpacked.unwrap().success());
    let loose = git_directory.join(format!("objects/{}/{}", &blob[..2], blob[2..].trim()));
    cut(&loose, 100);
    assert!(
        !mirror.fetch().await.unwrap().recloned,
        "a quick look does not see it"
    );
    mirror.doubt();
    assert!(mirror.fetch().await.unwrap().recloned);
}

#[tokio::test]
async fn while_the_server_is_away_a_damaged_mirror_stays_where_it_is() {
    let world = world();
    world.mirror().fetch().await.unwrap();
    put(&world.path("mirror/.git/HEAD"), b"garbage");
    let away = format!("file://{}/away", world.root.path().display());
    for _ in 0..3 {
        let mirror = world.mirror_of(&away, Access::None, AMPLE);
        mirror.fetch().await.unwrap_err();
        assert!(world.path("mirror/.git/refs/heads/main").exists());
        assert!(!world.path("mirror.broken").exists());
    }
    assert!(world.mirror().fetch().await.unwrap().recloned);
}

#[tokio::test]
async fn trouble_with_the_server_never_leads_to_a_new_clone() {
    let world = world();
    world.mirror().fetch().await.unwrap();
    let kept = world.path("mirror/.git/only-here");
    put(&kept, b"");
    for url in [
        "file:///nowhere/at/all",
        "http://127.0.0.1:9/a.git",
        "https://host.invalid/a.git",
    ] {
        let mirror = world.mirror_of(url, Access::None, AMPLE);
        mirror.fetch().await.unwrap_err();
        mirror.fetch().await.unwrap_err();
    }
    assert!(!world.mirror().fetch().await.unwrap().recloned);
    assert!(kept.exists());
}

#[tokio::test]
async fn what_a_killed_process_left_behind_does_not_stop_the_next() {
    let world = world();
    world.mirror().fetch().await.unwrap();
    world.commit("one more");
    let git_directory = world.path("mirror/.git");
    for lock in [
        "HEAD.lock",
        "packed-refs.lock",
        "config.lock",
        "refs/heads/main.lock",
    ] {
        put(&git_directory.join(lock), b"");
    }
    put(
        &git_directory.join("objects/pack/git2_half_a_pack"),
        &[0; 1000],
    );
    fs::create_dir_all(world.path("mirror.new/.git/objects")).unwrap();
    let fetched = world.mirror().fetch().await.unwrap();
    assert!(!fetched.recloned);
    assert_eq!(fetched.changed, [branch("main")]);
    assert!(!git_directory.join("objects/pack/git2_half_a_pack").exists());
    assert!(!world.path("mirror.new").exists());
}
