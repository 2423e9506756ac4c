//! What commands answer: exit codes, plans, tables, lines of JSON.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use xtask::flake::{Exit, System};
use xtask::fleet::Activation;
use xtask::forge::Delivering;
use xtask::wait::wait_until;

use super::running::Running;
use super::{begun, says, slow};
use crate::scene::{SOON, Scene, never_built, status_of, wait_until_clean};
use crate::settled::start;

/// Asks for what cannot be, and sees it named.
fn assert_mistakes_are_named(scene: &Scene) -> Result<()> {
    for (arguments, words) in [
        (&["--host", "uConsol"][..], "did you mean uConsole?"),
        (
            &["--host", "uConsole", "--branch", "mian"],
            "no branch mian",
        ),
        (
            &["--host", "uConsole", "--revision", "0123456"],
            "no commit 0123456",
        ),
        (
            &["--host", "uConsole", "--revision", "main"],
            "is not a revision",
        ),
        (&["--host", "uConsole", "--action", "reboot"], "reboot"),
        (&["--host", "uConsole", "status"], "go with no command"),
        (&["plan", "--host", "nobody"], "no host nobody"),
        (&["unpin"], "--host"),
    ] {
        let said = says(scene, 2, arguments)?;
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn every_exit_code_means_what_the_help_says() -> Result<()> {
    let mut scene = Scene::prepare(&["uConsole"])?;
    scene.daemon.config.backoff = "first = \"1h\"\nmax = \"1h\"".to_owned();
    scene.daemon.start()?;
    scene.wait_for_convergence(scene.host(), &scene.repository.tip("main")?)?;
    scene.repository.set_delivering(Delivering::Lost)?;
    let ask = ["--host", "uConsole"];
    let put = |exit: Exit| {
        let system = System {
            exit,
            ..never_built("exit")?
        };
        scene
            .repository
            .deploy("main", "Another", &[("uConsole", system)])
    };
    says(&scene, 0, &ask)?;
    put(Exit::ActivationFails)?;
    let said = says(&scene, 3, &ask)?;
    assert!(said.contains("rolled back"), "{said}");
    put(Exit::UserFails)?;
    says(&scene, 0, &ask)?;
    // Under way when it is asked for: how that ends is the answer.
    scene.repository.set_delivering(Delivering::Sent)?;
    let system = System {
        exit: Exit::ActivationFails,
        ..slow("under-way", 3)?
    };
    let systems = [("uConsole", system)];
    let revision = scene.repository.deploy("main", "Slow", &systems)?;
    let toplevel = scene.repository.toplevel("uConsole", &revision)?;
    let count = || begun(scene.host(), &toplevel);
    wait_until("an activation", SOON, count, |count| *count == 1)?;
    says(&scene, 3, &ask)?;
    assert_eq!(count()?, 1);
    scene.repository.set_delivering(Delivering::Lost)?;
    put(Exit::Good)?;
    says(&scene, 2, &["suspend", "--host", "uConsole"])?;
    says(
        &scene,
        0,
        &["suspend", "--host", "uConsole", "--why", "a demo"],
    )?;
    let said = says(&scene, 6, &ask)?;
    assert!(said.contains("a demo"), "{said}");
    says(
        &scene,
        0,
        &["resume", "--host", "uConsole", "--why", "it is over"],
    )?;
    says(&scene, 0, &ask)?;
    scene.host().cut_network()?;
    says(&scene, 5, &ask)?;
    scene.host().restore_network()?;
    scene.host().wait_for_login()?;

    assert_mistakes_are_named(&scene)?;
    scene.daemon.stop()?;
    // The same mistakes without a daemon.
    let said = says(&scene, 2, &["--host", "uConsol"])?;
    assert!(said.contains("did you mean uConsole?"), "{said}");
    says(&scene, 2, &["--host", "uConsole", "--branch", "mian"])?;
    says(&scene, 2, &["--host", "uConsole", "--revision", "0123456"])?;
    Ok(())
}

#[test]
fn another_commit_or_branch_is_a_pin_until_it_is_lifted() -> Result<()> {
    let scene = start(&["spare"])?;
    let (host, first) = (scene.host(), scene.repository.tip("main")?);
    let second = scene
        .repository
        .deploy("main", "Second", &[("spare", never_built("second")?)])?;
    scene.wait_for_convergence(host, &second)?;
    says(&scene, 0, &["--host", "spare", "--revision", &first[..8]])?;
    assert_eq!(
        host.running_toplevel()?,
        scene.repository.toplevel("spare", &first)?
    );
    assert!(status_of(&scene.daemon, &host.name)?["pinned_by"].is_string());
    let trial = scene
        .repository
        .deploy("trial", "Trial", &[("spare", never_built("trial")?)])?;
    says(&scene, 0, &["--host", "spare", "--branch", "trial"])?;
    assert_eq!(
        host.running_toplevel()?,
        scene.repository.toplevel("spare", &trial)?
    );
    // Done once, and no pin: the host is not touched.
    let built = says(
        &scene,
        0,
        &[
            "--host",
            "spare",
            "--revision",
            &second,
            "--action",
            "build",
        ],
    )?;
    assert!(built.contains("built"), "{built}");
    let dry = [
        "--host",
        "spare",
        "--revision",
        &second,
        "--action",
        "dry-activate",
    ];
    assert!(says(&scene, 0, &dry)?.contains("would activate"));
    assert_eq!(
        host.running_toplevel()?,
        scene.repository.toplevel("spare", &trial)?
    );
    let lifted = says(&scene, 0, &["unpin", "--host", "spare"])?;
    assert!(lifted.contains("follows its branch again"), "{lifted}");
    scene.wait_for_convergence(host, &second)?;
    assert!(status_of(&scene.daemon, &host.name)?["pinned_by"].is_null());
    Ok(())
}

/// What a change would leave a trace in. What is free on this machine's disk is everybody's, and left out.
fn traces(scene: &Scene) -> Result<(Value, Value, Vec<Activation>)> {
    let mut status = scene.daemon.status()?;
    status["store"].take();
    let activations = scene.hosts[0].activations()?;
    Ok((status, scene.daemon.history()?, activations))
}

#[test]
fn a_plan_tells_what_would_be_done_and_changes_nothing() -> Result<()> {
    let mut scene = Scene::prepare(&["cyt-pi"])?;
    // Nothing but a plan looks at the host meanwhile.
    scene.daemon.config.defaults = "branch = \"main\"\ninterval = \"1h\"".to_owned();
    scene.daemon.start()?;
    let (host, first) = (&scene.hosts[0], scene.repository.tip("main")?);
    scene.wait_for_convergence(host, &first)?;
    wait_until_clean(host)?;
    scene.repository.set_delivering(Delivering::Lost)?;
    let second =
        scene
            .repository
            .deploy("main", "Second", &[("cyt-pi", never_built("planned")?)])?;
    let wanted = scene.repository.toplevel("cyt-pi", &second)?;
    let before = traces(&scene)?;
    let plan = scene.daemon.cli_json(&["plan", "--all"])?;
    let planned = |plan: &Value| {
        assert_eq!(plan[0]["revision"], second, "{plan:#}");
        assert_eq!(plan[0]["wanted"], wanted, "{plan:#}");
        assert!(
            plan[0]["decision"].to_string().contains("deploy"),
            "{plan:#}"
        );
    };
    planned(&plan);
    assert_eq!(traces(&scene)?, before);
    assert!(says(&scene, 0, &["plan", "--host", "cyt-pi"])?.contains(&second[..12]));
    scene.daemon.stop()?;
    planned(&scene.daemon.cli_json(&["plan", "--all"])?);
    assert_eq!(traces(&scene)?, before);
    wait_until_clean(&scene.hosts[0])
}

#[test]
fn what_goes_into_a_pipe_is_plain_and_who_does_not_listen_is_no_trouble() -> Result<()> {
    let mut scene = start(&["spare"])?;
    for arguments in [
        &["status"][..],
        &["history"],
        &["check"],
        &["plan", "--all"],
        &["--host", "spare"],
        &["--help"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
    ] {
        let said = says(&scene, 0, arguments)?;
        let is_plain = |letter: char| letter == '\n' || letter == '\t' || !letter.is_control();
        // zsh's script names a control character of its own.
        ensure!(
            arguments[0] == "completions" || said.chars().all(is_plain),
            "{arguments:?}: {said:?}"
        );
        assert!(
            said.contains("spare") || said.contains("reconcile"),
            "{arguments:?}: {said}"
        );
        // Nobody reads a word of it.
        let (code, _) = Running::deaf(&scene, arguments)?.end()?;
        assert_eq!(code, Some(0), "{arguments:?}");
    }
    let (code, _) = Running::deaf(&scene, &["--host", "nobody"])?.end()?;
    assert_eq!(code, Some(2));
    let script = scene.daemon.directory().join("completions");
    fs::write(&script, scene.daemon.cli(&["completions", "bash"])?.stdout)?;
    xtask::process::run(Command::new("bash").arg("-n").arg(script))?;
    for arguments in [&["status"][..], &["history"], &["plan", "--all"]] {
        scene.daemon.cli_json(arguments)?;
    }
    // A config that is wrong is told by the line, and the daemon goes on with the one that it has.
    let good = scene.daemon.config.clone();
    *scene.daemon.config.host("spare") += "\ninterva = \"2s\"";
    scene.daemon.rewrite_config()?;
    let said = says(&scene, 2, &["check"])?;
    assert!(said.contains("did you mean `interval`?"), "{said}");
    scene.daemon.config = good;
    scene.daemon.rewrite_config()?;
    says(&scene, 0, &["check"])?;

    scene.daemon.stop()?;
    let daemon = Running::deaf(&scene, &["serve"])?;
    let systems = [("spare", never_built("unheard")?)];
    let answers = || Ok(scene.daemon.get("/readyz")?.status);
    wait_until("a deaf daemon", SOON, answers, |status| *status == 200)?;
    let revision = scene.repository.deploy("main", "Second", &systems)?;
    scene.wait_for_convergence(scene.host(), &revision)?;
    kill(daemon.pid()?, Signal::SIGTERM)?;
    assert_eq!(daemon.end()?.0, Some(0));
    Ok(())
}
