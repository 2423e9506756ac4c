//! Fetches private inputs of a flake: by SSH with the repository's key, by HTTP with its token.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::nix_world::{PATIENCE, World, attribute, built_by, flake, git};
use crate::sshd::Sshd;
use crate::token_server::{TOKEN, serve};
use deploy::{EvaluateError, FetchCause, FlakeSource, InputAccess, Nix};

/// A private repository: a flake with one host, bare, ready to be served.
fn private_repository(world: &World) -> (PathBuf, String) {
    let work = world.path("private");
    fs::create_dir_all(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main"]);
    fs::write(
        work.join("flake.nix"),
        flake(&[("x", &built_by("echo > $out"))]),
    )
    .unwrap();
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-q", "-m", "private"]);
    let bare = world.path("served/private.git");
    git(
        world.folder.path(),
        &[
            "clone",
            "-q",
            "--bare",
            &work.to_string_lossy(),
            &bare.to_string_lossy(),
        ],
    );
    (bare, git(&work, &["rev-parse", "HEAD"]))
}

/// What Nix would lock for it as the only input, computed from its working tree.
fn locked(world: &World, kind: &str, url: &str, revision: &str) -> String {
    lock(&[("dep", node(world, kind, url, revision))])
}

/// A lock file with these inputs.
fn lock(inputs: &[(&str, String)]) -> String {
    let nodes: String = inputs
        .iter()
        .map(|(name, node)| format!(r#""{name}":{node},"#))
        .collect();
    let names: Vec<String> = inputs
        .iter()
        .map(|(name, _)| format!(r#""{name}":"{name}""#))
        .collect();
    format!(
        r#"{{"nodes":{{{nodes}"root":{{"inputs":{{{}}}}}}},"root":"root","version":7}}"#,
        names.join(",")
    )
}

/// What a lock file has of one input.
fn node(world: &World, kind: &str, url: &str, revision: &str) -> String {
    let tree = world.path("export/source");
    fs::create_dir_all(&tree).unwrap();
    let archive = world.path("served/x.tar.gz");
    git(
        &world.path("private"),
        &[
            "archive",
            "--prefix=source/",
            "-o",
            &archive.to_string_lossy(),
            "HEAD",
        ],
    );
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(world.path("export"))
        .status();
    assert!(unpacked.unwrap().success());
    let hash = Command::new("nix")
        .args([
            "--extra-experimental-features",
            "nix-command",
            "hash",
            "path",
        ])
        .arg(&tree)
        .output()
        .unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let own = match kind {
        "git" => format!(
            r#""ref":"refs/heads/main","rev":"{revision}","revCount":1,"lastModified":{},"#,
            git(&world.path("private"), &["log", "-1", "--format=%ct"])
        ),
        _ => String::new(),
    };
    format!(
        r#"{{"locked":{{{own}"narHash":"{}","type":"{kind}","url":"{url}"}},"original":{{"type":"{kind}","url":"{url}"}}}}"#,
        hash.trim()
    )
}

fn with_input(world: &World, reference: &str, lock: &str) -> FlakeSource {
    let code = format!(
        "{{ inputs.dep.url = \"{reference}\"; outputs = {{ self, dep }}: {{ inherit (dep) nixosConfigurations; }}; }}"
    );
    world.commit(&[("flake.nix", &code), ("flake.lock", lock)])
}

fn token_access(world: &World, port: u16) -> InputAccess {
    let file = world.path("it's a token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    InputAccess::Token {
        host: format!("127.0.0.1:{port}"),
        username: "reconcile".into(),
        file,
    }
}

fn nix_with(world: &World, access: InputAccess) -> Nix {
    let mut settings = world.settings();
    settings.access = access;
    world.nix_with(settings)
}

async fn evaluate(nix: &Nix, source: &FlakeSource) -> Result<(), Arc<EvaluateError>> {
    let mut answers = nix.evaluate(source, &[attribute("x")], PATIENCE).await;
    answers.remove(&attribute("x")).unwrap().map(drop)
}

#[tokio::test]
async fn a_token_fetches_git_and_tarball_inputs_and_is_in_no_process_list() {
    for (kind, scheme, file) in [
        ("git", "git+http", "private.git"),
        ("tarball", "http", "x.tar.gz"),
    ] {
        let world = World::new();
        let (_, revision) = private_repository(&world);
        let server = serve(world.path("served")).await;
        let url = format!("http://127.0.0.1:{}/{file}", server.port);
        let lock = locked(&world, kind, &url, &revision);
        let source = with_input(
            &world,
            &format!("{scheme}{}", url.trim_start_matches("http")),
            &lock,
        );

        let error = evaluate(&nix_with(&world, InputAccess::None), &source)
            .await
            .unwrap_err();
        assert!(
            matches!(
                &*error,
                EvaluateError::InputFetch {
                    cause: FetchCause::Access,
                    ..
                }
            ),
            "{kind}: {error}"
        );
        assert!(error.is_worth_retrying());

        let nix = nix_with(&world, token_access(&world, server.port));
        evaluate(&nix, &source).await.unwrap();
        let seen = server.seen();
        assert!(seen.iter().any(|line| line.ends_with(" true")), "{seen:?}");
        assert!(!seen.contains(&"the token is in a process list".to_owned()));
        let mode = fs::metadata(world.path("scratch/netrc"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let mode = fs::metadata(world.path("scratch"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[tokio::test]
async fn a_command_goes_on_with_its_own_token_while_one_of_another_repository_begins() {
    let (world, elsewhere) = (World::new(), World::new());
    let (_, revision) = private_repository(&world);
    let (_, _) = private_repository(&elsewhere);
    let (by_git, by_http) = (
        serve(world.path("served")).await,
        serve(elsewhere.path("served")).await,
    );
    let first = format!("http://127.0.0.1:{}/private.git", by_git.port);
    let second = format!("http://127.0.0.1:{}/x.tar.gz", by_http.port);
    let lock = lock(&[
        ("first", node(&world, "git", &first, &revision)),
        ("second", node(&elsewhere, "tarball", &second, "")),
    ]);
    let code = format!(
        "{{ inputs.first.url = \"git+{first}\"; inputs.second.url = \"{second}\"; outputs = {{ self, first, second }}: \
         {{ nixosConfigurations = builtins.seq first.outPath second.nixosConfigurations; }}; }}"
    );
    let source = world.commit(&[("flake.nix", &code), ("flake.lock", &lock)]);
    let public = flake(&[("x", &built_by("echo > $out"))]);
    let others_source = elsewhere.commit(&[("flake.nix", &public)]);

    // Another token for the same machine, as two tokens for repositories of one server are.
    let token = world.path("another token");
    fs::write(&token, "another\n").unwrap();
    let mut settings = world.settings();
    settings.scratch = world.path("others scratch");
    settings.access = InputAccess::Token {
        host: "127.0.0.1:1".into(),
        username: "reconcile".into(),
        file: token,
    };
    let another = world.nix_with(settings);

    let held = by_git.answers.clone().lock_owned().await;
    let nix = nix_with(&world, token_access(&world, by_git.port));
    let evaluation = tokio::spawn(async move { evaluate(&nix, &source).await });
    tokio::time::timeout(PATIENCE, async {
        while by_git.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    evaluate(&another, &others_source).await.unwrap();
    drop(held);
    evaluation.await.unwrap().unwrap();
    assert_eq!(by_http.seen(), ["/x.tar.gz true"]);
}

#[tokio::test]
async fn a_token_file_that_is_empty_or_missing_is_named_before_anything_runs() {
    let world = World::new();
    let source = world.commit(&[("flake.nix", &flake(&[("x", &built_by("echo > $out"))]))]);
    let access = token_access(&world, 1);
    let nix = nix_with(&world, access);
    fs::write(world.path("it's a token"), "two words\n").unwrap();
    let error = evaluate(&nix, &source).await.unwrap_err();
    assert!(
        error.to_string().contains("white space") && !error.to_string().contains("two words"),
        "{error}"
    );
    fs::remove_file(world.path("it's a token")).unwrap();
    let error = evaluate(&nix, &source).await.unwrap_err();
    assert!(
        error.to_string().contains("it's a token") && error.is_worth_retrying(),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_fetches_inputs_by_ssh_from_servers_that_are_known() {
    let sshd = Sshd::start();
    let world = World::new();
    let (bare, revision) = private_repository(&world);
    let user = crate::sshd::user();
    let url = format!("ssh://{user}@127.0.0.1:{}{}", sshd.port, bare.display());
    let lock = locked(&world, "git", &url, &revision);
    let source = with_input(&world, &format!("git+{url}"), &lock);
    // Awkward on purpose.
    let folder = world.path("it's 100% a folder");
    fs::create_dir_all(&folder).unwrap();
    let access = |known_hosts: &Path| InputAccess::SshKey {
        key: folder.join("key"),
        known_hosts: Some(known_hosts.to_owned()),
    };
    fs::copy(sshd.path("key"), folder.join("key")).unwrap();
    fs::copy(sshd.path("known_hosts"), folder.join("known_hosts")).unwrap();

    fs::write(folder.join("nobody"), "").unwrap();
    let error = evaluate(&nix_with(&world, access(&folder.join("nobody"))), &source)
        .await
        .unwrap_err();
    assert!(
        matches!(
            &*error,
            EvaluateError::InputFetch {
                cause: FetchCause::HostKey,
                ..
            }
        ),
        "{error}"
    );

    evaluate(
        &nix_with(&world, access(&folder.join("known_hosts"))),
        &source,
    )
    .await
    .unwrap();
}
