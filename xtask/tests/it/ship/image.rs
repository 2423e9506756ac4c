//! The image, built from the project's Dockerfile by a Docker engine and run by `compose.yaml`: what people run.

mod contained;

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use contained::{Contained, SOON};
use xtask::engine::{Engine, WORKSPACE};
use xtask::flake::{Hang, System};
use xtask::fleet::{Host, count_begun};
use xtask::process::{finish, run, said};
use xtask::wait::wait_until;

/// What the built image is called.
const IMAGE: &str = "reconcile";

/// The user of the image.
const USER: &str = "1000";

/// An engine that has the image.
fn engine() -> Result<Arc<Engine>> {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = Engine::obtain()?;
    engine.build_image(IMAGE)?;
    Ok(engine)
}

#[test]
#[ignore = "long"]
fn the_image_deploys_a_push_with_an_empty_nix_volume_with_a_full_one_and_with_a_lost_one()
-> Result<()> {
    let contained = Contained::prepare(engine()?, IMAGE, &["cyt-pi"])?;
    contained.up()?;
    contained.wait_for_convergence(&contained.repository.tip("main")?)?;
    contained.deploy("with-an-empty-volume")?;
    assert!(contained.log()?.contains("filling /nix"));
    assert_eq!(contained.exec(&["id", "-u"])?.trim(), USER);
    assert_eq!(contained.exec(&["cat", "/proc/1/comm"])?.trim(), "tini");
    let conf = contained.exec(&["cat", "/etc/nix/nix.conf"])?;
    assert!(conf.contains("substituters =\n"), "{conf}");

    // Another container, the same volumes.
    contained.down()?;
    contained.up()?;
    contained.deploy("with-a-full-volume")?;
    let log = contained.log()?;
    assert!(!log.contains("filling /nix"), "{log}");

    // What the state remembers of builds is not there any more; the host is set right all the same.
    contained.down()?;
    contained.lose_nix()?;
    contained.host().reset()?;
    contained.up()?;
    contained.wait_for_convergence(&contained.repository.tip("main")?)?;
    contained.deploy("with-a-lost-volume")
}

#[test]
#[ignore = "long"]
fn a_container_that_is_stopped_in_mid_deployment_ends_well_and_the_next_start_finishes_it()
-> Result<()> {
    let contained = Contained::prepare(engine()?, IMAGE, &["spare"])?;
    contained.up()?;
    contained.wait_for_convergence(&contained.repository.tip("main")?)?;
    let system = System {
        hang: Some(Hang::Stop),
        ..crate::scene::never_built("stopped")?
    };
    let revision = contained
        .repository
        .deploy("main", "Second", &[("spare", system)])?;
    let toplevel = contained.repository.toplevel("spare", &revision)?;
    contained
        .host()
        .wait_for_hang(&toplevel, SOON)
        .with_context(|| contained.last_words())?;
    // Compose kills it when its grace is over, and then its code is another.
    contained.compose(&["stop"])?;
    assert_eq!(contained.inspect("{{.State.ExitCode}}")?, "0");
    contained.compose(&["start"])?;
    contained.host().end_hang()?;
    contained.wait_for_convergence(&revision)?;
    assert_switched_once(contained.host(), &toplevel)
}

#[test]
#[ignore = "long"]
fn a_container_whose_daemon_does_not_answer_is_unhealthy() -> Result<()> {
    let contained = Contained::prepare(engine()?, IMAGE, &["uConsole"])?;
    contained.up()?;
    let wait_for_health = |wanted: &str| {
        let look = || contained.inspect("{{.State.Health.Status}}");
        wait_until("the container's health", SOON, look, |health| {
            health == wanted
        })
        .map(drop)
        .with_context(|| contained.last_words())
    };
    wait_for_health("healthy")?;
    contained.signal_daemon("STOP")?;
    wait_for_health("unhealthy")?;
    contained.signal_daemon("CONT")?;
    wait_for_health("healthy")
}

#[test]
#[ignore = "long"]
fn builds_are_sandboxed_where_the_container_can_and_only_there() -> Result<()> {
    let engine = engine()?;
    let conf = |options: &[&str]| {
        run(engine
            .docker()
            .args(["run", "--rm", "--network", "none"])
            .args(options)
            .args(["--entrypoint", "sh", IMAGE, "-c"])
            .arg("reconcile-entrypoint --version >&2; cat /etc/nix/nix.conf"))
    };
    let usual = conf(&[])?;
    assert!(usual.contains("\nsandbox = false\n"), "{usual}");
    // As docs/container.md says.
    let unconfined = conf(&[
        "--security-opt",
        "seccomp=unconfined",
        "--security-opt",
        "systempaths=unconfined",
    ])?;
    assert!(unconfined.contains("\nsandbox = true\n"), "{unconfined}");
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_volume_that_the_user_cannot_write_is_refused_with_the_mend() -> Result<()> {
    let engine = engine()?;
    let folder = engine.directory().join("owned-by-root");
    std::fs::create_dir_all(&folder)?;
    let refused = finish(
        engine
            .docker()
            .args(["run", "--rm", "--network", "none", "--volume"])
            .arg(format!("{}:/nix", folder.display()))
            .args([IMAGE, "--version"]),
    )?;
    assert_eq!(refused.status.code(), Some(2));
    let words = said(&refused);
    assert!(words.contains("chown 1000:1000"), "{words}");
    Ok(())
}

/// As the images of other Nix installations: Nix is a path of the store, and /nix is made from what the image keeps.
const NIX_IN_THE_STORE: &str = r#"
FROM reconcile AS nix
USER root
RUN --mount=type=bind,source=packaging/image/make-seed.sh,target=/make-seed.sh \
    export NIX_CONFIG='build-users-group =' \
    && ln -s "$(nix-store --realise --option sandbox false "$(nix-instantiate --expr 'derivation { \
        name = "nix"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; \
        args = [ "-euc" "mkdir -p $out/bin; for tool in /usr/bin/nix*; do ln -s $tool $out/bin/; done; head -c 20M /dev/urandom > $out/ballast" ]; }')")" /profile \
    && sh /make-seed.sh /seed /profile

FROM reconcile
COPY --from=nix /seed /usr/lib/reconcile/seed
"#;

#[test]
#[ignore = "long"]
fn an_image_whose_nix_is_in_the_store_brings_it_into_an_empty_volume_and_works_with_it()
-> Result<()> {
    let engine = engine()?;
    let image = "reconcile-nix-in-the-store";
    engine.build(image, NIX_IN_THE_STORE, WORKSPACE)?;
    let contained = Contained::prepare(engine, image, &["cyt-pi"])?;
    contained.up()?;
    contained.wait_for_convergence(&contained.repository.tip("main")?)?;
    let nix = contained.exec(&[
        "sh",
        "-c",
        "command -v nix && readlink /nix/var/nix/profiles/image",
    ])?;
    assert!(
        nix.starts_with("/nix/var/nix/profiles/image/bin/nix\n"),
        "{nix}"
    );
    contained.exec(&["nix-store", "--verify", "--check-contents"])?;
    contained.deploy("by-a-nix-in-the-store")
}

#[test]
#[ignore = "long"]
fn compose_takes_the_file() -> Result<()> {
    let engine = Engine::obtain()?;
    let config = run(engine
        .docker()
        .args(["compose", "--project-directory", WORKSPACE, "--file"])
        .arg(format!("{WORKSPACE}/compose.yaml"))
        .args(["config", "--format", "json"]))?;
    let config: serde_json::Value = serde_json::from_str(&config)?;
    // What is mounted from the project is there.
    let services = config["services"].as_object().context("no services")?;
    let mut mounted = 0;
    for volume in services
        .values()
        .flat_map(|one| one["volumes"].as_array())
        .flatten()
    {
        let source = volume["source"].as_str().context("no source")?;
        if let Some(file) = source.strip_prefix(WORKSPACE)
            && file != "/config"
        {
            let file = xtask::workspace::root().join(file.trim_start_matches('/'));
            assert!(file.exists(), "{} is not there", file.display());
            mounted += 1;
        }
    }
    assert_eq!(mounted, 5);
    let daemon = &services["reconcile"];
    assert_eq!(daemon["read_only"], true, "{daemon:#}");
    Ok(())
}

/// Asserts that a host got to a system in one go: activated once, made the boot default once.
fn assert_switched_once(host: &Host, toplevel: &str) -> Result<()> {
    assert_eq!(host.profile_toplevel()?, toplevel);
    assert_eq!(host.boot_default()?, toplevel);
    let log = host.activations()?;
    for action in ["test", "boot"] {
        assert_eq!(count_begun(&log, action, toplevel), 1, "{action}: {log:#?}");
    }
    Ok(())
}
