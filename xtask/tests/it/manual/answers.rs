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
use crate::stage::{SOON, Stage, never_built, wait_until_clean};

#[test]
fn every_exit_code_means_what_the_help_says() -> Result<()> {
    let mut stage = Stage::prepare(&["uConsole"])?;
    stage.daemon.config.backoff = "first = \"1h\"\nmax = \"1h\"".to_owned();
    stage.daemon.start()?;
    stage.wait_for_convergence(stage.host(), &stage.repository.tip("main")?)?;
    stage.repository.set_delivering(Delivering::Lost)?;
    let ask = ["--host", "uConsole"];
    let put = |exit: Exit| {
        let system = System {
            exit,
            ..never_built("exit")?
        };
        stage
            .repository
            .deploy("main", "Another", &[("uConsole", system)])
    };
    says(&stage, 0, &ask)?;
    put(Exit::ActivationFails)?;
    let said = says(&stage, 3, &ask)?;
    assert!(said.contains("rolled back"), "{said}");
    put(Exit::UnitsFail)?;
    says(&stage, 4, &ask)?;
    // Under way when it is asked for: how that ends is the answer.
    stage.repository.set_delivering(Delivering::Sent)?;
    let system = System {
        exit: Exit::ActivationFails,
        ..slow("under-way", 3)?
    };
    let systems = [("uConsole", system)];
    let revision = stage.repository.deploy("main", "Slow", &systems)?;
    let toplevel = stage.repository.toplevel("uConsole", &revision)?;
    let count = || begun(stage.host(), &toplevel);
    wait_until("an activation", SOON, count, |count| *count == 1)?;
    says(&stage, 3, &ask)?;
    assert_eq!(count()?, 1);
    stage.repository.set_delivering(Delivering::Lost)?;
    put(Exit::Good)?;
    says(&stage, 2, &["suspend", "--host", "uConsole"])?;
    says(
        &stage,
        0,
        &["suspend", "--host", "uConsole", "--why", "a demo"],
    )?;
    let said = says(&stage, 6, &ask)?;
    assert!(said.contains("a demo"), "{said}");
    says(
        &stage,
        0,
        &["resume", "--host", "uConsole", "--why", "it is over"],
    )?;
    says(&stage, 0, &ask)?;
    stage.host().cut_network()?;
    says(&stage, 5, &ask)?;
    stage.host().restore_network()?;
    stage.host().wait_for_login()?;

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
        let said = says(&stage, 2, arguments)?;
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    stage.daemon.stop()?;
    // The same mistakes without a daemon.
    let said = says(&stage, 2, &["--host", "uConsol"])?;
    assert!(said.contains("did you mean uConsole?"), "{said}");
    says(&stage, 2, &["--host", "uConsole", "--branch", "mian"])?;
    says(&stage, 2, &["--host", "uConsole", "--revision", "0123456"])?;
    Ok(())
}

#[test]
fn another_commit_or_branch_is_a_pin_until_it_is_lifted() -> Result<()> {
    let stage = Stage::start(&["spare"])?;
    let (host, first) = (stage.host(), stage.repository.tip("main")?);
    let second = stage
        .repository
        .deploy("main", "Second", &[("spare", never_built("second")?)])?;
    stage.wait_for_convergence(host, &second)?;
    says(&stage, 0, &["--host", "spare", "--revision", &first[..8]])?;
    assert_eq!(
        host.running_toplevel()?,
        stage.repository.toplevel("spare", &first)?
    );
    assert!(stage.status_of(host)?["pinned_by"].is_string());
    let trial = stage
        .repository
        .deploy("trial", "Trial", &[("spare", never_built("trial")?)])?;
    says(&stage, 0, &["--host", "spare", "--branch", "trial"])?;
    assert_eq!(
        host.running_toplevel()?,
        stage.repository.toplevel("spare", &trial)?
    );
    // Done once, and no pin: the host is not touched.
    let built = says(
        &stage,
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
    assert!(says(&stage, 0, &dry)?.contains("would activate"));
    assert_eq!(
        host.running_toplevel()?,
        stage.repository.toplevel("spare", &trial)?
    );
    let lifted = says(&stage, 0, &["unpin", "--host", "spare"])?;
    assert!(lifted.contains("follows its branch again"), "{lifted}");
    stage.wait_for_convergence(host, &second)?;
    assert!(stage.status_of(host)?["pinned_by"].is_null());
    Ok(())
}

/// What a change would leave a trace in. What is free on this machine's disk is everybody's, and left out.
fn traces(stage: &Stage) -> Result<(Value, Value, Vec<Activation>)> {
    let mut status = stage.daemon.status()?;
    status["store"].take();
    let activations = stage.hosts[0].activations()?;
    Ok((status, stage.daemon.history()?, activations))
}

#[test]
fn a_plan_tells_what_would_be_done_and_changes_nothing() -> Result<()> {
    let mut stage = Stage::prepare(&["cyt-pi"])?;
    // Nothing but a plan looks at the host meanwhile.
    stage.daemon.config.defaults = "branch = \"main\"\ninterval = \"1h\"".to_owned();
    stage.daemon.start()?;
    let (host, first) = (&stage.hosts[0], stage.repository.tip("main")?);
    stage.wait_for_convergence(host, &first)?;
    wait_until_clean(host)?;
    stage.repository.set_delivering(Delivering::Lost)?;
    let second =
        stage
            .repository
            .deploy("main", "Second", &[("cyt-pi", never_built("planned")?)])?;
    let wanted = stage.repository.toplevel("cyt-pi", &second)?;
    let before = traces(&stage)?;
    let plan = stage.daemon.cli_json(&["plan", "--all"])?;
    let planned = |plan: &Value| {
        assert_eq!(plan[0]["revision"], second, "{plan:#}");
        assert_eq!(plan[0]["wanted"], wanted, "{plan:#}");
        assert!(
            plan[0]["decision"].to_string().contains("deploy"),
            "{plan:#}"
        );
    };
    planned(&plan);
    assert_eq!(traces(&stage)?, before);
    assert!(says(&stage, 0, &["plan", "--host", "cyt-pi"])?.contains(&second[..12]));
    stage.daemon.stop()?;
    planned(&stage.daemon.cli_json(&["plan", "--all"])?);
    assert_eq!(traces(&stage)?, before);
    wait_until_clean(&stage.hosts[0])
}

#[test]
fn what_goes_into_a_pipe_is_plain_and_who_does_not_listen_is_no_trouble() -> Result<()> {
    let mut stage = Stage::start(&["spare"])?;
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
        let said = says(&stage, 0, arguments)?;
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
        let (code, _) = Running::deaf(&stage, arguments)?.end()?;
        assert_eq!(code, Some(0), "{arguments:?}");
    }
    let (code, _) = Running::deaf(&stage, &["--host", "nobody"])?.end()?;
    assert_eq!(code, Some(2));
    let script = stage.daemon.directory().join("completions");
    fs::write(&script, stage.daemon.cli(&["completions", "bash"])?.stdout)?;
    xtask::process::run(Command::new("bash").arg("-n").arg(script))?;
    for arguments in [&["status"][..], &["history"], &["plan", "--all"]] {
        stage.daemon.cli_json(arguments)?;
    }
    // A config that is wrong is told by the line, and the daemon goes on with the one that it has.
    let good = stage.daemon.config.clone();
    *stage.daemon.config.host("spare") += "\ninterva = \"2s\"";
    stage.daemon.rewrite_config()?;
    let said = says(&stage, 2, &["check"])?;
    assert!(said.contains("did you mean `interval`?"), "{said}");
    stage.daemon.config = good;
    stage.daemon.rewrite_config()?;
    says(&stage, 0, &["check"])?;

    stage.daemon.stop()?;
    let daemon = Running::deaf(&stage, &["serve"])?;
    let systems = [("spare", never_built("unheard")?)];
    let answers = || Ok(stage.daemon.get("/readyz")?.status);
    wait_until("a deaf daemon", SOON, answers, |status| *status == 200)?;
    let revision = stage.repository.deploy("main", "Second", &systems)?;
    stage.wait_for_convergence(stage.host(), &revision)?;
    kill(daemon.pid()?, Signal::SIGTERM)?;
    assert_eq!(daemon.end()?.0, Some(0));
    Ok(())
}
