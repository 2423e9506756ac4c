//! Asking for a deployment: by oneself or through the daemon, and what becomes of it when somebody goes away.

use std::time::Instant;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use xtask::forge::Delivering;
use xtask::wait::wait_until;

use super::running::Running;
use super::{AT_ONCE, alone, begun, says, slow};
use crate::stage::{SOON, Stage, wait_until_clean};

#[test]
fn without_a_daemon_the_named_host_is_reconciled_and_no_other_and_nobody_else_may_meanwhile()
-> Result<()> {
    let stage = alone(&["cyt-pi", "spare"])?;
    let (host, other) = (&stage.hosts[0], &stage.hosts[1]);
    let systems = [("cyt-pi", slow("alone", 4)?)];
    let revision = stage.repository.deploy("main", "Slow", &systems)?;
    let toplevel = stage.repository.toplevel("cyt-pi", &revision)?;

    let refused = says(&stage, 2, &["--host", "cyt-pi", "--no-wait"])?;
    assert!(refused.contains("no daemon runs"), "{refused}");
    let first = Running::start(&stage, "first", &["--host", "cyt-pi"])?;
    first.wait_for_line("activating")?;
    // The same state, the same lock: for the same host, for another, and for a daemon.
    let holder = format!("process {}", first.pid()?);
    for arguments in [&["--host", "cyt-pi"][..], &["--host", "spare"], &["serve"]] {
        let busy = says(&stage, 7, arguments)?;
        assert!(busy.contains(&holder), "{arguments:?}: {busy}");
    }
    let (code, said) = first.end()?;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("cyt-pi: converged"), "{said}");
    assert_eq!(host.running_toplevel()?, toplevel);
    assert_eq!(begun(host, &toplevel)?, 1);
    wait_until_clean(host)?;
    assert!(other.activations()?.is_empty());
    assert_eq!(other.running_toplevel()?, other.base_toplevel);

    // Everyone now, and what is there already is not touched again.
    let said = says(&stage, 0, &["--all"])?;
    assert!(
        said.contains("cyt-pi: ") && said.contains("spare: converged"),
        "{said}"
    );
    assert_eq!(begun(host, &toplevel)?, 1);
    Ok(())
}

#[test]
fn who_is_interrupted_while_working_alone_leaves_an_activation_that_the_next_one_takes_up()
-> Result<()> {
    let stage = alone(&["uConsole"])?;
    let systems = [("uConsole", slow("interrupted", 3)?)];
    let revision = stage.repository.deploy("main", "Slow", &systems)?;
    let toplevel = stage.repository.toplevel("uConsole", &revision)?;
    let running = Running::start(&stage, "interrupted", &["--host", "uConsole"])?;
    running.wait_for_line("activating")?;
    wait_until(
        "the activation",
        SOON,
        || begun(stage.host(), &toplevel),
        |count| *count == 1,
    )?;
    kill(running.pid()?, Signal::SIGINT)?;
    let (code, said) = running.end()?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("goes on by itself"), "{said}");
    let said = says(&stage, 0, &["--host", "uConsole"])?;
    assert!(
        said.contains("watching an activation that is under way"),
        "{said}"
    );
    assert_eq!(stage.host().running_toplevel()?, toplevel);
    assert_eq!(begun(stage.host(), &toplevel)?, 1);
    wait_until_clean(stage.host())
}

#[test]
fn with_a_daemon_two_who_ask_at_once_get_one_deployment_and_who_goes_away_changes_nothing()
-> Result<()> {
    let stage = Stage::start(&["cyt-pi"])?;
    stage.repository.set_delivering(Delivering::Lost)?;
    let host = stage.host();
    let asked = |name: &str| -> Result<(String, Vec<Running>)> {
        let system = slow(name, 3)?;
        let revision = stage
            .repository
            .deploy("main", name, &[("cyt-pi", system)])?;
        let both = [format!("{name}-1"), format!("{name}-2")];
        let both = both.map(|name| Running::start(&stage, &name, &["--host", "cyt-pi", "--json"]));
        let both: Result<Vec<_>> = both.into_iter().collect();
        Ok((stage.repository.toplevel("cyt-pi", &revision)?, both?))
    };

    let (toplevel, both) = asked("two")?;
    for one in both {
        let (code, said) = one.end()?;
        assert_eq!(code, Some(0), "{said}");
        let lines: Vec<Value> = said
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        assert!(
            lines
                .iter()
                .all(|line| line["host"] == "cyt-pi" && line["at"].is_string()),
            "{said}"
        );
        assert_eq!(
            lines.iter().filter(|line| line["event"] == "done").count(),
            1,
            "{said}"
        );
    }
    assert_eq!(host.running_toplevel()?, toplevel);
    assert_eq!(begun(host, &toplevel)?, 1);

    let (toplevel, both) = asked("interrupted")?;
    for one in &both {
        one.wait_for_line("activating")?;
        kill(one.pid()?, Signal::SIGINT)?;
    }
    for one in both {
        let (code, said) = one.end()?;
        assert_eq!(code, Some(1), "{said}");
    }
    stage.daemon.wait_until_running(host, &toplevel, SOON)?;
    assert_eq!(begun(host, &toplevel)?, 1);

    let revision = stage
        .repository
        .deploy("main", "later", &[("cyt-pi", slow("later", 3)?)])?;
    let start = Instant::now();
    let said = says(&stage, 0, &["--host", "cyt-pi", "--no-wait"])?;
    assert!(
        said.contains("cyt-pi: queued") && start.elapsed() < AT_ONCE,
        "{said}"
    );
    assert_ne!(
        host.running_toplevel()?,
        stage.repository.toplevel("cyt-pi", &revision)?
    );
    stage.wait_for_convergence(host, &revision).map(drop)
}

#[test]
fn a_daemon_that_dies_while_somebody_follows_is_told_in_a_sentence() -> Result<()> {
    let mut stage = Stage::start(&["spare"])?;
    stage.repository.set_delivering(Delivering::Lost)?;
    let systems = [("spare", slow("left-alone", 3)?)];
    let revision = stage.repository.deploy("main", "Slow", &systems)?;
    let following = Running::start(&stage, "following", &["--host", "spare"])?;
    following.wait_for_line("activating")?;
    stage.daemon.kill()?;
    let (code, said) = following.end()?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("reconcile: the daemon ended"), "{said}");
    stage.daemon.start()?;
    stage
        .wait_for_convergence(stage.host(), &revision)
        .map(drop)
}
