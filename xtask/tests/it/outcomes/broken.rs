//! Commits of which a host's system does not evaluate or does not build.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use anyhow::Result;
use xtask::flake::{Source, System};

use super::{assert_told, attempts, ends_with};
use crate::scene::{Scene, status_of};
use crate::settled::{start, wait_until_in_sync};

/// Pushes a commit that breaks `spare` and gives `cyt-pi` a version.
fn push_broken(scene: &Scene, version: &str, source: Source) -> Result<String> {
    let broken = System {
        source,
        ..System::new(version)
    };
    let systems = [("spare", broken), ("cyt-pi", System::new(version))];
    scene.repository.deploy("main", version, &systems)
}

/// How often `nix` was asked to evaluate and to build so far.
fn nix_runs(scene: &Scene) -> Result<f64> {
    let metrics = scene.daemon.metrics()?;
    let runs = |phase| {
        metrics.sum(
            "reconcile_phase_duration_seconds_count",
            &[("phase", phase)],
        )
    };
    Ok(runs("evaluate") + runs("build"))
}

#[test]
fn what_does_not_evaluate_or_build_breaks_one_host_and_is_not_tried_again() -> Result<()> {
    let scene = start(&["spare", "cyt-pi"])?;
    let (spare, first) = (&scene.hosts[0], scene.hosts[0].running_toplevel()?);
    let cases = [
        ("evaluation_failed", Source::DoesNotEvaluate),
        ("build_failed", Source::DoesNotBuild),
    ];
    for (outcome, source) in cases {
        let revision = push_broken(&scene, outcome, source)?;
        let status = scene.wait_for_outcome("spare", &revision, outcome)?;
        assert_eq!(status["outcome"]["transience"], "permanent");
        assert!(status["next_attempt"].is_null());
        wait_until_in_sync(&scene, "cyt-pi", &revision)?;
        let runs = nix_runs(&scene)?;
        scene.wait_for_two_looks("spare")?;
        // A person is told the same without another try; the host failed, so the exit code is 3.
        let said = ends_with(&scene.daemon, 3, &["--host", "spare"])?;
        assert!(said.contains("--force"), "{said}");
        assert!((nix_runs(&scene)? - runs).abs() < 0.5);
        assert_eq!(attempts(&scene.daemon, "spare", &revision)?.len(), 1);
        assert_told(&scene, "spare", &revision, outcome)?;
        assert_eq!(spare.running_toplevel()?, first);

        ends_with(&scene.daemon, 3, &["--host", "spare", "--force"])?;
        assert_eq!(attempts(&scene.daemon, "spare", &revision)?.len(), 2);
        assert!(nix_runs(&scene)? > runs);
    }
    let revision = scene.deploy("main", "good")?;
    wait_until_in_sync(&scene, "spare", &revision)?;
    assert_eq!(
        status_of(&scene.daemon, "spare")?["consecutive_failures"],
        0
    );
    Ok(())
}

/// Answers every request with the same text until the test ends.
fn serve(listener: TcpListener, text: &'static str) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            while lines
                .by_ref()
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
        }
    });
}

#[test]
fn an_input_that_cannot_be_fetched_is_tried_again_until_it_can() -> Result<()> {
    let scene = start(&["spare"])?;
    let port = xtask::forge::free_port()?;
    let repository = &scene.repository;
    // Another text each time, or Nix would remember it from an earlier run of this test.
    let version = format!("fetched-{port}-{}", std::process::id());
    let hash = xtask::process::run(
        std::process::Command::new("nix-hash")
            .args(["--type", "sha256", "--flat", "--base32"])
            .arg({
                fs::write(repository.work().join("expected"), &version)?;
                repository.work().join("expected")
            }),
    )?;
    repository.write_systems(&[("spare", System::new("fetched"))])?;
    let file = repository.work().join("hosts/spare/default.nix");
    let fetched = format!(
        "builtins.readFile (builtins.fetchurl {{ url = \"http://127.0.0.1:{port}/version\"; sha256 = \"{}\"; }})",
        hash.trim()
    );
    let text = fs::read_to_string(&file)?.replace("\"fetched\"", &fetched);
    fs::write(&file, text)?;
    fs::remove_file(repository.work().join("expected"))?;
    // As in every flake with inputs; where a fetch fails and there is none, its lack is taken for the cause.
    let lock = r#"{"nodes":{"root":{}},"root":"root","version":7}"#;
    fs::write(repository.work().join("flake.lock"), lock)?;
    let revision = repository.commit("With an input")?;
    repository.push("main")?;

    let status = scene.wait_for_outcome("spare", &revision, "evaluation_failed")?;
    assert_eq!(status["outcome"]["transience"], "transient", "{status:#}");
    assert_told(&scene, "spare", &revision, "evaluation_failed")?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    serve(listener, version.leak());
    wait_until_in_sync(&scene, "spare", &revision)?;
    Ok(())
}
