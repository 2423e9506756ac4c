//! Copies to the test bed's real hosts.

use std::time::{Duration, Instant};

use crate::fleet::{Host, LIMIT};
use crate::nix_world::{PATIENCE, World, built_by, evaluated, flake, request};
use deploy::{
    Connection, CopyError, Evaluated, FlakeSource, MinFree, Nix, NixTrouble, Sudo, Toplevel,
    is_valid_on,
};

/// A flake's host, built by a script, evaluated.
pub async fn system(world: &World, nix: &Nix, code: &str) -> (FlakeSource, Evaluated) {
    let source = world.commit(&[("flake.nix", &flake(&[("x", code)]))]);
    let host = evaluated(nix, &source, "x").await;
    (source, host)
}

pub async fn built(world: &World, nix: &Nix, script: &str) -> Toplevel {
    let (source, host) = system(world, nix, &built_by(script)).await;
    nix.build(&request(&source, &host), None).await.unwrap()
}

pub fn nix_for(world: &World, host: &Host) -> Nix {
    let mut settings = world.settings();
    settings.ssh_config = Some(host.ssh_config.clone());
    world.nix_with(settings)
}

/// A host of its own for a test, a folder with a flake, and Nix that reaches the host from there.
pub fn leased(name: &str) -> (Host, World, Nix) {
    let host = Host::lease(name);
    let world = World::new();
    let nix = nix_for(&world, &host);
    (host, world, nix)
}

pub async fn as_root(host: &Host) -> Connection {
    host.connections()
        .reach(&host.as_root(), LIMIT)
        .await
        .unwrap()
}

pub async fn as_worker(host: &Host, sudo: Sudo) -> Connection {
    host.connections()
        .reach(&host.as_worker(sudo), LIMIT)
        .await
        .unwrap()
}

/// Runs a shell line on the host, apart from what is tested.
pub fn on(host: &Host, line: &str) -> String {
    host.console(line).unwrap()
}

pub const TWO_MEGABYTES: &str = "mkdir $out; head -c 2000000 /dev/urandom > $out/data";

#[tokio::test]
async fn a_system_is_copied_once_and_the_second_time_is_one_question() {
    let (host, world, nix) = leased("spare");
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
    let (host, world, nix) = leased("spare");
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
    let (host, world, nix) = leased("spare");
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
    let (host, world, nix) = leased("lazyworkhorse");

    let connection = as_worker(&host, Sudo::Yes).await;
    let toplevel = built(&world, &nix, TWO_MEGABYTES).await;
    nix.copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap();
    assert!(is_valid_on(&connection, &toplevel).await.unwrap());

    let toplevel = built(&world, &nix, TWO_MEGABYTES).await;
    let outsider = as_worker(&host, Sudo::No).await;
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
    let (host, world, nix) = leased("lazyworkhorse");
    let connection = as_worker(&host, Sudo::Yes).await;
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
    let (host, world, nix) = leased("spare");
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
    let (host, world, nix) = leased("spare");
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
async fn a_host_that_falls_silent_ends_the_copy_at_its_time_limit() {
    let (host, world, nix) = leased("spare");
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
        matches!(&error, CopyError::Nix(NixTrouble::Silent { .. })),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
}
