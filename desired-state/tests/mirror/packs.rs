//! Packs are joined, so that what a mirror costs does not grow with its age.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use desired_state::{Lineage, Revision};

use crate::support::{World, branch, git};

fn files(folder: &Path, ending: &str) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().to_string_lossy().ends_with(ending))
        .count()
}

#[tokio::test]
async fn sixty_fetches_leave_a_handful_of_packs_and_every_commit() {
    let world = World::new();
    let mirror = world.mirror();
    let mut commits = Vec::new();
    let git_directory = world.path("mirror/.git");
    let (packs, kept) = (
        git_directory.join("objects/pack"),
        git_directory.join("refs/reconcile/kept"),
    );
    for n in 0..60 {
        world.write("file", &format!("{n}"));
        // Every second push is a forced one, which leaves a commit behind that no branch leads to.
        let commit = if n % 2 == 0 {
            world.commit("one more")
        } else {
            world.amend("otherwise")
        };
        commits.push(commit);
        mirror.fetch().await.unwrap();
        assert!(files(&packs, ".pack") <= 41, "also where it is never quiet");
    }
    mirror.fetch().await.unwrap();
    assert!(files(&packs, ".pack") <= 8, "{}", files(&packs, ".pack"));
    assert_eq!(files(&packs, ".keep"), 0);
    assert!(files(&kept, "") <= 8, "{}", files(&kept, ""));
    for commit in &commits {
        assert!(mirror.contains(commit).await.unwrap());
    }
    git(&git_directory, &["fsck", "--strict"]);
    let first = mirror.lineage(&commits[0], &commits[59]).await.unwrap();
    assert_eq!(first, Lineage::Rewound);
    assert_eq!(mirror.fetch().await.unwrap().changed, []);
    // A mirror that another daemon finds is whole, and nothing is lost of what was left behind.
    let fetched = world.mirror().fetch().await.unwrap();
    assert!(!fetched.recloned);
}

/// Reads commits over and over through one `git cat-file`, which has the packs open from before.
fn read_with_git(git_directory: &Path, commits: &[Revision], is_over: &AtomicBool) {
    let mut git = Command::new("git")
        .arg("--git-dir")
        .arg(git_directory)
        .args(["cat-file", "--batch-check"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut asked = git.stdin.take().unwrap();
    let mut answers = BufReader::new(git.stdout.take().unwrap()).lines();
    while !is_over.load(Ordering::Relaxed) {
        for commit in commits {
            writeln!(asked, "{commit}^{{tree}}").unwrap();
            let answer = answers.next().unwrap().unwrap();
            assert!(answer.contains(" tree "), "{commit}: {answer}");
        }
    }
    drop(asked);
    git.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_reads_the_mirror_while_packs_are_joined_misses_nothing() {
    let world = World::new();
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    let mut commits = vec![world.revision("main")];
    for n in 0..12 {
        world.write("file", &format!("{n}"));
        commits.push(world.commit("one more"));
        mirror.fetch().await.unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = tokio::task::spawn_blocking({
        let (folder, commits, is_over) = (
            world.path("mirror/.git"),
            commits.clone(),
            Arc::clone(&is_over),
        );
        move || read_with_git(&folder, &commits, &is_over)
    });
    let ours = tokio::spawn({
        let (mirror, commits, is_over) = (mirror.clone(), commits.clone(), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::Relaxed) {
                for pair in commits.windows(2) {
                    let lineage = mirror.lineage(&pair[0], &pair[1]).await.unwrap();
                    assert_eq!(lineage, Lineage::Forward);
                    let found = mirror.resolve(pair[0].short()).await.unwrap();
                    assert_eq!(found, pair[0]);
                }
            }
        }
    });
    for n in 0..30 {
        world.write("file", &format!("again {n}"));
        world.commit("one more");
        mirror.fetch().await.unwrap();
        // A quiet one, which joins packs now and then.
        mirror.fetch().await.unwrap();
        assert!(mirror.tip(&branch("main")).await.unwrap().is_some());
    }
    is_over.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    ours.await.unwrap();
}
