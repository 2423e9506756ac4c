//! Names that a shell, ssh or git would take for something else are names, or are refused.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use xtask::daemon::SECRET;
use xtask::fleet::Host;
use xtask::http::{Address, request};
use xtask::process::run;

use crate::stage::{SOON, Stage, never_built};

/// A file that is there once anybody has run what a name says.
struct Canary(PathBuf);

impl Canary {
    fn new() -> Result<Self> {
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        Ok(Self(format!("/var/tmp/canary-{}", id.trim()).into()))
    }

    /// What would make it, without a space and with one.
    fn touches(&self) -> [String; 2] {
        let file = self.0.display();
        [format!("touch${{IFS}}{file}"), format!("touch {file}")]
    }

    /// What git takes for the name of a branch.
    fn branches(&self) -> Vec<String> {
        let [touch, _] = self.touches();
        vec![
            format!("$({touch})"),
            format!("`{touch}`"),
            format!(";{touch};"),
            format!("';{touch};'"),
            format!("\";{touch};\""),
            format!("|{touch}&"),
            format!("-oProxyCommand={touch}"),
            format!("--upload-pack={touch}"),
            format!("${{{touch}}}"),
            format!("x%{{{touch}}}#{touch}"),
        ]
    }

    /// What nobody takes for a name.
    fn nonsense(&self) -> Vec<String> {
        let [_, touch] = self.touches();
        vec![
            format!("$({touch})"),
            format!("x\n{touch}\n"),
            format!("\u{1b}[2J\r{touch}"),
            format!("ext::sh -c {touch}"),
            String::new(),
        ]
    }

    /// What leads out of a folder.
    fn paths(&self) -> Vec<String> {
        let file = self.0.display();
        vec![
            format!("../../../../../..{file}"),
            "..".to_owned(),
            format!("a/../../b{file}"),
        ]
    }

    fn all(&self) -> Vec<String> {
        [self.branches(), self.nonsense(), self.paths()].concat()
    }

    fn assert_is_not_there(&self, hosts: &[&Host]) -> Result<()> {
        ensure!(!self.0.exists(), "{} was made here", self.0.display());
        for host in hosts {
            let look = format!("test -e {}", self.0.display());
            let found = host.try_console(&look)?.status.success();
            ensure!(!found, "{} was made on {}", self.0.display(), host.name);
        }
        Ok(())
    }
}

#[test]
fn a_shell_that_were_given_such_a_name_would_make_the_file() -> Result<()> {
    let canary = Canary::new()?;
    for name in &canary.branches()[..3] {
        ensure!(canary.assert_is_not_there(&[]).is_ok());
        run(Command::new("sh").args(["-c", &format!("true x{name}")]))?;
        ensure!(canary.assert_is_not_there(&[]).is_err(), "{name}");
        fs::remove_file(&canary.0)?;
    }
    Ok(())
}

/// A TOML string.
fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's.
    serde_json::Value::from(text).to_string()
}

#[test]
fn names_in_the_config_are_checked_and_run_nothing() -> Result<()> {
    let mut stage = Stage::prepare(&["cyt-pi"])?;
    let canary = Canary::new()?;
    let good = stage.daemon.config.clone();
    stage.daemon.rewrite_config()?;
    assert_eq!(stage.daemon.cli(&["check"])?.status.code(), Some(0));
    for name in canary.all() {
        // ssh has no folder to leave.
        let is_harmless = |key: &str| key == "destinations" && canary.paths().contains(&name);
        let name = quoted(&name);
        for key in ["attribute", "destinations", "action", "interval"] {
            if is_harmless(key) {
                continue;
            }
            let mut config = good.clone();
            let value = if key == "destinations" {
                format!("[{name}]")
            } else {
                name.clone()
            };
            *config.host("cyt-pi") = format!("{key} = {value}");
            stage.daemon.config = config;
            stage.daemon.rewrite_config()?;
            let code = stage.daemon.cli(&["check"])?.status.code();
            assert_eq!(code, Some(2), "{key} = {value}");
        }
        // A name is also the name of a folder of ours.
        for table in ["hosts", "repositories"] {
            stage.daemon.config = good.clone();
            stage.daemon.config.tail = format!("[{table}.{name}]\n");
            stage.daemon.rewrite_config()?;
            let code = stage.daemon.cli(&["check"])?.status.code();
            assert_eq!(code, Some(2), "[{table}.{name}]");
        }
        let url = format!("url = {name}");
        stage.daemon.config = good.clone();
        stage.daemon.config.tail = format!("[repositories.\"a/b\"]\n{url}\n");
        stage.daemon.rewrite_config()?;
        assert_eq!(
            stage.daemon.cli(&["check"])?.status.code(),
            Some(2),
            "{url}"
        );
    }
    // A builder may be whatever Nix takes for one. It gets it as a word, not as a line of a shell.
    stage.daemon.config = good;
    let builder = quoted(&canary.branches()[0]);
    *stage.daemon.config.host("cyt-pi") += &format!("\nbuild_on = {builder}");
    let systems = [("cyt-pi", never_built("built-elsewhere")?)];
    stage.repository.deploy("main", "Elsewhere", &systems)?;
    stage.daemon.start()?;
    stage.wait_for_status(stage.host(), |status| status["outcome"].is_object())?;
    canary.assert_is_not_there(&[stage.host()])
}

#[test]
fn names_on_the_command_line_run_nothing() -> Result<()> {
    let stage = Stage::start(&["spare"])?;
    let canary = Canary::new()?;
    for name in canary.all() {
        for arguments in [
            vec![format!("--host={name}")],
            vec!["--host=spare".to_owned(), format!("--branch={name}")],
            vec!["--host=spare".to_owned(), format!("--revision={name}")],
            vec!["plan".to_owned(), format!("--host={name}")],
            vec![
                "suspend".to_owned(),
                format!("--host={name}"),
                "--why=x".to_owned(),
            ],
        ] {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = stage.daemon.cli(&words)?;
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
            ensure!(!output.stderr.contains(&0x1b), "{arguments:?}: {output:?}");
        }
        if !name.is_empty() {
            // A reason may be anything, and is shown without what a terminal would obey.
            let why = format!("--why={name}");
            for verb in ["suspend", "resume"] {
                let code = stage
                    .daemon
                    .cli(&[verb, "--host=spare", &why])?
                    .status
                    .code();
                assert_eq!(code, Some(0), "{verb} {why}");
            }
        }
    }
    for arguments in [&["history"][..], &["status"]] {
        let shown = stage.daemon.cli(arguments)?.stdout;
        ensure!(
            !shown.contains(&0x1b) && !shown.contains(&b'\r'),
            "{shown:?}"
        );
    }
    canary.assert_is_not_there(&[stage.host()])
}

#[test]
fn names_in_a_delivery_run_nothing_and_the_daemon_goes_on() -> Result<()> {
    let stage = Stage::start(&["uConsole"])?;
    let canary = Canary::new()?;
    let address = Address::parse(&format!("http://{}/hook", stage.daemon.config.webhook))?;
    for name in canary.all() {
        let is_one_line = !name.contains(['\n', '\r']);
        for repository in [crate::stage::REPOSITORY, &name] {
            let body = serde_json::json!({
                "ref": format!("refs/heads/{name}"), "before": "0".repeat(40), "after": "1".repeat(40),
                "repository": { "full_name": repository, "clone_url": name, "ssh_url": name },
                "pusher": { "login": name }, "commits": [{ "message": name, "id": name }],
            });
            let body = body.to_string();
            let mut hmac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
            hmac.update(body.as_bytes());
            let headers = [
                ("Host", "hook".to_owned()),
                ("Content-Type", "application/json".to_owned()),
                ("Content-Length", body.len().to_string()),
                ("X-Gitea-Event", "push".to_owned()),
                (
                    "X-Gitea-Delivery",
                    if is_one_line {
                        name.clone()
                    } else {
                        "x".to_owned()
                    },
                ),
                (
                    "X-Gitea-Signature",
                    hex::encode(hmac.finalize().into_bytes()),
                ),
            ];
            let headers = headers.map(|(name, value)| (name.to_owned(), value));
            let answer = request("POST", &address, &headers, body.as_bytes(), SOON)?;
            ensure!((200..500).contains(&answer.status), "{name:?}: {answer:?}");
            ensure!(!answer.body.contains("touch"), "{name:?}: {answer:?}");
        }
    }
    let systems = [("uConsole", never_built("after-all-that")?)];
    let revision = stage
        .repository
        .deploy("main", "After all that", &systems)?;
    stage.wait_for_convergence(stage.host(), &revision)?;
    ensure!(
        !stage.daemon.log().contains('\u{1b}'),
        "an escape in the log"
    );
    canary.assert_is_not_there(&[stage.host()])
}

#[test]
fn a_branch_with_a_name_full_of_shell_is_a_branch() -> Result<()> {
    let mut stage = Stage::start(&["lazyworkhorse"])?;
    let canary = Canary::new()?;
    for name in canary.branches() {
        let system = never_built("branch")?;
        let revision = stage
            .repository
            .deploy(&name, "Another", &[("lazyworkhorse", system)])?;
        let branch = format!("--branch={name}");
        let output = stage
            .daemon
            .cli(&["--host=lazyworkhorse", &branch, "--action=build"])?;
        // git's own front door refuses a branch that begins with a dash, and so do we.
        let expected = if name.starts_with('-') { 2 } else { 0 };
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{revision}: {output:?}"
        );
    }
    // And followed all the way.
    let name = canary.branches().swap_remove(0);
    stage.daemon.config.defaults = format!("branch = {}\ninterval = \"2s\"", quoted(&name));
    stage.daemon.rewrite_config()?;
    let revision = stage.repository.tip(&name)?;
    stage.wait_for_convergence(stage.host(), &revision)?;
    let systems = [("lazyworkhorse", never_built("followed")?)];
    let revision = stage.repository.deploy(&name, "Followed", &systems)?;
    stage.wait_for_convergence(stage.host(), &revision)?;
    stage.repository.delete_branch(&name)?;
    stage.wait_for_status(stage.host(), |status| {
        status["branch_state"]["state"] == "gone"
    })?;
    canary.assert_is_not_there(&[stage.host()])
}
