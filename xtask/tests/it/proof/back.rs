//! `reconcile rollback`: a person goes back, and the loop does not undo it.

use anyhow::{Context, Result};

use super::quick;
use crate::scene::{Scene, places, status_of, wait_until_clean};
use crate::settled::{start_with, wait_until_in_sync};

fn rollback(scene: &Scene, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let words: Vec<&str> = ["rollback", "--host", "spare"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    let output = scene.daemon.cli(&words)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.code(), said))
}

#[test]
fn a_rollback_leads_to_what_proved_itself_before_and_stays_until_it_is_unpinned() -> Result<()> {
    let scene = start_with(&["spare"], quick)?;
    let first = scene.repository.tip("main")?;
    let (code, said) = rollback(&scene, &[])?;
    assert_eq!(code, Some(6), "{said}");
    assert!(
        said.contains("no other commit has proved itself on spare"),
        "{said}"
    );
    let on = |revision: &str| -> Result<[String; 3]> {
        let toplevel = scene.repository.toplevel("spare", revision)?;
        Ok([toplevel.clone(), toplevel.clone(), toplevel])
    };

    let second = scene.deploy("main", "2")?;
    wait_until_in_sync(&scene, "spare", &second)?;
    let generation = scene
        .host()
        .console("readlink /nix/var/nix/profiles/system")?;
    let generation = generation
        .trim()
        .trim_start_matches("system-")
        .trim_end_matches("-link")
        .to_owned();
    let (code, said) = rollback(&scene, &[])?;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(places(scene.host())?, on(&first)?);
    let status = status_of(&scene.daemon, "spare")?;
    assert_eq!(status["desired_revision"], *first, "{status:#}");
    assert!(status["pinned_by"].is_string(), "{status:#}");

    // A push does not undo it.
    let third = scene.deploy("main", "3")?;
    scene.wait_for_two_looks("spare")?;
    assert_eq!(places(scene.host())?, on(&first)?);

    let (code, said) = rollback(&scene, &["--to", &generation])?;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(places(scene.host())?, on(&second)?);
    let (code, said) = rollback(&scene, &["--to", first.get(..12).context("an id")?])?;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(places(scene.host())?, on(&first)?);
    for (goal, words) in [
        ("9999", "spare has no generation 9999"),
        ("0123456", "no commit 0123456"),
        ("1", "which no deployment in the history has brought there"),
    ] {
        let (code, said) = rollback(&scene, &["--to", goal])?;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{goal}: {said}");
    }
    let unpinned = scene.daemon.cli(&["unpin", "--host", "spare"])?;
    assert!(unpinned.status.success(), "{unpinned:?}");
    wait_until_in_sync(&scene, "spare", &third)?;
    wait_until_clean(scene.host())
}
