//! Evaluates and builds with the Nix that is installed here.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::nix_world::{
    PATIENCE, World, attribute, built_by, built_for, evaluated, flake, request, until,
};
use deploy::{BuildError, BuildOn, EvaluateError, FlakeSource, Nix, NixTrouble};

async fn failure(nix: &Nix, source: &FlakeSource, name: &str) -> std::sync::Arc<EvaluateError> {
    let mut answers = nix.evaluate(source, &[attribute(name)], PATIENCE).await;
    answers.remove(&attribute(name)).unwrap().unwrap_err()
}

#[tokio::test]
async fn all_hosts_of_a_revision_are_evaluated_and_their_derivations_are_in_the_store() {
    let world = World::new();
    let source = world.commit(&[(
        "flake.nix",
        &flake(&[
            ("a.b", &built_by("echo a > $out")),
            ("cyt-pi", &built_for("aarch64-linux", "echo b > $out")),
        ]),
    )]);
    let hosts = [attribute("a.b"), attribute("cyt-pi"), attribute("a.b")];
    let answers = world.nix().evaluate(&source, &hosts, PATIENCE).await;
    assert_eq!(answers.len(), 2);
    assert_eq!(
        answers[&hosts[0]].as_ref().unwrap().system,
        crate::nix_world::system()
    );
    assert_eq!(answers[&hosts[1]].as_ref().unwrap().system, "aarch64-linux");
    for host in answers.values() {
        let derivation = &host.as_ref().unwrap().derivation;
        assert!(
            Path::new(derivation.as_str()).exists(),
            "{derivation} was not instantiated"
        );
    }
}

#[tokio::test]
async fn one_hosts_broken_evaluation_and_a_missing_host_never_stop_the_others() {
    let world = World::new();
    let source = world.commit(&[(
        "flake.nix",
        &flake(&[
            ("good", &built_by("echo good > $out")),
            ("other", &built_by("echo other > $out")),
            ("thrown", "throw \"no such option\""),
            ("endless", "let x = x; in x"),
        ]),
    )]);
    let hosts = ["good", "thrown", "endless", "other", "god"].map(attribute);
    let answers = world.nix().evaluate(&source, &hosts, PATIENCE).await;
    assert_eq!(answers.len(), 5);
    assert!(
        answers[&hosts[0]].is_ok() && answers[&hosts[3]].is_ok(),
        "{answers:?}"
    );
    assert_eq!(
        answers[&hosts[1]].as_ref().unwrap_err().to_string(),
        "no such option"
    );
    let endless = answers[&hosts[2]].as_ref().unwrap_err().to_string();
    assert!(
        endless.starts_with("infinite recursion encountered (at flake.nix:"),
        "{endless}"
    );
    let missing = answers[&hosts[4]].as_ref().unwrap_err();
    assert!(
        matches!(&**missing, EvaluateError::AttributeMissing { nearest: Some(near), .. } if near == "good"),
        "{missing}"
    );
    assert!(!missing.is_worth_retrying());
}

#[tokio::test]
async fn a_flake_in_a_folder_is_found_and_a_wrong_folder_is_named() {
    let world = World::new();
    let mut source = world.commit(&[(
        "hosts/a b/flake.nix",
        &flake(&[("x", &built_by("echo > $out"))]),
    )]);
    source.folder = "hosts/a b".into();
    evaluated(&world.nix(), &source, "x").await;
    source.folder = "elsewhere".into();
    let error = failure(&world.nix(), &source, "x").await;
    assert!(
        matches!(&*error, EvaluateError::NoFlake { folder } if folder == "elsewhere"),
        "{error}"
    );
    source.folder = "hosts/a b".into();
    source.revision = "0".repeat(40);
    let error = failure(&world.nix(), &source, "x").await;
    assert!(
        matches!(&*error, EvaluateError::RevisionMissing { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_lock_file_is_named_even_where_the_input_cannot_be_reached() {
    let world = World::new();
    let with_input = |url: &str| {
        format!(
            "{{ inputs.dep.url = \"{url}\"; outputs = {{ self, dep }}: {{ nixosConfigurations = dep.nixosConfigurations; }}; }}"
        )
    };
    let other = World::new();
    other.commit(&[("flake.nix", &flake(&[("x", &built_by("echo > $out"))]))]);
    let reachable = format!("git+file://{}", other.path("work").display());
    for url in [reachable.as_str(), "git+http://127.0.0.1:1/dep.git"] {
        let source = world.commit(&[("flake.nix", &with_input(url))]);
        let error = failure(&world.nix(), &source, "x").await;
        assert!(
            matches!(&*error, EvaluateError::LockFile { .. }),
            "{url}: {error}"
        );
        assert!(!error.is_worth_retrying());
    }
    assert!(!world.path("work/flake.lock").exists());
}

#[tokio::test]
async fn a_flake_never_configures_nix() {
    let world = World::new();
    let marker = world.path("hook-ran");
    let code = flake(&[("x", &built_by("echo > $out"))]).replacen(
        '{',
        &format!("{{ nixConfig.post-build-hook = \"/usr/bin/touch {}\"; nixConfig.accept-flake-config = true;", marker.display()),
        1,
    );
    let source = world.commit(&[("flake.nix", &code)]);
    let nix = Nix::new(world.settings()).configured(&format!(
        "{}accept-flake-config = true\n",
        crate::nix_world::CONFIGURATION
    ));
    let host = evaluated(&nix, &source, "x").await;
    nix.build(&request(&source, &host), None).await.unwrap();
    assert!(!marker.exists());
}

#[tokio::test]
async fn a_build_is_rooted_until_it_is_let_go() {
    let world = World::new();
    let nix = world.nix();
    let mut revisions = Vec::new();
    for number in 0..4 {
        let source = world.commit(&[(
            "flake.nix",
            &flake(&[("cyt-pi", &built_by(&format!("echo {number} > $out")))]),
        )]);
        let host = evaluated(&nix, &source, "cyt-pi").await;
        let toplevel = nix.build(&request(&source, &host), None).await.unwrap();
        assert_eq!(toplevel, host.toplevel);
        assert_eq!(
            fs::read_to_string(toplevel.as_str()).unwrap(),
            format!("{number}\n")
        );
        let root = world.path("roots/cyt-pi").join(&source.revision);
        assert_eq!(fs::read_link(&root).unwrap(), Path::new(toplevel.as_str()));
        assert!(
            is_rooted(&toplevel, &root),
            "Nix does not know the root of {toplevel}"
        );
        // Building again is quick and makes the root anew.
        nix.build(&request(&source, &host), None).await.unwrap();
        revisions.push((source, host));
    }
    let kept = nix.build_roots().await.unwrap();
    assert_eq!(kept.len(), 4);
    for (source, host) in &revisions {
        let root = kept.iter().find(|root| root.revision == source.revision);
        let root = root.unwrap();
        assert_eq!(root.host, "cyt-pi");
        assert_eq!(root.toplevel.as_ref(), Some(&host.toplevel));
        assert!(root.built_at.elapsed().unwrap() < PATIENCE);
        nix.let_go(root).await.unwrap();
        nix.let_go(root).await.unwrap();
    }
    assert_eq!(nix.build_roots().await.unwrap(), []);
}

fn is_rooted(toplevel: &deploy::Toplevel, root: &Path) -> bool {
    let output = std::process::Command::new("nix-store")
        .args(["--query", "--roots", toplevel.as_str()])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).contains(&*root.to_string_lossy())
}

#[tokio::test]
async fn a_failed_builder_is_reported_with_its_last_lines_and_not_worth_retrying() {
    let world = World::new();
    let script = "for i in 1 2 3; do echo compiling $i; done; echo boom >&2; exit 3";
    let source = world.commit(&[("flake.nix", &flake(&[("x", &built_by(script))]))]);
    let nix = world.nix();
    let host = evaluated(&nix, &source, "x").await;
    let error = nix.build(&request(&source, &host), None).await.unwrap_err();
    let BuildError::BuilderFailed {
        derivation,
        how,
        log,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (derivation.as_str(), how.as_str()),
        (host.derivation.as_str(), "failed with exit code 3")
    );
    assert_eq!(log, "compiling 1\ncompiling 2\ncompiling 3\nboom");
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn another_architecture_is_refused_before_the_build_with_the_three_mends() {
    let world = World::new();
    let source = world.commit(&[(
        "flake.nix",
        &flake(&[("x", &built_for("riscv64-linux", "echo > $out"))]),
    )]);
    let nix = world.nix();
    let host = evaluated(&nix, &source, "x").await;
    let error = nix.build(&request(&source, &host), None).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::SystemUnsupported { system, .. } if system == "riscv64-linux"),
        "{error:?}"
    );
    for mend in [
        "binfmt",
        "extra-platforms",
        "build_on = \"target\"",
        "name a builder",
    ] {
        assert!(error.to_string().contains(mend), "{error}");
    }
    assert!(!error.is_worth_retrying());
    // Emulation that Nix has been told of counts, and so does what is in the store already.
    let emulating = Nix::new(world.settings()).configured(&format!(
        "{}extra-platforms = riscv64-linux\n",
        crate::nix_world::CONFIGURATION
    ));
    emulating
        .build(&request(&source, &host), None)
        .await
        .unwrap();
    nix.build(&request(&source, &host), None).await.unwrap();
}

#[tokio::test]
async fn a_build_that_is_dropped_or_takes_too_long_leaves_no_process_behind() {
    let world = World::new();
    let file = world.path("number");
    // Nix's builders have process groups of their own; this one's child is not even the builder itself.
    let script = format!(
        "(sh -c 'echo $$ > {}; sleep 1000; :'; true)",
        file.display()
    );
    let source = world.commit(&[("flake.nix", &flake(&[("x", &built_by(&script))]))]);
    let nix = world.nix();
    let host = evaluated(&nix, &source, "x").await;
    let started = || fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
    let process = || format!("/proc/{}", fs::read_to_string(&file).unwrap().trim());

    let mut short = request(&source, &host);
    short.timeout = Duration::from_secs(2);
    let error = nix.build(&short, None).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::Nix(NixTrouble::TimedOut { .. })),
        "{error:?}"
    );
    assert!(error.is_timeout());
    assert!(error.is_worth_retrying() && started());
    until("the builder's child ends", || {
        !Path::new(&process()).exists()
    })
    .await;

    fs::remove_file(&file).unwrap();
    let building = request(&source, &host);
    let dropped = tokio::spawn(async move { nix.build(&building, None).await });
    until("the builder runs", started).await;
    dropped.abort();
    until("the builder's child ends", || {
        !Path::new(&process()).exists()
    })
    .await;
}

#[tokio::test]
async fn a_derivation_that_is_gone_asks_for_another_evaluation() {
    let world = World::new();
    let source = world.commit(&[("flake.nix", &flake(&[("x", &built_by("echo > $out"))]))]);
    let nix = world.nix();
    let mut host = evaluated(&nix, &source, "x").await;
    host.derivation = host
        .derivation
        .as_str()
        .replacen("nixos-system-test", "nixos-system-gone", 1)
        .parse()
        .unwrap();
    let error = nix.build(&request(&source, &host), None).await.unwrap_err();
    assert!(
        error.needs_evaluation() && error.is_worth_retrying(),
        "{error:?}"
    );
}

#[tokio::test]
async fn names_that_would_leave_the_folder_of_roots_are_refused() {
    let world = World::new();
    let source = world.commit(&[("flake.nix", &flake(&[("x", &built_by("echo > $out"))]))]);
    let nix = world.nix();
    let host = evaluated(&nix, &source, "x").await;
    for bad in ["", "..", "../x", "a/b"] {
        let mut request = request(&source, &host);
        request.host = bad.into();
        assert!(
            matches!(nix.build(&request, None).await, Err(BuildError::Name(_))),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_builder_that_does_not_answer_is_named() {
    let world = World::new();
    let source = world.commit(&[(
        "flake.nix",
        &flake(&[("x", &built_for("riscv64-linux", "echo > $out"))]),
    )]);
    let nix = world.nix();
    let host = evaluated(&nix, &source, "x").await;
    let mut request = request(&source, &host);
    request.on = BuildOn::Builder("ssh://nobody@127.0.0.1:1".into());
    let error = nix.build(&request, None).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::BuilderUnreachable { .. }),
        "{error:?}"
    );
    assert!(error.is_worth_retrying());
}

#[tokio::test]
async fn a_push_that_changes_four_hosts_is_evaluated_and_built_in_a_fraction_of_a_second() {
    let world = World::new();
    let nix = world.nix();
    let names = ["a", "b", "c", "d"];
    let mut best = Duration::MAX;
    for round in 0..3 {
        let hosts = names.map(|name| (name, built_by(&format!("echo {round} {name} > $out"))));
        let hosts = hosts.each_ref().map(|(name, code)| (*name, code.as_str()));
        let source = world.commit(&[("flake.nix", &flake(&hosts))]);
        let begun = Instant::now();
        let answers = nix.evaluate(&source, &names.map(attribute), PATIENCE).await;
        let evaluation = begun.elapsed();
        let builds = answers.iter().map(|(name, host)| {
            let mut request = request(&source, host.as_ref().unwrap());
            request.host = name.to_string();
            let nix = &nix;
            async move { nix.build(&request, None).await.unwrap() }
        });
        futures::future::join_all(builds).await;
        println!(
            "evaluation {evaluation:?}, with four builds {:?}",
            begun.elapsed()
        );
        best = best.min(begun.elapsed());
    }
    // 0.1 s on two idle cores; the limit is for a machine with other things to do.
    assert!(best < Duration::from_secs(3), "{best:?}");
}
