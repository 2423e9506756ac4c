//! Collects and signs in stores of the test's own, with the Nix that is installed here.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::nix_world::{CONFIGURATION, PATIENCE, World};
use deploy::{CollectError, Freed, Nix, NixTrouble};

/// A store in a folder of the world: what is collected there is nobody else's.
struct PrivateStore {
    world: World,
}

impl PrivateStore {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir_all(world.path("root")).unwrap();
        fs::create_dir_all(world.path("roots/cyt-pi")).unwrap();
        Self { world }
    }

    fn nix(&self) -> Nix {
        let store = format!("store = {}\n", self.world.path("root").display());
        Nix::new(self.world.settings()).configured(&format!("{CONFIGURATION}{store}"))
    }

    /// Runs `nix-store` on it.
    fn store(&self, arguments: &[&str]) -> String {
        let output = Command::new("nix-store")
            .arg("--store")
            .arg(self.world.path("root"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Puts a file of so many bytes into it; gives its path there.
    fn add(&self, name: &str, bytes: usize) -> String {
        let file = self.world.path(name);
        fs::write(&file, vec![b'x'; bytes]).unwrap();
        self.store(&["--add", &file.to_string_lossy()])
    }

    /// Where a path of the store really is.
    fn real(&self, path: &str) -> PathBuf {
        self.world.path("root").join(&path[1..])
    }
}

#[tokio::test]
async fn what_nothing_needs_is_collected_and_counted_and_what_is_rooted_stays() {
    let store = PrivateStore::new();
    let (kept, dropped) = (store.add("kept", 100), store.add("dropped", 3 << 20));
    let root = store.world.path("roots/cyt-pi").join("a".repeat(40));
    let root = root.to_string_lossy();
    store.store(&["--realise", &kept, "--add-root", &root, "--indirect"]);
    let nix = store.nix();
    let freed = nix.collect_garbage(PATIENCE).await.unwrap();
    assert_eq!(freed.paths, 1);
    assert!((3 << 20..4 << 20).contains(&freed.bytes), "{freed:?}");
    assert!(store.real(&kept).exists() && !store.real(&dropped).exists());
    assert_eq!(
        nix.collect_garbage(PATIENCE).await.unwrap(),
        Freed::default()
    );

    let [root] = &nix.build_roots().await.unwrap()[..] else {
        panic!("one root");
    };
    nix.let_go(root).await.unwrap();
    assert_eq!(nix.collect_garbage(PATIENCE).await.unwrap().paths, 1);
    assert!(!store.real(&kept).exists());
}

#[tokio::test]
async fn a_store_that_cannot_be_collected_says_why() {
    let store = PrivateStore::new();
    let nix = Nix::new(store.world.settings()).configured("store = unix:///nowhere/socket\n");
    let error = nix.collect_garbage(PATIENCE).await.unwrap_err();
    assert!(
        matches!(
            error,
            CollectError::Nix(NixTrouble::DaemonUnreachable { .. }) | CollectError::Failed { .. }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("/nowhere/socket"), "{error}");
}
