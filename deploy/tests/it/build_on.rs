//! Builds on the test bed's real hosts, and from there to the others.

use std::time::{Duration, Instant};

use crate::copy::{TWO_MEGABYTES, as_root, as_worker, leased, nix_for, on, system};
use crate::fleet::Host;
use crate::nix_world::{PATIENCE, World, built_by, built_for, flake, request};
use deploy::{BuildError, BuildOn, Connection, CopyError, MinFree, Sudo, is_valid_on};

#[tokio::test]
async fn a_host_builds_its_own_system_and_keeps_it() {
    let (host, world, nix) = leased("spare");
    let connection = as_root(&host).await;
    let (source, on_host) = system(
        &world,
        &nix,
        &built_by("echo built on $(cat /etc/hostname) > $out"),
    )
    .await;
    let mut build = request(&source, &on_host);
    build.on = BuildOn::Target;
    let begun = Instant::now();
    let toplevel = nix.build(&build, Some(&connection)).await.unwrap();
    println!("built on the host in {:?}", begun.elapsed());
    assert_eq!(toplevel, on_host.toplevel);
    assert!(
        !std::path::Path::new(toplevel.as_str()).exists(),
        "it was copied back"
    );
    assert!(on(&host, &format!("cat {toplevel}")).starts_with("built on "));
    assert!(
        on(&host, &format!("nix-store --query --roots {toplevel}")).contains("reconcile-built")
    );
    // And a copy has nothing left to do.
    nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap();

    let (source, broken) = system(&world, &nix, &built_by("echo oh no; exit 7")).await;
    let mut build = request(&source, &broken);
    build.on = BuildOn::Target;
    let error = nix.build(&build, Some(&connection)).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::BuilderFailed { log, .. } if log.contains("oh no")),
        "{error:?}"
    );
    assert!(!error.is_worth_retrying());
    assert!(matches!(
        nix.build(&build, None).await,
        Err(BuildError::NoTarget)
    ));
}

#[tokio::test]
async fn whose_fault_a_failed_build_on_the_host_is_is_told_apart() {
    let (host, world, nix) = leased("spare");
    let connection = as_root(&host).await;
    let printed = "curl: (7) Failed to connect to 127.0.0.1 port 1: Connection refused\n\
                   sudo: command not found\nerror: unexpected end-of-file";
    let prints = built_by(&format!("echo \"{printed}\" >&2; exit 1"));
    let (source, broken) = system(&world, &nix, &prints).await;
    let mut build = request(&source, &broken);
    build.on = BuildOn::Target;
    let error = nix.build(&build, Some(&connection)).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::BuilderFailed { log, .. } if log == printed),
        "{error:?}"
    );
    assert!(!error.is_worth_retrying());

    // And one whose session ends while the builder says nothing.
    let (source, silent) = system(&world, &nix, &built_by("sh -c \"sleep 5432; :\"")).await;
    let mut build = request(&source, &silent);
    build.on = BuildOn::Target;
    let (error, ()) = tokio::join!(nix.build(&build, Some(&connection)), async {
        host.until("the builder runs", "pgrep -f '[s]leep 5432'")
            .await;
        on(
            &host,
            "pkill -f '[s]shd-session: root@notty' || pkill -f '[s]shd: root@notty'",
        );
    });
    let error = error.unwrap_err();
    assert!(
        matches!(&error, BuildError::Copy(CopyError::ConnectionLost { .. })),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
}

#[tokio::test]
async fn a_host_that_cannot_hold_what_it_has_built_settles_nothing() {
    let (host, world, nix) = leased("spare");
    let connection = as_root(&host).await;
    let (source, fine) = system(&world, &nix, &built_by("echo > $out")).await;
    let mut build = request(&source, &fine);
    build.on = BuildOn::Target;
    let root = "/nix/var/nix/gcroots/reconcile-built";
    on(&host, &format!("rm -f {root}; mkdir -p {root}/in-the-way"));
    let error = nix.build(&build, Some(&connection)).await.unwrap_err();
    on(&host, &format!("rmdir {root}/in-the-way {root}"));
    assert!(error.is_worth_retrying(), "{error:?}");
    nix.build(&build, Some(&connection)).await.unwrap();
}

#[tokio::test]
async fn a_user_with_sudo_builds_on_the_host_too() {
    let (host, world, nix) = leased("lazyworkhorse");
    let connection = as_worker(&host, Sudo::Yes).await;
    let (source, evaluated) = system(&world, &nix, &built_by("echo > $out")).await;
    let mut build = request(&source, &evaluated);
    build.on = BuildOn::Target;
    let toplevel = nix.build(&build, Some(&connection)).await.unwrap();
    assert!(is_valid_on(&connection, &toplevel).await.unwrap());
}

#[tokio::test]
async fn a_dropped_build_on_the_host_ends_there() {
    let (host, world, nix) = leased("spare");
    let connection = as_root(&host).await;
    let (source, slow) = system(&world, &nix, &built_by("sh -c \"sleep 4321; :\"")).await;
    let mut build = request(&source, &slow);
    build.on = BuildOn::Target;
    let building = tokio::spawn(async move { nix.build(&build, Some(&connection)).await });
    host.until("the builder runs", "pgrep -f '[s]leep 4321'")
        .await;
    building.abort();
    host.until("the builder ends", "! pgrep -f '[s]leep 4321'")
        .await;
}

#[tokio::test]
async fn a_builder_builds_and_the_result_comes_back() {
    let (host, world, nix) = leased("spare");
    // Only the builder can: there, a file says where it was built.
    let (source, remote) = system(&world, &nix, &built_by("cat /etc/hostname > $out")).await;
    let mut build = request(&source, &remote);
    for builder in [
        host.root_alias.clone(),
        format!(
            "ssh-ng://{} {} - 2",
            host.root_alias,
            crate::nix_world::system()
        ),
    ] {
        build.on = BuildOn::Builder(builder);
        let toplevel = nix.build(&build, None).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(toplevel.as_str()).unwrap(),
            "spare\n"
        );
    }
    let (source, other) = system(&world, &nix, &built_for("riscv64-linux", "echo > $out")).await;
    let mut build = request(&source, &other);
    build.on = BuildOn::Builder(host.root_alias.clone());
    let error = nix.build(&build, None).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::PartUnsupported { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("riscv64-linux") && !error.is_worth_retrying());
}

#[tokio::test]
async fn a_push_is_evaluated_built_and_copied_to_four_hosts_in_parallel() {
    let names = ["lazyworkhorse", "cyt-pi", "uConsole", "spare"];
    let hosts = Host::lease_all(names);
    let world = World::new();
    let nix = nix_for(&world, &hosts[0]);
    let mut connections = Vec::new();
    for host in &hosts {
        connections.push(as_root(host).await);
    }
    for _ in 0..3 {
        let code = names.map(|name| (name, built_by(TWO_MEGABYTES)));
        let code = code.each_ref().map(|(name, code)| (*name, code.as_str()));
        let source = world.commit(&[("flake.nix", &flake(&code))]);
        let begun = Instant::now();
        let answers = nix
            .evaluate(&source, &names.map(crate::nix_world::attribute), PATIENCE)
            .await;
        let evaluation = begun.elapsed();
        let one = |(name, connection): (&'static str, Connection)| {
            let mut build = request(
                &source,
                answers[&crate::nix_world::attribute(name)]
                    .as_ref()
                    .unwrap(),
            );
            build.host = name.into();
            let nix = &nix;
            async move {
                let toplevel = nix.build(&build, None).await.unwrap();
                let built = begun.elapsed();
                nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
                    .await
                    .unwrap();
                (built, begun.elapsed())
            }
        };
        let steps =
            futures::future::join_all(names.into_iter().zip(connections.iter().cloned()).map(one))
                .await;
        println!("evaluated after {evaluation:?}, (built, copied) {steps:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
