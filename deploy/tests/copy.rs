//! Copies to, and builds on, the test bed's real hosts (`cargo xtask hosts` says what to set).

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, wait in real time, and fail by panicking"
)]

#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod fleet;
#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod nix_world;

use std::time::{Duration, Instant};

use deploy::{
    BuildError, BuildOn, Connection, CopyError, Evaluated, FlakeSource, MinFree, Nix, NixTrouble,
    Sudo, Toplevel, is_valid_on,
};
use fleet::{Host, LIMIT};
use nix_world::{PATIENCE, World, built_by, built_for, evaluated, flake, request, until};

/// A flake's host, built by a script, evaluated.
async fn system(world: &World, nix: &Nix, code: &str) -> (FlakeSource, Evaluated) {
    let source = world.commit(&[("flake.nix", &flake(&[("x", code)]))]);
    let host = evaluated(nix, &source, "x").await;
    (source, host)
}

async fn built(world: &World, nix: &Nix, script: &str) -> Toplevel {
    let (source, host) = system(world, nix, &built_by(script)).await;
    nix.build(&request(&source, &host), None).await.unwrap()
}

fn nix_for(world: &World, host: &Host) -> Nix {
    let mut settings = world.settings();
    settings.ssh_config = Some(host.ssh_config.clone());
    world.nix_with(settings)
}

async fn as_root(host: &Host) -> Connection {
    host.connections()
        .reach(&host.as_root(), LIMIT)
        .await
        .unwrap()
}

/// Runs a shell line on the host, apart from what is tested.
fn on(host: &Host, line: &str) -> String {
    host.console(line).unwrap()
}

const TWO_MEGABYTES: &str = "mkdir $out; head -c 2000000 /dev/urandom > $out/data";

#[tokio::test]
async fn a_system_is_copied_once_and_the_second_time_is_one_question() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = as_root(&host).await;
    for _ in 0..3 {
        let toplevel = built(&world, &nix, TWO_MEGABYTES).await;
        assert!(!is_valid_on(&connection, &toplevel).await.unwrap());
        let begun = Instant::now();
        nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
            .await
            .unwrap();
        let copied = begun.elapsed();
        assert!(is_valid_on(&connection, &toplevel).await.unwrap());
        on(
            &host,
            &format!("test $(stat -c %s {toplevel}/data) = 2000000"),
        );
        let begun = Instant::now();
        nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
            .await
            .unwrap();
        println!(
            "copied in {copied:?}, found to be there in {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_is_not_copied_and_only_what_the_host_lacks_counts() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = as_root(&host).await;
    let full = MinFree::bytes(u64::MAX / 2);
    let toplevel = built(&world, &nix, TWO_MEGABYTES).await;
    let error = nix
        .copy(&toplevel, &connection, full, PATIENCE)
        .await
        .unwrap_err();
    let CopyError::NoSpace { needed, free, .. } = error else {
        panic!("{error:?}");
    };
    assert!((2_000_000..2_010_000).contains(&needed), "{needed}");
    assert!(free > 0);
    assert!(error.is_worth_retrying(), "somebody may clean up");
    assert!(!is_valid_on(&connection, &toplevel).await.unwrap());

    // What the host has needs no room, however full it is, nor does a host that is not asked.
    nix.copy(&toplevel, &connection, MinFree::bytes(0), PATIENCE)
        .await
        .unwrap();
    nix.copy(&toplevel, &connection, full, PATIENCE)
        .await
        .unwrap();
    let link = format!("echo {toplevel} > $out");
    let (source, evaluated) = system(&world, &nix, &built_by(&link)).await;
    let small = nix
        .build(&request(&source, &evaluated), None)
        .await
        .unwrap();
    let error = nix
        .copy(&small, &connection, full, PATIENCE)
        .await
        .unwrap_err();
    assert!(
        matches!(error, CopyError::NoSpace { needed, .. } if needed < 1000),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_path_that_is_there_but_not_registered_is_copied() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = as_root(&host).await;
    let toplevel = built(&world, &nix, "echo whole > $out").await;
    on(&host, &format!("echo half > {toplevel}"));
    assert!(!is_valid_on(&connection, &toplevel).await.unwrap());
    nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap();
    assert_eq!(on(&host, &format!("cat {toplevel}")), "whole\n");
}

#[tokio::test]
async fn a_user_with_sudo_copies_and_one_that_the_host_does_not_trust_is_told_the_mend() {
    let Some(host) = Host::lease("lazyworkhorse") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);

    let connection = host
        .connections()
        .reach(&host.as_worker(Sudo::Yes), LIMIT)
        .await
        .unwrap();
    let toplevel = built(&world, &nix, TWO_MEGABYTES).await;
    nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap();
    assert!(is_valid_on(&connection, &toplevel).await.unwrap());

    let toplevel = built(&world, &nix, TWO_MEGABYTES).await;
    let outsider = host
        .connections()
        .reach(&host.as_worker(Sudo::No), LIMIT)
        .await
        .unwrap();
    let error = nix
        .copy(&toplevel, &outsider, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(&error, CopyError::NotAllowed { .. }), "{error:?}");
    assert!(
        error.to_string().contains("set sudo for this destination") && !error.is_worth_retrying()
    );

    // Let in to the daemon, but not trusted. A new login, because groups are those of the login.
    on(&host, "usermod -aG nix-users ai-worker");
    let member = host
        .connections()
        .reach_fresh(&host.as_worker(Sudo::No), LIMIT)
        .await
        .unwrap();
    let result = nix
        .copy(&toplevel, &member, MinFree::DEFAULT, PATIENCE)
        .await;
    on(&host, "gpasswd -d ai-worker nix-users");
    let error = result.unwrap_err();
    assert!(
        matches!(&error, CopyError::SignatureLacking { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("trusted-public-keys") && !error.is_worth_retrying());
}

#[tokio::test]
async fn sudo_that_asks_for_a_password_is_named() {
    let Some(host) = Host::lease("lazyworkhorse") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = host
        .connections()
        .reach(&host.as_worker(Sudo::Yes), LIMIT)
        .await
        .unwrap();
    let toplevel = built(&world, &nix, "echo > $out").await;
    // sudo itself goes on working for what asks whether the path is there.
    on(
        &host,
        "echo 'ai-worker ALL=(ALL) PASSWD: /usr/bin/nix-daemon' > /etc/sudoers.d/zz-reconcile-test",
    );
    let result = nix
        .copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await;
    on(&host, "rm /etc/sudoers.d/zz-reconcile-test");
    let error = result.unwrap_err();
    assert!(matches!(&error, CopyError::SudoRefused { .. }), "{error:?}");
    assert!(error.to_string().contains("NOPASSWD") && !error.is_worth_retrying());
}

#[tokio::test]
async fn a_full_disk_on_the_host_is_seen_before_the_copy_and_named_by_it() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = as_root(&host).await;
    let toplevel = built(&world, &nix, TWO_MEGABYTES).await;
    on(
        &host,
        "set -e; mkdir -p /mnt/small; mount -t tmpfs -o size=1m tmpfs /mnt/small; mkdir /mnt/small/u /mnt/small/w; \
         mount -t overlay -o lowerdir=/nix/store,upperdir=/mnt/small/u,workdir=/mnt/small/w overlay /nix/store; \
         systemctl restart nix-daemon.service 2>/dev/null || true",
    );
    let foreseen = nix
        .copy(&toplevel, &connection, MinFree::bytes(1), PATIENCE)
        .await;
    let result = nix
        .copy(&toplevel, &connection, MinFree::bytes(0), PATIENCE)
        .await;
    on(
        &host,
        "umount -l /nix/store; umount -l /mnt/small; systemctl restart nix-daemon.service 2>/dev/null || true",
    );
    let error = foreseen.unwrap_err();
    assert!(
        matches!(&error, CopyError::NoSpace { needed, free, .. } if needed > free),
        "{error:?}"
    );
    let error = result.unwrap_err();
    assert!(
        matches!(&error, CopyError::OnHost(NixTrouble::DiskFull { .. })),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
    nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_during_the_copy_is_named_and_the_copy_goes_on_later() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = as_root(&host).await;
    let toplevel = built(
        &world,
        &nix,
        "mkdir $out; head -c 300000000 /dev/zero > $out/data",
    )
    .await;
    let (result, ()) = tokio::join!(
        nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE),
        async {
            host.until("the copy runs", "pgrep -f '[n]ix-daemon --stdio'")
                .await;
            host.kill_masters();
        }
    );
    let error = result.unwrap_err();
    assert!(
        matches!(&error, CopyError::ConnectionLost { .. }),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
    let connection = as_root(&host).await;
    nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap();
    on(
        &host,
        &format!("nix-store --delete {toplevel} >/dev/null 2>&1"),
    );
}

#[tokio::test]
async fn a_silent_host_ends_the_copy_at_its_time_limit() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = as_root(&host).await;
    let toplevel = built(
        &world,
        &nix,
        "mkdir $out; head -c 300000000 /dev/zero > $out/data",
    )
    .await;
    let (result, ()) = tokio::join!(
        nix.copy(
            &toplevel,
            &connection,
            MinFree::DEFAULT,
            Duration::from_secs(3)
        ),
        async {
            host.until("the copy runs", "pgrep -f '[n]ix-daemon --stdio'")
                .await;
            host.cut_network().unwrap();
        }
    );
    host.restore_network().unwrap();
    let error = result.unwrap_err();
    assert!(
        matches!(&error, CopyError::Nix(NixTrouble::TimedOut { .. })),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
}

#[tokio::test]
async fn a_host_builds_its_own_system_and_keeps_it() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
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
async fn a_user_with_sudo_builds_on_the_host_too() {
    let Some(host) = Host::lease("lazyworkhorse") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    let connection = host
        .connections()
        .reach(&host.as_worker(Sudo::Yes), LIMIT)
        .await
        .unwrap();
    let (source, evaluated) = system(&world, &nix, &built_by("echo > $out")).await;
    let mut build = request(&source, &evaluated);
    build.on = BuildOn::Target;
    let toplevel = nix.build(&build, Some(&connection)).await.unwrap();
    assert!(is_valid_on(&connection, &toplevel).await.unwrap());
}

#[tokio::test]
async fn a_dropped_build_on_the_host_ends_there() {
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
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
    let Some(host) = Host::lease("spare") else {
        return;
    };
    let world = World::new();
    let nix = nix_for(&world, &host);
    // Only the builder can: there, a file says where it was built.
    let (source, remote) = system(&world, &nix, &built_by("cat /etc/hostname > $out")).await;
    let mut build = request(&source, &remote);
    for builder in [
        host.root_alias.clone(),
        format!("ssh-ng://{} {} - 2", host.root_alias, nix_world::system()),
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
    let Some(hosts) = names
        .map(Host::lease)
        .into_iter()
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
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
            .evaluate(&source, &names.map(nix_world::attribute), PATIENCE)
            .await;
        let evaluation = begun.elapsed();
        let one = |(name, connection): (&'static str, Connection)| {
            let mut build = request(
                &source,
                answers[&nix_world::attribute(name)].as_ref().unwrap(),
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
    until("nothing", || true).await;
}
