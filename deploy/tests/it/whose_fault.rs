//! Failures that are ours, the machine's or the commit's, told apart with the Nix that is installed here.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ::nix::sys::signal::{Signal, kill, killpg};
use ::nix::unistd::Pid;
use deploy::{BuildError, EvaluateError, Nix, NixTrouble};

use crate::nix_world::{
    CONFIGURATION, PATIENCE, World, attribute, built_by, evaluated, flake, request, until,
};

#[tokio::test]
async fn what_a_builder_prints_is_its_log_and_never_taken_for_nixs_own_words() {
    const PRINTED: [&str; 5] = [
        "curl: (7) Failed to connect to 127.0.0.1 port 1: Connection refused",
        "error: cannot connect to socket at '/x': Connection refused",
        "error: unexpected end-of-file",
        "sudo: command not found",
        "write error: Broken pipe",
    ];
    let world = World::new();
    let prints: String = PRINTED
        .iter()
        .map(|line| format!("echo \"{line}\" >&2; "))
        .collect();
    let source = world.commit(&[(
        "flake.nix",
        &flake(&[("x", &built_by(&format!("{prints} exit 1")))]),
    )]);
    let nix = world.nix();
    let host = evaluated(&nix, &source, "x").await;
    let error = nix.build(&request(&source, &host), None).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::BuilderFailed { log, .. } if *log == PRINTED.join("\n")),
        "{error:?}"
    );
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn a_cache_that_is_down_hides_nothing_that_is_wrong_in_the_code() {
    let world = World::new();
    // Nix asks the cache for what the evaluation has to build, goes on without it, and then comes to the error.
    let thrown = format!(
        "builtins.seq (builtins.readFile ({})) (throw \"no such disk\")",
        built_by("echo > $out")
    );
    let source = world.commit(&[("flake.nix", &flake(&[("x", &thrown)]))]);
    let nix = Nix::new(world.settings()).configured(&format!(
        "{CONFIGURATION}substituters = http://127.0.0.1:1\n"
    ));
    let only = [attribute("x")];
    let answers = nix.evaluate(&source, &only, PATIENCE).await;
    let error = answers[&only[0]].as_ref().unwrap_err();
    assert!(
        matches!(&**error, EvaluateError::Code { detail } if detail == "no such disk"),
        "{error:?}"
    );
    assert!(!error.is_worth_retrying());
}

/// A daemon of our own over this machine's store; it ends with all that it started.
struct Daemon(Child);

impl Daemon {
    fn start(socket: &Path) -> Self {
        let daemon = Command::new("nix-daemon")
            .env("NIX_DAEMON_SOCKET_PATH", socket)
            .env("NIX_CONFIG", CONFIGURATION)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self(daemon)
    }

    fn kill(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills the daemon with its workers once a builder has written its number here; and the builder, which has nobody
/// then.
async fn killed_when_begun(daemon: &mut Daemon, begun: &Path) {
    let number = || std::fs::read_to_string(begun).unwrap_or_default();
    until("the builder runs", || number().ends_with('\n')).await;
    // Each connection has a process of its own, in a session of its own.
    let builder = number().trim().parse().unwrap();
    for process in children(daemon.0.id()).into_iter().chain([builder]) {
        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
    }
    daemon.kill();
    std::fs::remove_file(begun).unwrap();
}

fn children(of: u32) -> Vec<i32> {
    let tasks = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    tasks
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn a_daemon_that_is_killed_in_a_build_or_an_evaluation_settles_nothing() {
    let world = World::new();
    let socket = world.path("socket");
    let begun = world.path("begun");
    let slow = built_by(&format!("echo $$ > {}; exec sleep 3000", begun.display()));
    let imported = format!("(import ({slow}))");
    let source = world.commit(&[("flake.nix", &flake(&[("x", &slow), ("y", &imported)]))]);
    let nix = Nix::new(world.settings()).configured(&format!(
        "{CONFIGURATION}store = unix://{}\n",
        socket.display()
    ));
    let mut daemon = Daemon::start(&socket);
    until("the daemon listens", || socket.exists()).await;
    let host = evaluated(&nix, &source, "x").await;
    let request = request(&source, &host);
    let (error, ()) = tokio::join!(
        nix.build(&request, None),
        killed_when_begun(&mut daemon, &begun)
    );
    let error = error.unwrap_err();
    assert!(
        matches!(&error, BuildError::Nix(NixTrouble::DaemonGone { .. })),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());

    let mut daemon = Daemon::start(&socket);
    let only = [attribute("y")];
    let (answers, ()) = tokio::join!(
        async {
            until("the daemon listens again", || {
                std::os::unix::net::UnixStream::connect(&socket).is_ok()
            })
            .await;
            nix.evaluate(&source, &only, PATIENCE).await
        },
        killed_when_begun(&mut daemon, &begun)
    );
    let error = answers[&only[0]].as_ref().unwrap_err();
    assert!(
        matches!(&**error, EvaluateError::Nix(NixTrouble::DaemonGone { .. })),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
}

#[tokio::test]
async fn a_file_that_git_crypt_has_encrypted_is_named_for_the_host_that_needs_it() {
    let world = World::new();
    let hosts = flake(&[
        ("x", "import ./secrets/net.nix"),
        ("y", &built_by("echo > $out")),
    ]);
    let source = world.commit(&[
        ("flake.nix", &hosts),
        ("secrets/net.nix", "\0GITCRYPT\0\u{1}\u{7}x{"),
    ]);
    let both = [attribute("x"), attribute("y")];
    let answers = world.nix().evaluate(&source, &both, PATIENCE).await;
    let error = answers[&both[0]].as_ref().unwrap_err();
    assert!(
        matches!(&**error, EvaluateError::Encrypted { file } if file == "secrets/net.nix"),
        "{error:?}"
    );
    assert!(!error.is_worth_retrying());
    assert!(answers[&both[1]].is_ok());
}

#[tokio::test]
async fn a_content_addressed_system_is_refused_in_words_and_others_go_on() {
    let world = World::new();
    let addressed = built_by("echo > $out").replace(
        "derivation {",
        "derivation { __contentAddressed = true; outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\";",
    );
    let source = world.commit(&[(
        "flake.nix",
        &flake(&[("x", &addressed), ("y", &built_by("echo > $out"))]),
    )]);
    let nix = Nix::new(world.settings()).configured(&format!(
        "{CONFIGURATION}extra-experimental-features = ca-derivations\n"
    ));
    let both = [attribute("x"), attribute("y")];
    let answers = nix.evaluate(&source, &both, PATIENCE).await;
    let error = answers[&both[0]].as_ref().unwrap_err();
    assert!(
        matches!(&**error, EvaluateError::ContentAddressed),
        "{error:?}"
    );
    assert!(answers[&both[1]].is_ok());
}
