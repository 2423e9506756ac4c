//! Fetches private inputs of a flake: by SSH with the repository's key, by HTTP with its token.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::nix_world::{PATIENCE, World, attribute, built_by, flake, git};
use crate::sshd::Sshd;
use deploy::{EvaluateError, FetchCause, FlakeSource, InputAccess, Nix};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "t0ken-that-nobody-may-see";

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

/// What Nix would lock for it, computed from its working tree.
fn locked(world: &World, kind: &str, url: &str, revision: &str) -> String {
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
        r#"{{"nodes":{{"dep":{{"locked":{{{own}"narHash":"{}","type":"{kind}","url":"{url}"}},"original":{{"type":"{kind}","url":"{url}"}}}},"root":{{"inputs":{{"dep":"dep"}}}}}},"root":"root","version":7}}"#,
        hash.trim()
    )
}

fn with_input(world: &World, reference: &str, lock: &str) -> FlakeSource {
    let code = format!(
        "{{ inputs.dep.url = \"{reference}\"; outputs = {{ self, dep }}: {{ inherit (dep) nixosConfigurations; }}; }}"
    );
    world.commit(&[("flake.nix", &code), ("flake.lock", lock)])
}

/// Serves a folder to who knows the token, repositories in it by git's own protocol, and looks at
/// every process's arguments at each request.
async fn serve(folder: PathBuf) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = log.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (folder, seen) = (folder.clone(), seen.clone());
            tokio::spawn(async move {
                let answer = answer(&mut stream, &folder, &seen).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, log)
}

async fn answer(stream: &mut TcpStream, folder: &Path, seen: &Mutex<Vec<String>>) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let wanted = |line: &&str| line.split(':').next().unwrap().eq_ignore_ascii_case(name);
        head.lines()
            .find(wanted)
            .map_or("", |line| line.split_once(':').unwrap().1.trim())
    };
    let mut words = head.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // base64 of "reconcile:" and the token.
    let allowed =
        header("Authorization") == "Basic cmVjb25jaWxlOnQwa2VuLXRoYXQtbm9ib2R5LW1heS1zZWU=";
    seen.lock().unwrap().push(format!("{path} {allowed}"));
    if arguments_of_all().contains(TOKEN) {
        seen.lock()
            .unwrap()
            .push("the token is in a process list".into());
    }
    if !allowed {
        return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n".to_vec();
    }
    if let Ok(body) = fs::read(folder.join(path.trim_start_matches('/'))) {
        return [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(),
            body,
        ]
        .concat();
    }
    let mut body = vec![0; header("Content-Length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let mut backend = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", header("Content-Type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("Content-Encoding"))
        .env("GIT_PROTOCOL", header("Git-Protocol"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    backend
        .stdin
        .take()
        .unwrap()
        .write_all(&body)
        .await
        .unwrap();
    let output = backend.wait_with_output().await.unwrap().stdout;
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n".to_vec(), output].concat()
}

/// The arguments and environments of every process but this one.
fn arguments_of_all() -> String {
    let own = std::process::id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy() != own)
        .flat_map(|entry| {
            ["cmdline", "environ"].map(|file| fs::read(entry.path().join(file)).unwrap_or_default())
        })
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
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
        let (port, seen) = serve(world.path("served")).await;
        let url = format!("http://127.0.0.1:{port}/{file}");
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

        evaluate(&nix_with(&world, token_access(&world, port)), &source)
            .await
            .unwrap();
        let seen = seen.lock().unwrap();
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
