//! Mirrors over HTTPS: a real TLS server in front of `git http-backend`.
//!
//! Which certificates are trusted is an environment variable, so each story runs in a child process of its own, which is
//! this test binary again.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use desired_state::{Access, MirrorError, RemoteFailure};

use crate::support::{AMPLE, World, branch};

/// Tells the child process that it is one.
const TRUSTS: &str = "SSL_CERT_FILE";

const TOKEN: &str = "s3cret-token";

/// A limit that a test waits out.
const SHORT: Duration = Duration::from_secs(2);

struct Server {
    world: World,
    port: u16,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a story in a child process that trusts the certificate of a server that the story starts.
fn in_a_process_that_trusts(test: &str, story: impl AsyncFnOnce(Server)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(certificate) =
        std::env::var_os(TRUSTS).filter(|_| std::env::var_os(CHILD).is_some())
    {
        let server = Server::with_certificate(std::path::Path::new(&certificate));
        runtime.block_on(story(server));
        // A thread that waits for a silent server must not hold up the end.
        runtime.shutdown_background();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    make_certificate(&certificate);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("https::{test}"),
            "--nocapture",
            "--include-ignored",
        ])
        .env(TRUSTS, &certificate)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const CHILD: &str = "RECONCILE_TEST_HTTPS";

fn make_certificate(certificate: &std::path::Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .arg("-keyout")
        .arg(certificate.with_extension("key"))
        .arg("-out")
        .arg(certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
}

impl Server {
    fn with_certificate(certificate: &std::path::Path) -> Self {
        let world = World::new();
        fs::write(world.path("token"), format!("{TOKEN}\n")).unwrap();
        let mut child = Command::new("python3")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/mirror/git_server.py"
            ))
            .arg(world.root.path())
            .arg(certificate)
            .arg(certificate.with_extension("key"))
            .arg(world.path("log"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let port = port.trim().parse().unwrap();
        Self { world, port, child }
    }

    fn url(&self, kind: &str) -> String {
        format!("https://127.0.0.1:{}/{kind}/source", self.port)
    }

    fn token(&self) -> Access {
        Access::Token {
            file: self.world.path("token"),
            username: "reconcile".to_owned(),
        }
    }

    /// What the server was sent to prove who asks.
    fn log(&self) -> String {
        fs::read_to_string(self.world.path("log")).unwrap_or_default()
    }

    async fn fails(&self, url: &str, access: Access, expected: RemoteFailure) -> MirrorError {
        let error = self
            .world
            .mirror_of(url, access, AMPLE)
            .fetch()
            .await
            .unwrap_err();
        match &error {
            MirrorError::Remote { failure, .. } => assert_eq!(*failure, expected, "{error}"),
            other => panic!("{other:?}"),
        }
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains(TOKEN) && !shown.contains("wrong-token"),
            "{shown}"
        );
        error
    }
}

#[test]
fn a_public_repository_is_fetched_without_a_login() {
    in_a_process_that_trusts(
        "a_public_repository_is_fetched_without_a_login",
        async |server| {
            let mirror = server
                .world
                .mirror_of(&server.url("public"), Access::None, AMPLE);
            assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
            let second = server.world.commit("second");
            assert_eq!(mirror.fetch().await.unwrap().changed, [branch("main")]);
            assert_eq!(mirror.tip(&branch("main")).await.unwrap(), Some(second));
            assert!(server.log().lines().all(|line| line == "none"));
        },
    );
}

#[test]
fn a_private_repository_is_fetched_with_the_token_of_the_moment() {
    in_a_process_that_trusts(
        "a_private_repository_is_fetched_with_the_token_of_the_moment",
        async |server| {
            let url = server.url("private");
            let mirror = server.world.mirror_of(&url, server.token(), AMPLE);
            mirror.fetch().await.unwrap();
            assert!(
                server
                    .log()
                    .contains("Basic cmVjb25jaWxlOnMzY3JldC10b2tlbg==")
            );

            fs::write(server.world.path("token"), "wrong-token").unwrap();
            let error = server
                .fails(&url, server.token(), RemoteFailure::TokenRefused)
                .await;
            let tried = server.log().matches("cmVjb25jaWxlOndyb25nLXRva2Vu").count();
            assert_eq!(tried, 1, "a refused token is not tried again");
            assert!(!error.is_worth_retrying());
            server
                .fails(&url, Access::None, RemoteFailure::TokenRefused)
                .await;
            fs::write(server.world.path("token"), TOKEN).unwrap();
            mirror.fetch().await.unwrap();
            fs::write(server.world.path("token"), "").unwrap();
            let error = mirror.fetch().await.unwrap_err();
            assert!(matches!(error, MirrorError::Credentials(_)), "{error:?}");
        },
    );
}

#[test]
fn every_refusal_of_a_web_server_is_named() {
    in_a_process_that_trusts("every_refusal_of_a_web_server_is_named", async |server| {
        for (kind, expected) in [
            ("403", RemoteFailure::NoPermission),
            ("404", RemoteFailure::NotFound),
            ("503", RemoteFailure::HttpStatus(503)),
            ("to:localhost:443", RemoteFailure::Redirected),
            ("429", RemoteFailure::HttpStatus(429)),
            ("web", RemoteFailure::NotGit),
            ("page", RemoteFailure::NotGit),
        ] {
            server
                .fails(&server.url(kind), server.token(), expected)
                .await;
        }
        let tokens = server.log().lines().filter(|line| *line != "none").count();
        assert_eq!(
            tokens, 0,
            "the token is sent to nobody who did not ask for it"
        );
        let url = format!("https://127.0.0.1:{}/public/nothing", server.port);
        server
            .fails(&url, Access::None, RemoteFailure::NotFound)
            .await;
        let url = "https://nowhere.invalid/a.git";
        server
            .fails(url, Access::None, RemoteFailure::NameUnknown)
            .await;
        let url = "https://127.0.0.1:9/a.git";
        server
            .fails(url, Access::None, RemoteFailure::ConnectionRefused)
            .await;
        let url = server.url("public").replace("https", "http");
        let mirror = server.world.mirror_of(&url, Access::None, AMPLE);
        assert!(matches!(
            mirror.fetch().await,
            Err(MirrorError::Remote { .. })
        ));
        // The certificate is for another name.
        let url = server.url("public").replace("127.0.0.1", "127.0.0.2");
        let error = server
            .world
            .mirror_of(&url, Access::None, AMPLE)
            .fetch()
            .await;
        assert!(
            matches!(error, Err(MirrorError::Remote { .. })),
            "{error:?}"
        );
    });
}

#[test]
fn a_token_follows_a_redirect_within_the_server_and_nowhere_else() {
    in_a_process_that_trusts(
        "a_token_follows_a_redirect_within_the_server_and_nowhere_else",
        async |server| {
            let url = server.url("moved");
            let mirror = server.world.mirror_of(&url, server.token(), AMPLE);
            mirror.fetch().await.unwrap();

            let certificate = std::env::var_os(TRUSTS).unwrap();
            let other = Server::with_certificate(std::path::Path::new(&certificate));
            let url = server.url(&format!("to:127.0.0.1:{}", other.port));
            server
                .fails(&url, server.token(), RemoteFailure::Redirected)
                .await;
            assert_eq!(other.log(), "none\n");
        },
    );
}

#[test]
fn a_server_that_tells_others_the_token_is_not_quoted() {
    in_a_process_that_trusts(
        "a_server_that_tells_others_the_token_is_not_quoted",
        async |server| {
            let url = server.url("tells");
            let refused = RemoteFailure::NoPermission;
            let error = server.fails(&url, server.token(), refused).await;
            let sent = "cmVjb25jaWxlOnMzY3JldC10b2tlbg==";
            assert!(server.log().contains(sent), "it was told the token");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(sent), "{shown}");
        },
    );
}

#[test]
fn a_sha256_repository_is_refused_over_https_too() {
    in_a_process_that_trusts(
        "a_sha256_repository_is_refused_over_https_too",
        async |server| {
            let source = server.world.source();
            fs::remove_dir_all(&source).unwrap();
            fs::create_dir(&source).unwrap();
            server
                .world
                .git(&["init", "--quiet", "--object-format=sha256"]);
            server
                .world
                .git(&["commit", "--quiet", "--allow-empty", "--message", "first"]);
            server
                .fails(&server.url("public"), Access::None, RemoteFailure::Sha256)
                .await;
        },
    );
}

#[test]
fn a_server_that_is_silent_or_trickles_is_left_at_the_limit() {
    in_a_process_that_trusts(
        "a_server_that_is_silent_or_trickles_is_left_at_the_limit",
        async |server| {
            // Accepts the connection, and does not even begin with TLS.
            let mute = TcpListener::bind("127.0.0.1:0").unwrap();
            let mute = format!("https://127.0.0.1:{}/a", mute.local_addr().unwrap().port());
            for url in [server.url("silent"), server.url("trickle"), mute] {
                let started = Instant::now();
                let mirror = server.world.mirror_of(&url, Access::None, SHORT);
                let error = mirror.fetch().await.unwrap_err();
                assert!(matches!(error, MirrorError::TimedOut { .. }), "{error:?}");
                assert!(started.elapsed() < SHORT * 3, "{:?}", started.elapsed());
            }
        },
    );
}

#[test]
fn after_a_silent_server_the_mirror_is_free_again_at_once() {
    in_a_process_that_trusts(
        "after_a_silent_server_the_mirror_is_free_again_at_once",
        async |server| {
            let silent = server
                .world
                .mirror_of(&server.url("silent"), Access::None, SHORT);
            let error = silent.fetch().await.unwrap_err();
            assert!(matches!(error, MirrorError::TimedOut { .. }), "{error:?}");
            let mirror = server
                .world
                .mirror_of(&server.url("public"), Access::None, SHORT);
            mirror.fetch().await.unwrap();
        },
    );
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    make_certificate(&certificate);
    let server = Server::with_certificate(&certificate);
    let url = server.url("private");
    server
        .fails(&url, server.token(), RemoteFailure::Certificate)
        .await;
    assert_eq!(
        server.log(),
        "",
        "nothing is sent to a server that is not trusted"
    );
}
