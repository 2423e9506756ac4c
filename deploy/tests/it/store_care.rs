//! Signs for, and collects on, the test bed's real hosts (`cargo xtask hosts` says what to set).

use std::time::Duration;

use crate::fleet::{Host, LIMIT};
use crate::nix_world::{PATIENCE, World, built_by, evaluated, flake, request};
use deploy::{
    CopyError, HostCollectionRequest, HostCollectionResult, MinFree, Nix, Sudo, Toplevel,
    collect_on_host, is_valid_on,
};

/// How old a generation has to be to go.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A system of its own, built here.
async fn built(world: &World, nix: &Nix) -> Toplevel {
    let source = world.commit(&[("flake.nix", &flake(&[("x", &built_by("echo > $out"))]))]);
    let host = evaluated(nix, &source, "x").await;
    nix.build(&request(&source, &host), None).await.unwrap()
}

/// Nix here, with a key to sign with or without one.
fn nix_for(world: &World, host: &Host, key: Option<&str>) -> Nix {
    let mut settings = world.settings();
    settings.ssh_config = Some(host.ssh_config.clone());
    settings.secret_key = key.map(|name| world.path(name));
    world.nix_with(settings)
}

/// Runs a shell line on the host, apart from what is tested.
fn on(host: &Host, line: &str) -> String {
    host.console(line).unwrap()
}

/// Runs `nix` here, apart from what is tested; gives what it prints.
fn nix_here(arguments: &[&str], stdin: &[u8]) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn what_is_signed_by_a_key_of_the_hosts_is_taken_from_a_user_that_it_does_not_trust() {
    let host = Host::lease("lazyworkhorse");
    let world = World::new();
    let secret = nix_here(&["key", "generate-secret", "--key-name", "test-1"], b"");
    let public = nix_here(&["key", "convert-secret-to-public"], secret.as_bytes());
    std::fs::write(world.path("store-key"), &secret).unwrap();
    let nix = nix_for(&world, &host, Some("store-key"));
    let toplevel = built(&world, &nix).await;

    // Until the host is reset.
    on(&host, "usermod -aG nix-users ai-worker");
    let member = host
        .connections()
        .reach_fresh(&host.as_worker(Sudo::ExceptCopy), LIMIT)
        .await
        .unwrap();
    let untrusted = nix
        .copy(&toplevel, &member, MinFree::DEFAULT, PATIENCE)
        .await;
    let trust = format!("extra-trusted-public-keys = {public}");
    on(
        &host,
        &format!("echo '{trust}' >> /etc/nix/nix.conf; systemctl restart nix-daemon.service"),
    );
    let trusted = nix
        .copy(&toplevel, &member, MinFree::DEFAULT, PATIENCE)
        .await;
    let lies_there = is_valid_on(&member, &toplevel).await;
    // Whoever can write our store can not make the host take what we did not sign.
    let unsigned = nix_for(&world, &host, None);
    let other = built(&world, &unsigned).await;
    let forged = unsigned
        .copy(&other, &member, MinFree::DEFAULT, PATIENCE)
        .await;
    let error = untrusted.unwrap_err();
    assert!(
        matches!(&error, CopyError::SignatureLacking { public_key, .. } if *public_key == public),
        "{error:?}"
    );
    assert!(error.to_string().contains(&public) && !error.is_worth_retrying());
    trusted.unwrap();
    assert!(lies_there.unwrap());
    assert!(
        matches!(&forged, Err(CopyError::SignatureLacking { public_key, .. }) if public_key.contains("secret_key_file")),
        "{forged:?}"
    );
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_named() {
    let host = Host::lease("lazyworkhorse");
    let world = World::new();
    let nix = nix_for(&world, &host, Some("no-such-key"));
    let toplevel = built(&world, &nix).await;
    let connection = host
        .connections()
        .reach(&host.as_root(), LIMIT)
        .await
        .unwrap();
    let error = nix
        .copy(&toplevel, &connection, MinFree::DEFAULT, PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(&error, CopyError::NotSigned { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-key") && !error.is_worth_retrying());
}

#[tokio::test]
async fn a_host_keeps_what_it_may_need_and_lets_go_of_the_rest() {
    let host = Host::lease("spare");
    let systems = ["ancient", "proven", "young", "next"].map(|_| host.build(|_| ()));
    let [ancient, proven, young, next] = &systems;
    let garbage = on(
        &host,
        "head -c 3000000 /dev/urandom > /tmp/garbage; nix-store --add /tmp/garbage",
    );
    let garbage = garbage.trim();
    for (system, age) in [(ancient, 90), (proven, 60), (young, 1), (next, 0)] {
        on(
            &host,
            &format!(
                "nix-env -p /nix/var/nix/profiles/system --set {system}; \
                 touch -h -d '{age} days ago' $(ls -d /nix/var/nix/profiles/system-*-link | sort -V | tail -n 1)"
            ),
        );
    }
    let connection = host
        .connections()
        .reach(&host.as_root(), LIMIT)
        .await
        .unwrap();
    let request = HostCollectionRequest {
        keep_for: MONTH,
        keep_newest: 1,
        keep: vec![proven.clone()],
        timeout: LIMIT,
        now: jiff::Timestamp::try_from(std::time::SystemTime::now()).unwrap(),
    };
    let collection = collect_on_host(&connection, &request).await.unwrap();
    assert_eq!(collection.result, HostCollectionResult::Done);
    assert_eq!(collection.generations, 1);
    assert!(
        collection.freed.paths >= 2 && collection.freed.bytes >= 3_000_000,
        "{collection:?}"
    );
    on(
        &host,
        &format!("test ! -e {ancient} && test ! -e {garbage}"),
    );
    for kept in [proven, young, next] {
        on(&host, &format!("nix-store --check-validity {kept}"));
    }
    on(
        &host,
        &format!("nix-store --check-validity {}", host.base_toplevel),
    );
    assert_eq!(
        host.boot_default().unwrap(),
        next.as_str(),
        "the menu is that of the boot default"
    );
}
