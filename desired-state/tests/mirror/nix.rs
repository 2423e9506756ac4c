//! Nix reads the mirror in place, whatever happened to the branches.
//!
//! `RECONCILE_TEST_NIX` names another nix than the one on the PATH.

use std::process::Command;

use desired_state::Revision;

use crate::support::{World, branch};

fn flake(name: &str) -> String {
    format!("{{ outputs = {{ self }}: {{ value = \"{name} ${{self.rev}}\"; }}; }}\n")
}

/// Evaluates the attribute `value` of the flake.
fn evaluate(world: &World, revision: &Revision, more: &str) -> String {
    let url = format!(
        "git+file://{}?rev={revision}{more}#value",
        world.path("mirror").display()
    );
    let nix = std::env::var("RECONCILE_TEST_NIX").unwrap_or_else(|_| "nix".to_owned());
    let store = world.path("store");
    let output = Command::new(nix)
        .args(["eval", "--raw", "--store"])
        .arg(&store)
        .arg(&url)
        .env("HOME", world.path("home"))
        .env(
            "NIX_CONFIG",
            "experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstituters =",
        )
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn nix_evaluates_every_revision_that_the_mirror_ever_had() {
    let world = World::empty();
    std::fs::create_dir(world.path("home")).unwrap();
    world.write("flake.nix", &flake("root"));
    world.write("nix/hosts/flake.nix", &flake("folder"));
    world.commit("first");
    let before = world.commit("second");
    world.git(&["switch", "--quiet", "--create", "feature/größer"]);
    let feature = world.commit("third");
    world.git(&["switch", "--quiet", "main"]);
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();
    let after = world.amend("second, otherwise");
    mirror.fetch().await.unwrap();

    for revision in [&before, &after, &feature] {
        assert_eq!(evaluate(&world, revision, ""), format!("root {revision}"));
    }
    let in_folder = evaluate(&world, &before, "&dir=nix/hosts");
    assert_eq!(in_folder, format!("folder {before}"));

    // The branch that HEAD named goes away, then every branch does.
    world.git(&["switch", "--quiet", "feature/größer"]);
    world.git(&["branch", "--quiet", "-D", "main"]);
    mirror.fetch().await.unwrap();
    assert_eq!(evaluate(&world, &after, ""), format!("root {after}"));
    world.git(&["switch", "--quiet", "--detach"]);
    world.git(&["branch", "--quiet", "-D", "feature/größer"]);
    let gone = mirror.fetch().await.unwrap().changed;
    assert_eq!(gone, [branch("feature/größer")]);
    for name in ["main", "feature/größer"] {
        assert_eq!(mirror.tip(&branch(name)).await.unwrap(), None);
    }
    std::fs::remove_dir_all(world.path("home")).unwrap();
    std::fs::create_dir(world.path("home")).unwrap();
    for revision in [&before, &after, &feature] {
        assert_eq!(evaluate(&world, revision, ""), format!("root {revision}"));
    }
}
