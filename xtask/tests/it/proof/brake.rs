//! A commit that some hosts have rolled back is kept from the others.

use anyhow::Result;
use xtask::flake::{Marker, System};
use xtask::wait::wait_until;

use super::{never_built, outcomes, quick};
use crate::scene::{SOON, status_of};
use crate::settled::{start_with, wait_until_in_sync};

const ALL: [&str; 4] = ["spare", "uConsole", "cyt-pi", "lazyworkhorse"];

#[test]
fn after_two_hosts_have_rolled_a_commit_back_the_others_wait_for_a_person_or_another_commit()
-> Result<()> {
    let scene = start_with(&ALL, |config| {
        quick(config);
        // One after the other, so that some have not begun when others have rolled back.
        config.tail.push_str("\n[limits]\nactivations = 1\n");
    })?;
    let bad = System {
        marker: Marker::Fails,
        ..never_built("bad")?
    };
    let bad = scene
        .repository
        .deploy("main", "Bad", &ALL.map(|name| (name, bad.clone())))?;
    let ended = || -> Result<(usize, Vec<&str>)> {
        let (mut back, mut waiting) = (0, Vec::new());
        for name in ALL {
            let status = status_of(&scene.daemon, name)?;
            if status["outcome"]["outcome"] == "rolled_back" {
                back += 1;
            }
            if status["waits"]
                .to_string()
                .contains("rolled this commit back")
            {
                waiting.push(name);
            }
        }
        Ok((back, waiting))
    };
    // A third may have begun before it was known that the second had gone back.
    let (_, waiting) = wait_until("the brake", SOON, ended, |(back, waiting)| {
        *back >= 2 && !waiting.is_empty() && back + waiting.len() == ALL.len()
    })?;
    for name in &waiting {
        assert!(outcomes(&scene, name, &bad)?.is_empty(), "{name}");
    }
    let status = scene.daemon.cli(&["status"])?;
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("rolled this commit back"), "{said}");
    // A person lifts it for a host.
    let asked = scene.daemon.cli(&["--host", waiting[0]])?;
    assert_eq!(asked.status.code(), Some(3), "{asked:?}");
    assert_eq!(outcomes(&scene, waiting[0], &bad)?, ["rolled_back"]);
    // And another commit for all.
    let good = never_built("good")?;
    let good = scene
        .repository
        .deploy("main", "Good", &ALL.map(|name| (name, good.clone())))?;
    for name in ALL {
        wait_until_in_sync(&scene, name, &good)?;
    }
    Ok(())
}
