//! Which commits are trusted: signed by real git, with real keys of SSH and GnuPG.

use std::path::{Path, PathBuf};
use std::process::Command;

use desired_state::{Distrust, Mirror, Revision, Signers};

use crate::support::{World, git};

/// A repository with SSH keys of two persons, of whom Ada may sign.
struct Signing {
    world: World,
}

impl Signing {
    fn new() -> Self {
        let world = World::new();
        for who in ["ada", "mallory"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", who, "-f"])
                .arg(world.path(who)));
        }
        let signing = Self { world };
        signing.allow("ada@example.org", "ada");
        signing
    }

    /// Who may sign, with what comes before the key.
    fn allow(&self, before: &str, who: &str) {
        let key = std::fs::read_to_string(self.world.path(&format!("{who}.pub"))).unwrap();
        std::fs::write(self.world.path("allowed"), format!("{before} {key}")).unwrap();
    }

    fn signers(&self) -> Signers {
        Signers {
            allowed_signers: Some(self.world.path("allowed")),
            openpgp_keyring: None,
        }
    }

    fn commit_signed_by(&self, who: &str) -> Revision {
        let key = format!("user.signingkey={}", self.world.path(who).display());
        self.world.git(&[
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
            "commit",
            "--quiet",
            "--allow-empty",
            "-S",
            "-m",
            who,
        ]);
        self.world.revision("HEAD")
    }

    /// Changes what a commit says, and leaves its signature as it is.
    fn tamper(&self, from: &str, to: &str) -> Revision {
        let commit = self.world.git(&["cat-file", "commit", "HEAD"]);
        assert!(commit.contains(from), "{commit}");
        let file = self.world.path("tampered");
        std::fs::write(&file, commit.replace(from, to)).unwrap();
        let id = self.world.git(&[
            "hash-object",
            "-t",
            "commit",
            "-w",
            &file.display().to_string(),
        ]);
        self.world.git(&["reset", "--quiet", "--hard", id.trim()]);
        self.world.revision("HEAD")
    }

    async fn mirror(&self) -> Mirror {
        let mirror = self.world.mirror();
        mirror.fetch().await.unwrap();
        mirror
    }

    async fn distrust(&self, revision: &Revision) -> Option<Distrust> {
        self.mirror()
            .await
            .distrust(revision, &self.signers())
            .await
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_commit_signed_by_one_who_may_is_trusted() {
    let signing = Signing::new();
    let revision = signing.commit_signed_by("ada");
    assert_eq!(signing.distrust(&revision).await, None);
}

#[tokio::test]
async fn a_commit_without_signature_is_not_trusted_and_its_parents_signature_is_none() {
    let signing = Signing::new();
    signing.commit_signed_by("ada");
    let revision = signing.world.commit("unsigned");
    let distrust = signing.distrust(&revision).await.unwrap();
    assert_eq!(distrust, Distrust::Unsigned);
    assert!(!distrust.is_worth_retrying() && distrust.to_string().contains("git commit -S"));
}

#[tokio::test]
async fn a_commit_signed_by_another_is_not_trusted_and_the_key_is_named() {
    let signing = Signing::new();
    let revision = signing.commit_signed_by("mallory");
    let distrust = signing.distrust(&revision).await.unwrap();
    assert!(
        matches!(&distrust, Distrust::NotAllowed { key, .. } if key.starts_with("ED25519 key SHA256:")),
        "{distrust:?}"
    );
    assert!(distrust.to_string().contains("allowed"), "{distrust}");
    signing.allow("mallory@example.org", "mallory");
    assert_eq!(signing.distrust(&revision).await, None);
}

#[tokio::test]
async fn a_key_that_has_expired_or_is_for_something_else_does_not_count() {
    let signing = Signing::new();
    let revision = signing.commit_signed_by("ada");
    for (before, part) in [
        ("ada@example.org valid-before=\"20200101\"", "expired"),
        ("ada@example.org valid-after=\"20990101\"", "not yet valid"),
        ("ada@example.org namespaces=\"file\"", "namespace"),
    ] {
        signing.allow(before, "ada");
        let distrust = signing.distrust(&revision).await.unwrap();
        assert!(
            matches!(&distrust, Distrust::NotAllowed { said, .. } if said.contains(part)),
            "{before}: {distrust:?}"
        );
    }
    signing.allow(
        "ada@example.org valid-before=\"20990101\",namespaces=\"git\"",
        "ada",
    );
    assert_eq!(signing.distrust(&revision).await, None);
}

#[tokio::test]
async fn a_key_has_to_be_valid_when_the_commit_was_made() {
    let signing = Signing::new();
    let key = format!("user.signingkey={}", signing.world.path("ada").display());
    run(Command::new("git")
        .current_dir(signing.world.source())
        .envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_COMMITTER_DATE", "2019-06-01T00:00:00Z"),
        ])
        .args(["-c", "user.name=Tester", "-c", "user.email=tester@example"])
        .args(["-c", "gpg.format=ssh", "-c", &key])
        .args(["commit", "--quiet", "--allow-empty", "-S", "-m", "old"]));
    let revision = signing.world.revision("HEAD");
    signing.allow("ada@example.org valid-before=\"20200101\"", "ada");
    assert_eq!(signing.distrust(&revision).await, None);
    signing.allow("ada@example.org valid-after=\"20200101\"", "ada");
    assert!(signing.distrust(&revision).await.is_some());
}

#[tokio::test]
async fn a_commit_that_was_changed_after_it_was_signed_is_bad() {
    let signing = Signing::new();
    signing.commit_signed_by("ada");
    for (from, to) in [
        ("\nada\n", "\nmallory\n"),
        ("committer Tester", "committer Mallory"),
    ] {
        let revision = signing.tamper(from, to);
        let distrust = signing.distrust(&revision).await.unwrap();
        assert!(
            matches!(distrust, Distrust::Bad { .. }),
            "{from}: {distrust:?}"
        );
        signing.commit_signed_by("ada");
    }
    let revision = signing.tamper(
        "-----BEGIN SSH SIGNATURE-----",
        "-----BEGIN SIGNED MESSAGE-----",
    );
    assert_eq!(
        signing.distrust(&revision).await,
        Some(Distrust::UnknownKind)
    );
}

#[tokio::test]
async fn what_cannot_be_checked_is_not_trusted_and_may_be_later() {
    let signing = Signing::new();
    let revision = signing.commit_signed_by("ada");
    let mirror = signing.mirror().await;
    std::fs::remove_file(signing.world.path("allowed")).unwrap();
    let distrust = mirror
        .distrust(&revision, &signing.signers())
        .await
        .unwrap();
    assert!(distrust.is_worth_retrying(), "{distrust:?}");
    assert!(distrust.to_string().contains("allowed"), "{distrust}");
    let absent = "a".repeat(40).parse().unwrap();
    let distrust = mirror.distrust(&absent, &signing.signers()).await.unwrap();
    assert!(distrust.is_worth_retrying(), "{distrust:?}");
}

/// GnuPG with a home of its own, which is short: its agent's socket is in it.
struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("gpg")
            .tempdir_in("/tmp")
            .unwrap();
        let gpg = Self { home };
        gpg.run(&[
            "--passphrase",
            "",
            "--quick-gen-key",
            "Ada <ada@example.org>",
            "ed25519",
            "sign",
            "never",
        ]);
        gpg.run(&[
            "--faked-system-time",
            "20200101T000000",
            "--passphrase",
            "",
            "--quick-gen-key",
            "Old <old@example.org>",
            "ed25519",
            "sign",
            "2020-06-01",
        ]);
        gpg
    }

    fn run(&self, arguments: &[&str]) {
        run(Command::new("gpg")
            .env("GNUPGHOME", self.home.path())
            .args(["--batch", "--quiet"])
            .args(arguments));
    }

    fn export(&self, who: &[&str], to: &Path) {
        let to = to.display().to_string();
        self.run(&[&["--yes", "--output", &to, "--export"], who].concat());
    }

    /// The program for git, which knows our home, and maybe another time.
    fn program(&self, world: &World, options: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let program = world.path("gpg-here");
        let script = format!(
            "#!/bin/sh\nGNUPGHOME={} exec gpg {options} \"$@\"\n",
            self.home.path().display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    fn commit(&self, world: &World, who: &str, options: &str) -> Revision {
        let program = format!("gpg.program={}", self.program(world, options).display());
        let key = format!("user.signingkey={who}");
        git(
            &world.source(),
            &[
                "-c",
                &program,
                "-c",
                &key,
                "commit",
                "--quiet",
                "--allow-empty",
                "-S",
                "-m",
                who,
            ],
        );
        world.revision("HEAD")
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .env("GNUPGHOME", self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}

#[tokio::test]
async fn openpgp_keys_of_the_keyring_count_and_no_others_and_none_that_has_expired() {
    let world = World::new();
    let gpg = Gpg::new();
    let keyring = world.path("keyring.gpg");
    let signers = Signers {
        allowed_signers: None,
        openpgp_keyring: Some(keyring.clone()),
    };
    let good = gpg.commit(&world, "ada@example.org", "");
    let expired = gpg.commit(
        &world,
        "old@example.org",
        "--faked-system-time 20200301T000000",
    );
    let unsigned = world.commit("unsigned");
    let mirror = world.mirror();
    mirror.fetch().await.unwrap();

    gpg.export(&["ada@example.org"], &keyring);
    assert_eq!(mirror.distrust(&good, &signers).await, None);
    assert_eq!(
        mirror.distrust(&unsigned, &signers).await,
        Some(Distrust::Unsigned)
    );
    let unknown = mirror.distrust(&expired, &signers).await.unwrap();
    assert!(
        matches!(&unknown, Distrust::NotAllowed { said, .. } if said.is_empty()),
        "{unknown:?}"
    );

    gpg.export(&[], &keyring);
    let distrust = mirror.distrust(&expired, &signers).await.unwrap();
    assert!(
        matches!(&distrust, Distrust::NotAllowed { said, .. } if said.contains("expired")),
        "{distrust:?}"
    );

    gpg.export(&["old@example.org"], &keyring);
    let distrust = mirror.distrust(&good, &signers).await.unwrap();
    assert!(
        matches!(&distrust, Distrust::NotAllowed { .. }),
        "{distrust:?}"
    );

    // A rule for one kind of key lets no signature of the other kind pass.
    let ssh_only = Signers {
        allowed_signers: Some(keyring),
        openpgp_keyring: None,
    };
    let distrust = mirror.distrust(&good, &ssh_only).await.unwrap();
    assert!(
        matches!(
            distrust,
            Distrust::NoSigners {
                kind: "OpenPGP",
                ..
            }
        ),
        "{distrust:?}"
    );
}

#[tokio::test]
async fn an_openpgp_commit_that_was_changed_after_it_was_signed_is_bad() {
    let signing = Signing::new();
    let gpg = Gpg::new();
    let keyring = signing.world.path("keyring.gpg");
    gpg.export(&["ada@example.org"], &keyring);
    gpg.commit(&signing.world, "ada@example.org", "");
    let revision = signing.tamper("\nada@example.org\n", "\nmallory\n");
    let signers = Signers {
        openpgp_keyring: Some(keyring),
        ..Signers::default()
    };
    let distrust = signing
        .mirror()
        .await
        .distrust(&revision, &signers)
        .await
        .unwrap();
    assert!(matches!(distrust, Distrust::Bad { .. }), "{distrust:?}");
}
